import { open, stat } from 'node:fs/promises'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import type { DuckDBConnection, DuckDBListValue } from '@duckdb/node-api'
import { identifiers, literal } from '@ecokit/connect/writing'
import { openSegment } from '../segments.ts'
import { openStage } from '../stage.ts'
import { crcOf, syncWay } from './layout.ts'
import { cellOf, csvCell, jsonOf } from './text.ts'
import type { Column } from '../columns.ts'
import type { Duck } from '../database.ts'
import type { LineSource } from '../proven.ts'
import type { Segment } from '../segments.ts'
import type { Stored } from '../values.ts'
import type { Format, Part } from './layout.ts'

type Row = readonly Stored[]
/** Writes one part. */
export interface PartWriter {
  /** Absent: it takes proven lines only. */
  readonly add?: (rows: readonly Row[]) => Promise<void>
  /** Absent: it cannot take proven lines as they are. */
  readonly addLines?: (lines: Uint8Array, count: number) => Promise<void>
  /** What was written so far; before compression. */
  readonly bytes: () => number
  /** What was written so far, by what the file holds. */
  readonly seen?: () => Part
  /** Makes what was written so far survive a power cut, and goes on. Absent: a commit must finish the part. */
  readonly sync?: () => Promise<Part>
  /** Closes the file; it is safe on the disk, but for segments, which are read once more. */
  readonly finish: () => Promise<readonly Part[]>
  /** Closes the file as it is. */
  readonly close: () => Promise<void>
}
export type OpenPart = (file: string) => Promise<PartWriter>

const bufferBytes = 1_000_000

const textPart = async (
  file: string,
  header: string,
  lineOf: (row: Row) => string,
  takesLines: boolean,
): Promise<PartWriter> => {
  const handle = await open(file, 'w')
  let [rows, bytes, crc, buffer] = [0, 0, 0, header]
  const put = async (data: Uint8Array) => {
    await handle.writeFile(data)
    bytes += data.length
    crc = crc32(data, crc)
  }
  const flush = async () => {
    const data = Buffer.from(buffer)
    buffer = ''
    if (data.length > 0) await put(data)
  }
  const sync = async () => {
    await flush()
    await handle.sync()
    return { file: path.basename(file), rows, bytes, crc }
  }
  return {
    add: async (added) => {
      for (const row of added) {
        buffer += lineOf(row)
        if (buffer.length >= bufferBytes) await flush()
      }
      rows += added.length
    },
    ...(takesLines && {
      addLines: async (lines: Uint8Array, count: number) => {
        await flush()
        await put(lines)
        if (lines.length > 0 && lines.at(-1) !== 10) await put(Buffer.from('\n'))
        rows += count
      },
    }),
    bytes: () => bytes + buffer.length,
    sync,
    finish: async () => {
      const part = await sync()
      await handle.close()
      return [part]
    },
    close: () => handle.close(),
  }
}

/** A part of proven lines that waits to become Parquet. */
export const linesPart: OpenPart = async (file) => {
  const segment = await openSegment(file)
  const part = () => ({
    file: path.basename(file),
    rows: segment.rows(),
    bytes: segment.bytes(),
    crc: segment.crc(),
  })
  return {
    addLines: segment.add,
    seen: part,
    bytes: segment.bytes,
    sync: async () => {
      await segment.sync()
      return part()
    },
    finish: async () => {
      await segment.close()
      return [part()]
    },
    close: async () => {
      await segment.close()
    },
  }
}

const syncFile = async (file: string): Promise<void> => {
  const handle = await open(file, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
// DuckDB holds a row group in memory, and its default of 122,880 rows takes 80 MB more than this.
const parquet = 'FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480'

/** Writes what a query gives as Parquet: one file, or one for each value of the columns `by`, which stand in the files too, so that a reader need not make values of names. */
const writeParquet = async (
  connection: DuckDBConnection,
  query: string,
  file: string,
  rows: number,
  by: readonly string[],
): Promise<readonly Part[]> => {
  const folder = path.dirname(file)
  const found: (readonly [string, number])[] = []
  if (by.length === 0) {
    const { rowsChanged } = await connection.run(`COPY (${query}) TO ${literal(file)} (${parquet})`)
    found.push([file, rowsChanged])
  } else {
    const pattern = literal(`${path.basename(file, '.parquet')}-{i}`)
    const copied = await connection.runAndReadAll(
      `COPY (${query}) TO ${literal(folder)} (${parquet}, PARTITION_BY (${identifiers(by)}), WRITE_PARTITION_COLUMNS true, OVERWRITE_OR_IGNORE true, FILENAME_PATTERN ${pattern}, RETURN_FILES true)`,
    )
    const files = (copied.getRows()[0]?.[1] as Pick<DuckDBListValue, 'items'> | undefined)?.items ?? []
    for (const name of files.map(String)) {
      const counted = await connection.runAndReadAll(
        `SELECT num_rows FROM parquet_file_metadata(${literal(name.replace(/[*?[]/g, '[$&]'))})`,
      )
      found.push([name, Number(counted.getRows()[0]?.[0])])
    }
  }
  const written = found.reduce((sum, [, count]) => sum + count, 0)
  if (written !== rows) throw new Error(`${file} holds ${written} rows of the ${rows} that were written`)
  return Promise.all(
    found.map(async ([name, count]) => {
      await syncFile(name)
      const relative = path.relative(folder, name).replaceAll(path.sep, '/')
      await syncWay(folder, relative)
      const { size } = await stat(name)
      return { file: relative, rows: count, bytes: size, crc: await crcOf(name) }
    }),
  )
}

/** Makes Parquet of a segment of proven lines. */
export const partsOfLines = async (
  duck: Duck,
  connection: DuckDBConnection,
  source: LineSource,
  segment: Segment,
  file: string,
  by: readonly string[],
): Promise<readonly Part[]> => {
  const lines = await source(duck, connection, [segment])
  try {
    return await writeParquet(connection, `SELECT * FROM ${lines.from}`, file, segment.rows, by)
  } finally {
    lines.close()
  }
}

const sizeOf = (stored: Stored): number =>
  typeof stored === 'string'
    ? stored.length
    : Array.isArray(stored)
      ? (stored as readonly Stored[]).reduce<number>((sum, item) => sum + sizeOf(item), 8)
      : 8

/** How parts of a format are opened. Parquet goes through a temporary table of the connection and DuckDB's COPY; text is written here, where every character is ours. */
export const partOpener = async (
  format: Format,
  columns: readonly Column[],
  duck: Duck,
  connection: DuckDBConnection,
  takesLines: boolean,
  by: readonly string[],
): Promise<OpenPart> => {
  if (format === 'csv') {
    const header = `${columns.map(({ name }) => csvCell(name)).join(',')}\r\n`
    const cells = columns.map(({ type }) => cellOf(type))
    return (file) =>
      textPart(file, header, (row) => `${cells.map((cell, index) => cell(row[index] ?? null)).join(',')}\r\n`, false)
  }
  if (format === 'ndjson') {
    const fields = columns.map(({ name, type }) => {
      const [key, json] = [`${JSON.stringify(name)}:`, jsonOf(type)]
      return (stored: Stored) => key + json(stored)
    })
    const lineOf = (row: Row) => `{${fields.map((field, index) => field(row[index] ?? null)).join(',')}}\n`
    return (file) => textPart(file, '', lineOf, takesLines)
  }
  const stage = await openStage(duck, connection, columns, '')
  const names = identifiers(columns.map(({ name }) => name))
  return async (file) => {
    await stage.clear()
    let bytes = 0
    return {
      add: async (rows) => {
        await stage.add(rows, false)
        for (const row of rows) bytes += sizeOf(row)
      },
      bytes: () => bytes,
      finish: async () => {
        await stage.gather()
        return writeParquet(connection, `SELECT ${names} FROM ${stage.from}`, file, stage.rows(), by)
      },
      close: () => stage.clear(),
    }
  }
}
