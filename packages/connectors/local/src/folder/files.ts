import { stat } from 'node:fs/promises'
import path from 'node:path'
import { identifier, literal } from '@ecokit/connect/writing'
import type { CallOptions } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import { columnsOf, sqlType } from '../columns.ts'
import { loadDuck, settings } from '../database.ts'
import { jsonReader } from '../proven.ts'
import { checkPart, isLines, stagedName } from './layout.ts'
import type { Column } from '../columns.ts'
import type { Duck } from '../database.ts'
import type { FolderTable } from './read.ts'

/** A file of a table; `bytes` and `rows` say how much of it is committed, where that may not be all. */
export interface Place {
  readonly file: string
  readonly bytes?: number
  readonly rows?: number
}
/** Where the files are now: a listed part may still stand in the staging folder, and lines may have become Parquet since. */
export const locate = async ({ directory, manifest, files }: FolderTable): Promise<readonly Place[]> => {
  if (manifest === undefined) return files.map((file) => ({ file }))
  return Promise.all(
    manifest.parts.map(async ({ file, rows, bytes }) => {
      for (const folder of [directory, path.join(directory, stagedName)]) {
        if (await exists(path.join(folder, file))) return { file: path.join(folder, file), bytes }
        const parquet = path.join(folder, file.replace(/lines$/, 'parquet'))
        // The staging folder may hold one that is not complete yet, beside its lines.
        if (isLines(file) && folder === directory && (await exists(parquet))) return { file: parquet, rows }
      }
      return { file: path.join(directory, file), bytes }
    }),
  )
}
/** The same, after each file was found to hold what was written into it: neither Parquet nor text can tell by themselves. */
export const verified = async (table: FolderTable, partner: string): Promise<readonly Place[]> => {
  const places = await locate(table)
  for (const [index, part] of (table.manifest?.parts ?? []).entries()) {
    const file = places[index]?.file ?? ''
    // Lines that have become Parquet since are another file than the one that is listed.
    if (isLines(file) === isLines(part.file)) await checkPart(file, part, { partner, table: table.name })
  }
  return places
}
const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  )

/** Files one after the other, in groups of Parquet and of lines that wait to become Parquet; one group where there are none. */
export const inOrder = (places: readonly Place[]): readonly (readonly Place[])[] => {
  const groups: Place[][] = [[]]
  for (const place of places) {
    const last = groups.at(-1)
    const before = last?.[0]
    if (last !== undefined && (before === undefined || isLines(before.file) === isLines(place.file))) last.push(place)
    else groups.push([place])
  }
  return groups
}

/** An in-memory DuckDB for reading Parquet. */
export const withMemory = async function* <T>(
  options: CallOptions,
  work: (duck: Duck, connection: DuckDBConnection) => AsyncIterable<T>,
): AsyncIterable<T> {
  const duck = await loadDuck()
  const instance = await duck.DuckDBInstance.create(':memory:', settings)
  try {
    const connection = await instance.connect()
    const interrupt = () => connection.interrupt()
    options.signal?.addEventListener('abort', interrupt)
    try {
      yield* work(duck, connection)
    } finally {
      options.signal?.removeEventListener('abort', interrupt)
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}
/** Characters that DuckDB takes for patterns stand for themselves in brackets. */
export const fromParquet = (places: readonly Place[]): string => {
  const read = (files: string) => `read_parquet([${files}], union_by_name = true, hive_partitioning = false)`
  const name = ({ file }: Place) => literal(file.replace(/[*?[]/g, '[$&]'))
  if (places.every(({ rows }) => rows === undefined)) return read(places.map(name).join(', '))
  const parts = places.map((place) => `SELECT * FROM ${read(name(place))} LIMIT ${place.rows ?? 'ALL'}`)
  return `(${parts.map((part) => `(${part})`).join(' UNION ALL BY NAME ')})`
}

/** What is selected to give all columns, null for those that are not there. */
export const allColumns = (columns: readonly Column[], present: readonly string[]): string =>
  columns
    .map(({ name, type }) =>
      present.includes(name) ? identifier(name) : `CAST(NULL AS ${sqlType(type)}) AS ${identifier(name)}`,
    )
    .join(', ')

/** SQL that gives the table as its manifest says, also where no part has a column yet. */
export const parquetQuery = async (
  connection: DuckDBConnection,
  table: FolderTable,
  places: readonly Place[],
  partner: string,
): Promise<string> => {
  if (table.manifest === undefined) return `SELECT * FROM ${fromParquet(places)}`
  const columns = columnsOf({ name: table.name, schema: table.manifest.schema }, partner)
  const present =
    places.length === 0 ? [] : (await connection.run(`SELECT * FROM ${fromParquet(places)} LIMIT 0`)).columnNames()
  return `SELECT ${allColumns(columns, present)} ${places.length === 0 ? 'WHERE false' : `FROM ${fromParquet(places)}`}`
}

/** SQL that gives all rows of a table of Parquet, those of lines that wait among them; nobody may be writing them. */
export const fromFiles = async (
  duck: Duck,
  connection: DuckDBConnection,
  table: FolderTable,
  partner: string,
): Promise<string> => {
  const queries: string[] = []
  for (const group of inOrder(await locate(table))) {
    const lines = group.filter(({ file }) => isLines(file))
    if (lines.length === 0) queries.push(await parquetQuery(connection, table, group, partner))
    else {
      const columns = columnsOf({ name: table.name, schema: table.manifest?.schema ?? {} }, partner)
      const segments = lines.map(({ file, bytes = 0 }) => ({ file, rows: 0, bytes, longest: bytes }))
      queries.push(`SELECT * FROM ${(await jsonReader(columns)(duck, connection, segments)).from}`)
    }
  }
  return queries.map((query) => `(${query})`).join(' UNION ALL ')
}
