import { open, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { FileHandle } from 'node:fs/promises'
import type { DuckDBConnection } from '@duckdb/node-api'
import { identifiers, literal } from '../sql.ts'
import { openStage } from '../stage.ts'
import { cellOf, csvCell, jsonOf } from './text.ts'
import type { Column } from '../columns.ts'
import type { Duck } from '../database.ts'
import type { Stored } from '../values.ts'
import type { Format, Part } from './layout.ts'

type Row = readonly Stored[]
/** Writes one part; a part that is not finished leaves nothing behind. */
export interface PartWriter {
  readonly add: (rows: readonly Row[]) => Promise<void>
  /** What was written so far; before compression. */
  readonly bytes: () => number
  /** Closes the file so that it survives a power cut. */
  readonly finish: () => Promise<Part>
  readonly discard: () => Promise<void>
}
export type OpenPart = (file: string) => Promise<PartWriter>

const bufferBytes = 1_000_000

const textPart = async (file: string, header: string, lineOf: (row: Row) => string): Promise<PartWriter> => {
  const handle: FileHandle = await open(file, 'w')
  let [rows, bytes, buffer] = [0, 0, header]
  const flush = async () => {
    const data = Buffer.from(buffer)
    buffer = ''
    bytes += data.length
    await handle.writeFile(data)
  }
  return {
    add: async (added) => {
      for (const row of added) {
        buffer += lineOf(row)
        if (buffer.length >= bufferBytes) await flush()
      }
      rows += added.length
    },
    bytes: () => bytes + buffer.length,
    finish: async () => {
      await flush()
      await handle.sync()
      await handle.close()
      return { file: path.basename(file), rows, bytes }
    },
    discard: async () => {
      await handle.close().catch(() => undefined)
      await rm(file, { force: true })
    },
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
): Promise<OpenPart> => {
  if (format === 'csv') {
    const header = `${columns.map(({ name }) => csvCell(name)).join(',')}\r\n`
    const cells = columns.map(({ type }) => cellOf(type))
    return (file) =>
      textPart(file, header, (row) => `${cells.map((cell, index) => cell(row[index] ?? null)).join(',')}\r\n`)
  }
  if (format === 'ndjson') {
    const fields = columns.map(({ name, type }) => {
      const [key, json] = [`${JSON.stringify(name)}:`, jsonOf(type)]
      return (stored: Stored) => key + json(stored)
    })
    return (file) =>
      textPart(file, '', (row) => `{${fields.map((field, index) => field(row[index] ?? null)).join(',')}}\n`)
  }
  const stage = await openStage(duck, connection, columns)
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
        stage.flush()
        const names = identifiers(columns.map(({ name }) => name))
        await connection.run(
          `COPY (SELECT ${names} FROM ${stage.from}) TO ${literal(file)} (FORMAT parquet, COMPRESSION zstd)`,
        )
        const handle = await open(file, 'r+')
        try {
          await handle.sync()
        } finally {
          await handle.close()
        }
        return { file: path.basename(file), rows: stage.rows(), bytes: (await stat(file)).size }
      },
      discard: async () => {
        await stage.clear().catch(() => undefined)
        await rm(file, { force: true })
      },
    }
  }
}
