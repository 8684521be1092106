import { rename, rmdir } from 'node:fs/promises'
import path from 'node:path'
import type { DuckDBConnection, DuckDBListValue } from '@duckdb/node-api'
import { literal } from '@ecokit/connect/writing'
import { decoder } from '../duck-read.ts'
import { makeFolder } from '../make-folder.ts'
import { allColumns, fromParquet } from './files.ts'
import { folderOf, partitionKeys } from './partitions.ts'
import { checkedParts } from './written.ts'
import type { Column } from '../columns.ts'
import type { Duck } from '../database.ts'
import type { LineSource } from '../proven.ts'
import type { Segment } from '../segments.ts'
import type { Part } from './layout.ts'
import type { Partition } from './partitions.ts'
import type { Written } from './written.ts'

/** What Parquet is made of, and how its rows are put into folders. */
export interface ParquetTable {
  readonly duck: Duck
  readonly connection: DuckDBConnection
  readonly columns: readonly Column[]
  readonly partitions: readonly Partition[]
}

// DuckDB holds a row group in memory, and its default of 122,880 rows takes 80 MB more than this.
const parquet = 'FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480'

/**
 * Writes a file for each folder. DuckDB parts the rows by the number of their folder, since the names that it would give to folders by itself hold neither any value nor null beside its own mark for it;
 * then the files are moved to where they belong. All columns stand in the files, so that a reader need not make values of names.
 */
const copyParted = async (table: ParquetTable, query: string, folder: string, stem: string): Promise<Written> => {
  const { duck, connection, columns, partitions } = table
  const keys = partitionKeys(partitions, columns)
  const folders = 'temp.main._ecokit_folders'
  const chosen = keys.map(
    ({ key, column }, at) => `${key} AS _ecokit_key${at}, any_value(${column}) AS _ecokit_value${at}`,
  )
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE _ecokit_folders AS SELECT row_number() OVER () AS _ecokit_number, * FROM
     (SELECT ${chosen.join(', ')} FROM (${query}) GROUP BY ALL)`,
  )
  const selected = keys.map((_key, at) => `_ecokit_value${at}`).join(', ')
  const found = await connection.runAndReadAll(`SELECT _ecokit_number, ${selected} FROM ${folders}`)
  const decode = found.columnTypes().map((type) => decoder(duck, type))
  const names = new Map(
    found.getRows().map(([number, ...values]) => {
      const texts = values.map((value, at) => {
        const decoded = decode[at + 1]?.(value) as string | number | bigint | boolean | null
        return decoded === null ? null : String(decoded)
      })
      return [String(number), folderOf(partitions, texts)]
    }),
  )
  // The name of the part keeps two that are written at once apart.
  const mark = `_ecokit_${stem.replaceAll('-', '_')}`
  const same = keys.map(({ key }, at) => `${key} IS NOT DISTINCT FROM _ecokit_key${at}`)
  const copied = await connection.runAndReadAll(
    `COPY (SELECT given.*, _ecokit_number AS ${mark} FROM (${query}) AS given LEFT JOIN ${folders} ON ${same.join(' AND ')})
     TO ${literal(folder)} (${parquet}, PARTITION_BY (${mark}), OVERWRITE_OR_IGNORE true, FILENAME_PATTERN ${literal(`${stem}-{i}`)}, RETURN_FILES true)`,
  )
  const files = ((copied.getRows()[0]?.[1] as Pick<DuckDBListValue, 'items'> | undefined)?.items ?? []).map(String)
  const counts = await countRows(connection, files)
  const written: (readonly [string, number])[] = []
  for (const [index, file] of files.entries()) {
    const name = names.get(path.basename(path.dirname(file)).slice(mark.length + 1))
    if (name === undefined) throw new Error(`${file} is in no folder that was asked for`)
    // Numbered through, for file systems that do not tell folders `A` and `a` apart.
    const moved = `${name}/${stem}-${index}.parquet`
    await makeFolder(path.join(folder, name))
    await rename(file, path.join(folder, moved))
    await rmdir(path.dirname(file)).catch(() => undefined)
    written.push([moved, counts.get(file) ?? Number.NaN])
  }
  return written
}
const countRows = async (
  connection: DuckDBConnection,
  files: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  if (files.length === 0) return new Map()
  const names = files.map((file) => literal(file.replace(/[*?[]/g, '[$&]'))).join(', ')
  const counted = await connection.runAndReadAll(`SELECT file_name, num_rows FROM parquet_file_metadata([${names}])`)
  return new Map(counted.getRows().map(([file, rows]) => [String(file), Number(rows)]))
}

/** Writes what a query gives as Parquet: one file, or one for each folder. */
export const writeParquet = async (
  table: ParquetTable,
  query: string,
  file: string,
  rows: number,
): Promise<readonly Part[]> => {
  const [folder, name] = [path.dirname(file), path.basename(file)]
  const copyWhole = async (): Promise<Written> => {
    const { rowsChanged } = await table.connection.run(`COPY (${query}) TO ${literal(file)} (${parquet})`)
    return [[name, rowsChanged]]
  }
  const parted = table.partitions.length > 0
  const found = parted ? await copyParted(table, query, folder, path.basename(file, '.parquet')) : await copyWhole()
  return checkedParts(folder, found, rows)
}

/** Makes one part of the rows of many commits, which wait in files beside it. They may lack columns that the table has got since. */
export const foldRows = async (
  table: ParquetTable,
  waiting: readonly Part[],
  file: string,
): Promise<readonly Part[]> => {
  const folder = path.dirname(file)
  const from = fromParquet(waiting.map((part) => ({ file: path.join(folder, part.file) })))
  const present = (await table.connection.run(`SELECT * FROM ${from} LIMIT 0`)).columnNames()
  const rows = waiting.reduce((sum, part) => sum + part.rows, 0)
  return writeParquet(table, `SELECT ${allColumns(table.columns, present)} FROM ${from}`, file, rows)
}

/** Makes Parquet of a segment of proven lines. */
export const foldParquet = async (
  table: ParquetTable,
  source: LineSource,
  segment: Segment,
  file: string,
): Promise<readonly Part[]> => {
  const lines = await source(table.duck, table.connection, [segment])
  try {
    return await writeParquet(table, `SELECT * FROM ${lines.from}`, file, segment.rows)
  } finally {
    lines.close()
  }
}
