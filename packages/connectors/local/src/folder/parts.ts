import { open } from 'node:fs/promises'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { identifiers } from '@ecokit/connect/writing'
import { openSegment } from '../segments.ts'
import { openStage } from '../stage.ts'
import { foldRows, writeParquet } from './parquet.ts'
import { textForm } from './text.ts'
import type { Stored } from '../values.ts'
import type { Format, Part } from './layout.ts'
import type { ParquetTable } from './parquet.ts'

type Row = readonly Stored[]
/** Writes one part. */
export interface PartWriter {
  /** Takes rows until the part is as large as it should be, at least one, and says how many. Absent: it takes proven lines only. */
  readonly add?: (rows: readonly Row[]) => Promise<number>
  /** Absent: it cannot take proven lines as they are. */
  readonly addLines?: (lines: Uint8Array, count: number) => Promise<void>
  /** What was written so far; before compression. */
  readonly bytes: () => number
  /** Of lines that wait to become parts: what was written so far, by what the file holds. */
  readonly seen?: () => Part
  /** Makes what was written so far survive a power cut, and goes on; gives the files that hold it. */
  readonly sync: () => Promise<readonly Part[]>
  /** Closes the file; it is safe on the disk, but for lines that wait, which are read once more. */
  readonly finish: () => Promise<readonly Part[]>
  /** Closes the file as it is. */
  readonly close: () => Promise<void>
}
export type OpenPart = (file: string) => Promise<PartWriter>

const bufferBytes = 1_000_000

const textPart = async (
  file: string,
  { header, lineOf }: ReturnType<typeof textForm>,
  takesLines: boolean,
  partBytes: number,
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
    return [{ file: path.basename(file), rows, bytes, crc }]
  }
  return {
    add: async (added) => {
      let taken = 0
      for (const row of added) {
        buffer += lineOf(row)
        taken += 1
        if (buffer.length >= bufferBytes) await flush()
        if (bytes + buffer.length >= partBytes) break
      }
      rows += taken
      return taken
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
      const parts = await sync()
      await handle.close()
      return parts
    },
    close: () => handle.close(),
  }
}

/** A part of lines that wait to become Parquet, or to be put into folders; rows are taken where there is a way to write them as lines. */
export const linesPart = async (
  file: string,
  lineOf: ((row: Row) => string) | undefined,
  partBytes: number,
): Promise<PartWriter> => {
  const segment = await openSegment(file)
  const part = () => ({
    file: path.basename(file),
    rows: segment.rows(),
    bytes: segment.bytes(),
    crc: segment.crc(),
  })
  return {
    ...(lineOf !== undefined && {
      add: async (rows: readonly Row[]) => {
        let [taken, written, buffer] = [0, 0, '']
        const flush = async () => {
          await segment.add(Buffer.from(buffer), taken - written)
          written = taken
          buffer = ''
        }
        for (const row of rows) {
          buffer += lineOf(row)
          taken += 1
          if (segment.bytes() + buffer.length >= partBytes) break
          if (buffer.length >= bufferBytes) await flush()
        }
        await flush()
        return taken
      },
    }),
    addLines: segment.add,
    seen: part,
    bytes: segment.bytes,
    sync: async () => {
      await segment.sync()
      return [part()]
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

const sizeOf = (stored: Stored): number =>
  typeof stored === 'string'
    ? stored.length
    : Array.isArray(stored)
      ? (stored as readonly Stored[]).reduce<number>((sum, item) => sum + sizeOf(item), 8)
      : 8

/** How parts of a format are opened. Parquet goes through a temporary table of the connection and DuckDB's COPY, each commit into a file of its own until the part is full; text is written here, where every character is ours. */
export const partOpener = async (
  format: Format,
  table: ParquetTable,
  takesLines: boolean,
  partBytes: number,
): Promise<OpenPart> => {
  const { duck, connection, columns } = table
  if (format !== 'parquet') {
    const form = textForm(format, columns)
    return (file) => textPart(file, form, takesLines && format === 'ndjson', partBytes)
  }
  const stage = await openStage(duck, connection, columns, '')
  const names = identifiers(columns.map(({ name }) => name))
  return async (file) => {
    await stage.clear()
    let [bytes, waiting] = [0, [] as readonly Part[]]
    const query = `SELECT ${names} FROM ${stage.from}`
    const sync = async () => {
      await stage.gather()
      if (stage.rows() === 0) return waiting
      const beside = `${file.replace(/\.parquet$/, '')}-${waiting.length}.rows`
      waiting = [...waiting, ...(await writeParquet({ ...table, partitions: [] }, query, beside, stage.rows()))]
      await stage.clear()
      return waiting
    }
    return {
      add: async (rows) => {
        let taken = 0
        for (const row of rows) {
          for (const stored of row) bytes += sizeOf(stored)
          taken += 1
          if (bytes >= partBytes) break
        }
        await stage.add(taken < rows.length ? rows.slice(0, taken) : rows, false)
        return taken
      },
      bytes: () => bytes,
      sync,
      finish: async () => {
        if (waiting.length > 0) return foldRows(table, await sync(), file)
        await stage.gather()
        return writeParquet(table, query, file, stage.rows())
      },
      close: () => stage.clear(),
    }
  }
}
