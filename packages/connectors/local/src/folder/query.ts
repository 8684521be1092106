import { identifier, identifiers } from '@ecokit/connect/writing'
import type { AnyRecord, CallOptions } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import { ask } from '../ask.ts'
import { columnsOf } from '../columns.ts'
import { rowMaker } from '../rows.ts'
import { openStage } from '../stage.ts'
import { fromFiles, withMemory } from './files.ts'
import { describeFolder, readFolder } from './read.ts'
import type { Duck } from '../database.ts'
import type { FolderTable } from './read.ts'

/** Makes a table of a folder one of the database: Parquet stays where it is; CSV and NDJSON are read as every reader does, so that their values are the same. */
const bring = async (
  duck: Duck,
  connection: DuckDBConnection,
  name: string,
  table: FolderTable,
  partner: string,
  options: CallOptions,
): Promise<void> => {
  if (table.format === 'parquet') {
    await connection.run(`CREATE VIEW ${identifier(name)} AS ${await fromFiles(duck, connection, table, partner)}`)
    return
  }
  const columns = columnsOf(await describeFolder(table, partner, options), partner)
  const stage = await openStage(duck, connection, columns, '')
  const makeRow = rowMaker(columns)
  for await (const batch of readFolder(table, partner, options))
    if (batch.encoding === 'records')
      await stage.add(
        batch.records.map((record) => makeRow(record)),
        false,
      )
  await stage.gather()
  const names = identifiers(columns.map((column) => column.name))
  await connection.run(`CREATE TABLE ${identifier(name)} AS SELECT ${names} FROM ${stage.from}`)
  await stage.clear()
}

/** Asks about tables of a folder. `find` gives one by its name, for no name the one that is written. */
export const askFolder = async (
  sql: string,
  about: { readonly partner: string; readonly table: string },
  find: (name: string | undefined) => Promise<FolderTable | undefined>,
  options: CallOptions,
): Promise<readonly AnyRecord[]> => {
  for await (const rows of withMemory(options, async function* (duck, connection) {
    const brought = new Map<string, string>()
    yield await ask(duck, connection, sql, about, async (name) => {
      const table = await find(name)
      if (table === undefined) return undefined
      const known = brought.get(table.directory + table.name)
      if (known !== undefined) return known
      const own = `t${brought.size}`
      brought.set(table.directory + table.name, own)
      await bring(duck, connection, own, table, about.partner, options)
      return own
    })
  }))
    return rows
  return []
}
