import { setTimeout as sleep } from 'node:timers/promises'
import { stopIfAborted } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { Session } from '../client.ts'
import type { Place } from '../place.ts'

const waitMs = 5000

/** Takes the right to write one table, for as long as the session lives; waits for it, then fails with `conflict`. */
export const lockTable = async (
  session: Session,
  { partner, config }: Place,
  table: string,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const deadline = performance.now() + waitMs
  for (let pause = 20; ; pause = Math.min(pause * 2, 250)) {
    const { rows } = await session.run('SELECT pg_try_advisory_lock(hashtextextended($1, 0))', [
      `ecokit table ${JSON.stringify([config.schema, table])}`,
    ])
    if (rows[0]?.[0] === 't') return
    if (performance.now() + pause > deadline)
      throw integrationError('conflict', {
        partner,
        what: `table ${table} is being written by another writer`,
        next: 'Wait until it is done',
        details: {},
        retryable: true,
      })
    await sleep(pause, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
    stopIfAborted(signal, partner)
  }
}
