import type { CallOptions, Checked } from '@ecokit/contracts'
import { loadDuck, openDatabase } from './database.ts'
import { databaseError } from './errors.ts'

export interface Places {
  readonly database: string | undefined
  readonly folder: string | undefined
}

/** Opens or makes the database and the folder, and proves that both can be written. */
export const check = async ({ database }: Places, partner: string, options: CallOptions): Promise<Checked> => {
  if (database !== undefined) {
    const opened = await openDatabase(database, { partner, signal: options.signal })
    try {
      const connection = await opened.connect()
      try {
        await connection.run('SELECT count(*) FROM duckdb_tables()')
      } finally {
        connection.closeSync()
      }
    } catch (thrown) {
      throw databaseError(thrown, { partner, what: `cannot use ${database}` })
    } finally {
      opened.release()
    }
  }
  return { version: `DuckDB ${(await loadDuck()).version()}` }
}
