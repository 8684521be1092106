import { open, rm } from 'node:fs/promises'
import path from 'node:path'
import type { CallOptions, Checked } from '@ecokit/contracts'
import { loadDuck, openDatabase } from './database.ts'
import { databaseError } from './errors.ts'
import { makeFolder } from './make-folder.ts'

export interface Places {
  readonly database: string | undefined
  readonly folder: string | undefined
}

/** Opens or makes the database and the folder, and proves that both can be written. */
export const check = async ({ database, folder }: Places, partner: string, options: CallOptions): Promise<Checked> => {
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
  if (folder !== undefined)
    try {
      await proveWritable(path.resolve(folder))
    } catch (thrown) {
      throw databaseError(thrown, { partner, what: `cannot write in ${folder}` })
    }
  return { version: `DuckDB ${(await loadDuck()).version()}` }
}

const proveWritable = async (folder: string): Promise<void> => {
  await makeFolder(folder)
  const probe = path.join(folder, `.ecokit-check-${process.pid}`)
  const handle = await open(probe, 'w')
  try {
    await handle.writeFile('check')
  } finally {
    await handle.close()
    await rm(probe, { force: true })
  }
}
