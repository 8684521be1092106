import { integrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'

/**
 * Runs pieces of work one after the other, in the order in which they were asked for. What closes a connection must stand in the same line as the work that uses it: DuckDB, for one, ends the process
 * where a connection is closed while a query of it runs, or a database while a connection to it is being opened (tried with @duckdb/node-api 1.5.6-r.1).
 */
export const oneByOne = (): (<T>(work: () => Promise<T>) => Promise<T>) => {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
}

/** What ends work that was aborted. */
export const cancelled = (partner: string): IntegrationError =>
  integrationError('cancelled', { partner, what: 'cancelled', details: {} })

/** Ends work whose signal was aborted. */
export const stopIfAborted = (signal: AbortSignal | undefined, partner: string): void => {
  if (signal?.aborted === true) throw cancelled(partner)
}
