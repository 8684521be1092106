import { isUtf8 } from 'node:buffer'
import { fromJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, InvalidRecord } from '@ecokit/contracts'

const feed = 10
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** True where a line holds nothing but white space. */
const isBlank = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]
    if (byte !== 32 && byte !== 9 && byte !== 13) return false
  }
  return true
}

/** Calls `line` with the bounds of each line that holds something, until it says that it has seen enough. */
const eachLine = (bytes: Uint8Array, line: (start: number, end: number) => boolean): void => {
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(feed, start)
    const end = found === -1 ? bytes.length : found
    if (!isBlank(bytes, start, end) && line(start, end)) return
    start = end + 1
  }
}

/** The text of some lines, by their index; looks at the bytes only as far as the last of them. */
export const linesAt = (bytes: Uint8Array, wanted: readonly number[]): ReadonlyMap<number, string> => {
  const left = new Set(wanted)
  const found = new Map<number, string>()
  if (left.size === 0) return found
  let index = -1
  eachLine(bytes, (start, end) => {
    index += 1
    if (left.delete(index)) found.set(index, decoder.decode(bytes.subarray(start, end)).trim())
    return left.size === 0
  })
  return found
}

/** The record of a line, or why there is none. */
const recordIn = (
  line: Uint8Array,
  good: boolean,
): { readonly record: AnyRecord } | { readonly invalid: InvalidRecord } => {
  const text = decoder.decode(line)
  const refuse = (reason: string) => ({ invalid: { record: text, field: '', reason } })
  if (!good && !isUtf8(line)) return refuse('not UTF-8')
  try {
    const record = fromJson(text)
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return refuse('not an object')
    return { record: record as AnyRecord }
  } catch {
    return refuse('not JSON')
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
  const { bytes } = batch
  eachLine(bytes, (start, end) => {
    const read = recordIn(bytes.subarray(start, end), good)
    if ('record' in read) records.push(read.record)
    else invalid.push(read.invalid)
    return false
  })
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
