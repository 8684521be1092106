import { Buffer } from 'node:buffer'
import { toJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, Checkpoint } from '@ecokit/contracts'
import { batches as cutRecords, digest } from '../reading.ts'
import type { FindValue } from './lines.ts'

/** Some rows of a page, as bytes or as records. */
export interface Rows {
  readonly count: number
  /** The first and the last row: pages of a stream with a key that have the same are the same page. */
  readonly edges: string
  /** Rows whose value of the cursor is wanted; `look` sees every value once. */
  readonly keep: (look: (value: string | undefined) => boolean) => Rows
  /** A digest for each slice of so many rows, which stands for all that is in it. */
  readonly digests: (size: number) => readonly string[]
  /** What is handed on: pieces of some megabytes, the last with what holds once all are stored. */
  readonly batches: (checkpoint: Checkpoint) => Iterable<Batch<AnyRecord>>
}

const mostBytes = 4 * 1024 * 1024
const newline = 10
const countLines = (bytes: Buffer): number => {
  let count = 0
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) count++
  return count
}

const mostOfEdge = 4096
/** Enough of a row to tell it from others by its key, without copying one of many megabytes. */
const edge = (row: Buffer): string =>
  `${row.length} ${row.toString('latin1', 0, mostOfEdge)} ${row.toString('latin1', Math.max(0, row.length - mostOfEdge))}`

/** Lines of proven NDJSON, each ended, which nobody writes over. */
export const lineRows = (bytes: Buffer, count: number, find: FindValue | undefined): Rows => ({
  count,
  get edges() {
    const last = bytes.lastIndexOf(newline, bytes.length - 2) + 1
    return edge(bytes.subarray(0, bytes.indexOf(newline))) + edge(bytes.subarray(last))
  },
  keep: (look) => {
    const kept: Buffer[] = []
    let rows = 0
    let begun = 0
    // Searching a text costs a fraction of searching bytes.
    const lines = bytes.toString('latin1')
    for (let from = 0; from < lines.length;) {
      const end = lines.indexOf('\n', from) + 1
      if (look(find?.(lines, from, end - 1))) rows++
      else {
        if (from > begun) kept.push(bytes.subarray(begun, from))
        begun = end
      }
      from = end
    }
    if (begun === 0) return lineRows(bytes, count, find)
    if (begun < bytes.length) kept.push(bytes.subarray(begun))
    return lineRows(Buffer.concat(kept), rows, find)
  },
  digests: (size) => {
    const found: string[] = []
    for (let from = 0, left = count; left > 0; left -= size) {
      let end = from
      for (let line = Math.min(size, left); line > 0; line--) end = bytes.indexOf(newline, end) + 1
      found.push(digest(bytes.subarray(from, end)))
      from = end
    }
    return found
  },
  batches: function* (checkpoint) {
    const batch = (lines: Buffer, rows: number) => ({
      encoding: 'ndjson' as const,
      bytes: lines as Uint8Array,
      count: rows,
      proven: true,
    })
    let from = 0
    let left = count
    while (bytes.length - from > mostBytes) {
      // The last line that still fits, or the first one, however long it is.
      const last = bytes.lastIndexOf(newline, from + mostBytes - 1)
      const end = (last >= from ? last : bytes.indexOf(newline, from)) + 1
      if (end === bytes.length) break
      const piece = bytes.subarray(from, end)
      const rows = countLines(piece)
      yield batch(piece, rows)
      left -= rows
      from = end
    }
    yield { ...batch(bytes.subarray(from), left), checkpoint }
  },
})

/** A value of the cursor as it stands in JSON, but without quotes. */
const textOf = (value: unknown): string | undefined => {
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' ? value : toJson(value)
}

/** Records, each with its value of the cursor in `field`, which is left out of what is handed on where it is `hidden`. */
export const recordRows = (records: readonly AnyRecord[], field: string | undefined, hidden: boolean): Rows => ({
  count: records.length,
  get edges() {
    return [records[0], records.at(-1)].map((row) => (row === undefined ? '' : edge(Buffer.from(toJson(row))))).join()
  },
  keep: (look) =>
    recordRows(
      records.filter((record) => {
        return look(textOf(field === undefined ? undefined : record[field]))
      }),
      field,
      hidden,
    ),
  digests: (size) =>
    Array.from({ length: Math.ceil(records.length / size) }, (_, index) =>
      digest(
        records
          .slice(index * size, (index + 1) * size)
          .map((row) => toJson(row))
          .join(),
      ),
    ),
  batches: (checkpoint) => {
    const shown = (row: AnyRecord): AnyRecord => {
      if (!hidden || field === undefined) return row
      const { [field]: _hidden, ...rest } = row
      return rest
    }
    return cutRecords(
      records.map((row) => ({ row: shown(row), size: toJson(row).length })),
      { checkpoint },
    )
  },
})
