import { literal } from '@ecokit/connect/writing'
import { fromJson, toJson } from '@ecokit/contracts'
import type { Checkpoint, Discovered, JsonSchema } from '@ecokit/contracts'
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api'
import type { Database } from '../database.ts'

/** Rows of a query as lists of values. */
export const query = async (
  connection: DuckDBConnection,
  sql: string,
  values: readonly DuckDBValue[] = [],
): Promise<readonly (readonly DuckDBValue[])[]> => (await connection.runAndReadAll(sql, [...values])).getRows()

/**
 * What the connector keeps beside the data: checkpoints by flow and table (`pass` marks that of an overwrite or a pruning merge which has not
 * ended), and each table's schema and key as they were written.
 */
const tables = `
CREATE TABLE IF NOT EXISTS _ecokit_checkpoints
  ("key" VARCHAR, table_name VARCHAR, pass BOOLEAN, checkpoint VARCHAR, run VARCHAR, "at" TIMESTAMP WITH TIME ZONE);
CREATE TABLE IF NOT EXISTS _ecokit_tables (table_name VARCHAR, schema VARCHAR, primary_key VARCHAR)`
export const prepare = (database: Database, connection: DuckDBConnection): Promise<void> =>
  database.once('bookkeeping', async () => {
    await connection.run(tables)
  })

export const readCheckpoint = async (
  connection: DuckDBConnection,
  key: string,
  table: string,
  pass: boolean,
): Promise<Checkpoint | undefined> => {
  const [row] = await query(
    connection,
    'SELECT checkpoint FROM _ecokit_checkpoints WHERE "key" = $1 AND lower(table_name) = lower($2) AND pass = $3',
    [key, table, pass],
  )
  const text = row?.[0]
  return typeof text === 'string' ? (fromJson(text) as Checkpoint) : undefined
}
export const writeCheckpoint = async (
  connection: DuckDBConnection,
  entry: {
    readonly key: string
    readonly table: string
    readonly pass: boolean
    readonly run: string
    readonly checkpoint: Checkpoint
  },
): Promise<void> => {
  const { key, table, pass, run, checkpoint } = entry
  await connection.run(
    'DELETE FROM _ecokit_checkpoints WHERE "key" = $1 AND lower(table_name) = lower($2) AND pass = $3',
    [key, table, pass],
  )
  await connection.run('INSERT INTO _ecokit_checkpoints VALUES ($1, $2, $3, $4, $5, now())', [
    key,
    table,
    pass,
    toJson(checkpoint),
    run,
  ])
}

/** The state of an unfinished pass over a table: the rows of an overwrite, the keys of a pruning merge. */
export const passTables = (table: string): { readonly rows: string; readonly keys: string } => ({
  rows: `_ecokit_rows_${table}`,
  keys: `_ecokit_keys_${table}`,
})
/** Column names and types of a table, in order; undefined when there is none. Tables only: a view cannot be written. */
export const tableColumns = async (
  connection: DuckDBConnection,
  table: string,
): Promise<ReadonlyMap<string, string> | undefined> => {
  const rows = await query(
    connection,
    `SELECT column_name, data_type FROM duckdb_columns()
     WHERE database_name = current_database() AND schema_name = 'main' AND lower(table_name) = lower($1) ORDER BY column_index`,
    [table],
  )
  return rows.length === 0 ? undefined : new Map(rows.map(([name, type]) => [String(name), String(type)]))
}

export interface Kept {
  readonly schema: JsonSchema
  readonly primaryKey: readonly string[]
}
/** What the sinks wrote down about tables, by lower-case name; empty where no sink has written yet. */
export const keptTables = async (connection: DuckDBConnection): Promise<ReadonlyMap<string, Kept>> => {
  if ((await tableColumns(connection, '_ecokit_tables')) === undefined) return new Map()
  const rows = await query(connection, 'SELECT table_name, schema, primary_key FROM _ecokit_tables')
  return new Map(
    rows.map(([name, schema, key]) => [
      String(name).toLowerCase(),
      { schema: fromJson(String(schema)) as JsonSchema, primaryKey: fromJson(String(key)) as readonly string[] },
    ]),
  )
}
export const keepTable = async (connection: DuckDBConnection, table: Discovered): Promise<void> => {
  await connection.run(`DELETE FROM _ecokit_tables WHERE lower(table_name) = lower(${literal(table.name)})`)
  await connection.run('INSERT INTO _ecokit_tables VALUES ($1, $2, $3)', [
    table.name,
    toJson(table.schema),
    toJson(table.primaryKey ?? []),
  ])
}
