import { rm } from 'node:fs/promises'
import path from 'node:path'
import type { DuckDBAppender, DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { identifier, identifiers } from '@ecokit/connect/writing'
import { sqlType } from './columns.ts'
import { toDuck, vectorType } from './duck-values.ts'
import { lineSource } from './proven.ts'
import { openSegment, segmentBytes } from './segments.ts'
import type { Column } from './columns.ts'
import type { Duck } from './database.ts'
import type { SegmentWriter } from './segments.ts'
import type { Stored } from './values.ts'
import { makeFolder } from './make-folder.ts'

/** The most rows that a DuckDB vector holds. */
const chunkRows = 2048

/**
 * Rows that wait for a commit, in their order: in a temporary table of one connection, outside of the database file and its log and gone with the connection; and, where they came
 * as proven lines, in a segment behind it. `_ecokit_order` counts the rows, `_ecokit_deleted` marks deletes.
 */
export interface Stage {
  /** The temporary table; all rows are in it after `gather`. */
  readonly from: string
  readonly rows: () => number
  readonly hasDeletes: () => boolean
  /** True where proven lines are taken as they are. */
  readonly takesLines: boolean
  add(rows: readonly (readonly Stored[])[], deleted: boolean): Promise<void>
  addLines(lines: Uint8Array, count: number): Promise<void>
  /** After this, SQL sees every row in `from`. */
  gather(): Promise<void>
  /** After this, SQL sees every row in what is given, one after the other; cheaper than `gather`, without order and deletes. Call `close` when it has been read. */
  sources(): Promise<{ readonly froms: readonly string[]; close(): void }>
  clear(): Promise<void>
  /** Lets go of everything; the connection may be closed then. */
  close(): Promise<void>
}

/** `folder`: where segments are kept, nobody else's. */
export const openStage = async (
  duck: Duck,
  connection: DuckDBConnection,
  columns: readonly Column[],
  folder: string,
): Promise<Stage> => {
  const name = '_ecokit_rows'
  const from = `temp.main.${name}`
  const definitions = columns.map((column) => `${identifier(column.name)} ${sqlType(column.type)}`)
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE ${name} (${definitions.join(', ')}, _ecokit_order BIGINT, _ecokit_deleted BOOLEAN)`,
  )
  const types: readonly DuckDBType[] = [...columns.map(({ type }) => vectorType(duck, type)), duck.BIGINT, duck.BOOLEAN]
  const makers = columns.map(({ type }) => toDuck(duck, type))
  const readLines = lineSource(columns)
  const names = identifiers(columns.map((column) => column.name))
  let appender: DuckDBAppender | undefined
  let segment: SegmentWriter | undefined
  let loading: Promise<unknown> = Promise.resolve()
  /** All rows; how many of them are in the temporary table, or on their way into it. */
  let [rows, loaded, deletes, number] = [0, 0, 0, 0]
  const flush = () => {
    appender?.closeSync()
    appender = undefined
  }
  /** Begins to load the segment into the temporary table, on DuckDB's own thread. */
  const load = async () => {
    await loading
    flush()
    if (segment === undefined || readLines === undefined) return
    const closed = await segment.close()
    segment = undefined
    const before = loaded
    loaded += closed.rows
    loading = (async () => {
      const lines = await readLines(duck, connection, [closed])
      try {
        await connection.run(
          `INSERT INTO ${from} SELECT ${names}, ${before} + row_number() OVER () - 1, false FROM ${lines.from}`,
        )
      } finally {
        lines.close()
        await rm(closed.file, { force: true })
      }
    })()
    // Whoever waits for it next is told.
    loading.catch(() => undefined)
  }
  const gather = async () => {
    await load()
    await loading
  }
  return {
    from,
    rows: () => rows,
    hasDeletes: () => deletes > 0,
    takesLines: readLines !== undefined,
    add: async (added, deleted) => {
      if (added.length === 0) return
      await gather()
      appender ??= await connection.createAppender(name, 'main', 'temp')
      for (let start = 0; start < added.length; start += chunkRows) {
        const part = added.slice(start, start + chunkRows)
        const vectors: DuckDBValue[][] = makers.map((make, index) => part.map((row) => make(row[index] ?? null)))
        vectors.push(
          part.map((_row, index) => BigInt(rows + index)),
          part.map(() => deleted),
        )
        const chunk = duck.DuckDBDataChunk.create(types)
        chunk.setColumns(vectors)
        appender.appendDataChunk(chunk)
        rows += part.length
      }
      loaded = rows
      if (deleted) deletes += added.length
    },
    addLines: async (lines, count) => {
      if (segment === undefined) {
        await makeFolder(folder)
        segment = await openSegment(path.join(folder, `${(number += 1)}.lines`))
      }
      await segment.add(lines, count)
      rows += count
      // One is loaded while the next is filled; `load` waits until the one before is in.
      if (segment.bytes() >= segmentBytes) await load()
    },
    gather,
    sources: async () => {
      await loading
      flush()
      const froms = loaded > 0 ? [from] : []
      if (segment === undefined || readLines === undefined) return { froms, close: () => undefined }
      const { file, rows: count, bytes } = segment
      const lines = await readLines(duck, connection, [
        { file, rows: count(), bytes: bytes(), longest: segment.longest() },
      ])
      return { froms: [...froms, lines.from], close: lines.close }
    },
    clear: async () => {
      await loading
      flush()
      await segment?.discard()
      segment = undefined
      if (loaded > 0) await connection.run(`TRUNCATE ${from}`)
      ;[rows, loaded, deletes] = [0, 0, 0]
    },
    close: async () => {
      await loading.catch(() => undefined)
      try {
        flush()
      } catch {
        // What was staged is not wanted any more.
      }
      await segment?.discard()
    },
  }
}
