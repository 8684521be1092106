import { isUtf8 } from 'node:buffer'
import type { AnyRecord, Batch, InvalidRecord } from '@ecokit/contracts'

declare const JSON: {
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): unknown
} & typeof globalThis.JSON

const feed = 10
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 32 || byte === 9 || byte === 13)

/** The lines of NDJSON that hold something, in order. */
const linesOf = function* (bytes: Uint8Array): Iterable<Uint8Array> {
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(feed, start)
    const end = found === -1 ? bytes.length : found
    const line = bytes.subarray(start, end)
    if (!isBlank(line)) yield line
    start = end + 1
  }
}

/** The text of some lines, by their index; looks at the bytes only as far as the last of them. */
export const linesAt = (bytes: Uint8Array, wanted: readonly number[]): ReadonlyMap<number, string> => {
  const left = new Set(wanted)
  const found = new Map<number, string>()
  if (left.size === 0) return found
  let index = 0
  for (const line of linesOf(bytes)) {
    if (left.delete(index)) found.set(index, decoder.decode(line).trim())
    if (left.size === 0) break
    index += 1
  }
  return found
}

// An integer beyond 2^53 has 16 digits or more.
const suspect = /(?<![\d.])\d{16,}(?![\d.eE])/

/** JSON.parse, except that an integer beyond 2^53 becomes a bigint. */
export const parseExact = (text: string): unknown =>
  suspect.test(text)
    ? JSON.parse(text, (_key, value, { source }) =>
        typeof value === 'number' &&
        !Number.isSafeInteger(value) &&
        source !== undefined &&
        /^-?\d{1,1000}$/.test(source)
          ? BigInt(source)
          : value,
      )
    : JSON.parse(text, undefined as never)

const recordIn = (line: Uint8Array, good: boolean): AnyRecord | InvalidRecord => {
  const text = decoder.decode(line)
  if (!good && !isUtf8(line)) return { record: text, field: '', reason: 'not UTF-8' }
  try {
    const record = parseExact(text)
    if (typeof record === 'object' && record !== null && !Array.isArray(record))
      return { record, field: '', reason: '' }
    return { record: text, field: '', reason: 'not an object' }
  } catch {
    return { record: text, field: '', reason: 'not JSON' }
  }
}

/** The records of a batch as exact objects, with those that cannot be read; undefined for Arrow, which only a sink can read. */
export const recordsOf = (
  batch: Batch<AnyRecord>,
): { readonly records: readonly AnyRecord[]; readonly invalid: readonly InvalidRecord[] } | undefined => {
  if (batch.encoding === 'records') return { records: batch.records, invalid: [] }
  if (batch.encoding === 'arrow') return undefined
  const records: AnyRecord[] = []
  const invalid: InvalidRecord[] = []
  const good = isUtf8(batch.bytes)
  for (const line of linesOf(batch.bytes)) {
    const read = recordIn(line, good) as InvalidRecord
    if (read.reason === '') records.push(read.record as AnyRecord)
    else invalid.push(read)
  }
  return { records, invalid }
}

/** A batch of other records in the place of one. */
export const withRecords = (
  { checkpoint, deleted }: Batch<AnyRecord>,
  records: readonly AnyRecord[],
): Batch<AnyRecord> => ({
  encoding: 'records',
  records,
  ...(deleted !== undefined && { deleted }),
  ...(checkpoint !== undefined && { checkpoint }),
})
