import { setImmediate } from 'node:timers/promises'
import { integrationError } from '@ecokit/contracts'

/** Lets others run between two pages, and stops where the caller says so. */
export async function* stoppable<T>(pages: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  for await (const page of pages) {
    if (signal?.aborted === true)
      throw integrationError('cancelled', { what: 'the verification of the audit log was stopped', details: {} })
    yield page
    await setImmediate()
  }
}
