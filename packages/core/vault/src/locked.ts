import { isIntegrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'

/** A transaction that holds the write lock from its beginning. */
export type Transaction = Parameters<Parameters<ReturnType<Store['db']['transaction']>['execute']>[0]>[0]

/** A writer that waited 15 s for its turn tries again as often as this: the busy handler of SQLite is not fair. */
const turns = 4

const isBusy = (error: unknown): boolean =>
  isIntegrationError(error, 'unavailable') && error.details.cause === 'SQLITE_BUSY'

export const locked = async <T>(store: Store, work: (db: Transaction) => Promise<T>): Promise<T> => {
  for (let turn = 1; ; turn++)
    try {
      return await store.db.transaction().execute(work)
    } catch (error) {
      if (turn === turns || !isBusy(error)) throw error
    }
}
