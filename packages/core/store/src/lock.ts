import { isIntegrationError } from '@ecokit/contracts'
import type { Kysely, Transaction } from 'kysely'
import type { Database } from './schema.ts'

/** A writer that waited 15 s for its turn tries again as often as this: the busy handler of SQLite is not fair. */
const turns = 4

const isBusy = (error: unknown): boolean =>
  isIntegrationError(error) &&
  error.code === 'unavailable' &&
  'cause' in error.details &&
  error.details.cause === 'SQLITE_BUSY'

/** Calls `work` with the write lock held. Only then may it look at the clock: the wait for the lock can be long. */
export const locked = async <T>(
  db: Kysely<Database>,
  work: (transaction: Transaction<Database>) => Promise<T>,
): Promise<T> => {
  for (let turn = 1; ; turn++)
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (turn === turns || !isBusy(error)) throw error
    }
}
