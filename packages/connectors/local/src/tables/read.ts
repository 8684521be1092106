import { batcher, identifier, identifiers, orNull, stopIfAborted } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, CallOptions, Discovered, JsonSchema, ReadOptions } from '@ecokit/contracts'
import type { DuckDBConnection, DuckDBResult } from '@duckdb/node-api'
import { columnType, sqlType, typeName } from '../columns.ts'
import { openDatabase } from '../database.ts'
import { decoder, schemaOf } from '../duck-read.ts'
import { databaseError } from '../errors.ts'
import { keptTables, query } from './bookkeeping.ts'
import type { Database, Duck } from '../database.ts'
import type { Kept } from './bookkeeping.ts'

/** Opens the file for one piece of work and gives it back whatever happens. */
const withConnection = async function* <T>(
  file: string,
  partner: string,
  options: CallOptions,
  work: (connection: DuckDBConnection, database: Database) => AsyncIterable<T>,
): AsyncIterable<T> {
  const database = await openDatabase(file, { partner, signal: options.signal })
  try {
    const connection = await database.connect()
    const interrupt = () => connection.interrupt()
    options.signal?.addEventListener('abort', interrupt)
    try {
      yield* work(connection, database)
    } finally {
      options.signal?.removeEventListener('abort', interrupt)
      connection.closeSync()
    }
  } catch (thrown) {
    database.failed(thrown)
    stopIfAborted(options.signal, partner)
    throw databaseError(thrown, { partner, what: `cannot read ${file}` })
  } finally {
    database.release()
  }
}

interface Named {
  readonly schema: string
  readonly table: string
}
/** Tables and views by the name that they are read by: as it is in the schema main, `schema.table` elsewhere. */
const listTables = async (connection: DuckDBConnection): Promise<ReadonlyMap<string, Named>> => {
  const rows = await query(
    connection,
    `SELECT schema_name, table_name FROM (
       SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary AND NOT internal
       UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = current_database() AND NOT temporary AND NOT internal)
     WHERE NOT starts_with(lower(table_name), '_ecokit_') ORDER BY schema_name <> 'main', schema_name, table_name`,
  )
  const found = new Map<string, Named>()
  for (const [schemaName, tableName] of rows) {
    const named = { schema: String(schemaName), table: String(tableName) }
    const name = named.schema === 'main' ? named.table : `${named.schema}.${named.table}`
    if (!found.has(name)) found.set(name, named)
  }
  return found
}

/** The kept schema of a column, where the column still has the type that the schema asks for. */
const keptColumn = (kept: Kept | undefined, name: string, type: string): JsonSchema | undefined => {
  const properties = kept?.schema['properties'] as Readonly<Record<string, JsonSchema>> | undefined
  const schema = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined
  return schema !== undefined && typeName(sqlType(columnType(schema, kept?.schema ?? {}))) === typeName(type)
    ? schema
    : undefined
}

const sqlName = (type: { toString(): string; readonly alias?: string | undefined }): string =>
  type.alias === 'JSON' ? 'JSON' : type.toString()

/** What a result holds, as a discovered table. */
export const describeResult = (duck: Duck, name: string, result: DuckDBResult, kept: Kept | undefined): Discovered => {
  const types = result.columnTypes()
  const properties = Object.fromEntries(
    result.columnNames().map((column, index) => {
      const type = types[index] ?? duck.ANY
      return [column, orNull(keptColumn(kept, column, sqlName(type)) ?? schemaOf(duck, type))]
    }),
  )
  const definitions = kept?.schema['$defs']
  const key = (kept?.primaryKey ?? []).filter((column) => Object.hasOwn(properties, column))
  return {
    name,
    schema: { type: 'object', properties, ...(definitions !== undefined && { $defs: definitions }) },
    ...(key.length > 0 && { primaryKey: key }),
  }
}

/** The tables and views of a DuckDB file. */
export const discoverTables = (file: string, partner: string, options: CallOptions): AsyncIterable<Discovered> =>
  withConnection(file, partner, options, async function* (connection, { duck }) {
    const kept = await keptTables(connection)
    for (const [name, { schema, table }] of await listTables(connection)) {
      stopIfAborted(options.signal, partner)
      const result = await connection
        .run(`SELECT * FROM ${identifier(schema)}.${identifier(table)} LIMIT 0`)
        .catch((thrown: unknown) => {
          // A view whose tables are gone.
          if (thrown instanceof Error && /^(?:Catalog|Binder) Error/.test(thrown.message))
            return databaseError(thrown, { partner, what: `cannot describe table ${name} of ${file}` })
          throw thrown
        })
      yield 'ecokit' in result
        ? { name, schema: {}, fault: result }
        : describeResult(duck, name, result, kept.get(name.toLowerCase()))
    }
  })

/** The records of a query's result, in batches of bounded size. */
export const readResult = async function* (
  duck: Duck,
  result: DuckDBResult,
  kept: Kept | undefined,
  stop: () => void,
): AsyncIterable<Batch<AnyRecord>> {
  const names = result.columnNames()
  const decoders = result.columnTypes().map((type, index) => {
    const name = names[index] ?? ''
    const properties = kept?.schema['properties'] as Readonly<Record<string, JsonSchema>> | undefined
    return decoder(
      duck,
      type,
      properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined,
    )
  })
  const batches = batcher()
  for (;;) {
    stop()
    const chunk = await result.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) break
    const columns = chunk.getColumns()
    for (let row = 0; row < chunk.rowCount; row += 1) {
      const record = Object.fromEntries(
        names.map((name, index) => [name, decoders[index]?.(columns[index]?.[row] ?? null)]),
      )
      const batch = batches.add(record)
      if (batch !== undefined) yield batch
    }
  }
  const rest = batches.rest()
  if (rest !== undefined) yield rest
}

/** The columns to select; each must be there. */
export const selection = (
  columns: readonly string[] | undefined,
  present: readonly string[],
  about: { readonly partner: string; readonly table: string },
): string => {
  if (columns === undefined) return '*'
  for (const column of columns)
    if (!present.includes(column))
      throw integrationError('invalid_input', {
        partner: about.partner,
        what: `table ${about.table} has no column ${column}`,
        next: `Choose from: ${present.join(', ')}`,
        details: { field: 'columns' },
      })
  return columns.length === 0 ? '*' : identifiers(columns)
}

/** Reads one table or view whole; undefined when there is none of that name. */
export const readTable = (
  file: string,
  partner: string,
  name: string,
  options: ReadOptions,
): AsyncIterable<Batch<AnyRecord> | undefined> =>
  withConnection(file, partner, options, async function* (connection, { duck }) {
    const named = (await listTables(connection)).get(name)
    if (named === undefined) {
      yield undefined
      return
    }
    const from = `${identifier(named.schema)}.${identifier(named.table)}`
    const kept = (await keptTables(connection)).get(name.toLowerCase())
    const present = (await connection.run(`SELECT * FROM ${from} LIMIT 0`)).columnNames()
    const result = await connection.stream(
      `SELECT ${selection(options.columns, present, { partner, table: name })} FROM ${from}`,
    )
    yield* readResult(duck, result, kept, () => stopIfAborted(options.signal, partner))
  })
