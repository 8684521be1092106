import { fromJson, integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch } from '@ecokit/contracts'
import { refusal, refuse } from './refused.ts'

/** About where a batch is cut, in bytes. */
export const batchBytes = 2_000_000

const sizeOf = (value: unknown): number => {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + sizeOf(item), 8)
  let sum = 8
  for (const [key, field] of Object.entries(value)) sum += key.length + sizeOf(field)
  return sum
}

/** Collects records into batches of bounded size. */
export const batcher = (): {
  add(record: AnyRecord): Batch<AnyRecord> | undefined
  rest(): Batch<AnyRecord> | undefined
} => {
  let records: AnyRecord[] = []
  let bytes = 0
  const cut = (): Batch<AnyRecord> => {
    const batch = { encoding: 'records' as const, records }
    records = []
    bytes = 0
    return batch
  }
  return {
    add: (record) => {
      records.push(record)
      bytes += sizeOf(record)
      return bytes >= batchBytes ? cut() : undefined
    },
    rest: () => (records.length > 0 ? cut() : undefined),
  }
}

/** The lines of NDJSON bytes, without the empty ones. */
export const linesOf = function* (bytes: Uint8Array): Iterable<Uint8Array> {
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(10, start)
    const stop = end === -1 ? bytes.length : end
    const line = bytes.subarray(start, bytes[stop - 1] === 13 ? stop - 1 : stop)
    if (line.length > 0) yield line
    start = stop + 1
  }
}
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** What stands in one line; refuses what is no JSON in UTF-8. */
export const parseLine = (line: Uint8Array): unknown => {
  let text: string
  try {
    text = decoder.decode(line)
  } catch {
    return refuse('not UTF-8')
  }
  try {
    return fromJson(text)
  } catch {
    return refuse('not JSON')
  }
}

/** The rows of deletes, as `makeRow` makes them of records that have the key's fields only. A key that cannot be read ends the write. */
export const sortDeletes = <Row>(
  deleted: readonly AnyRecord[] | undefined,
  keys: readonly string[],
  makeRow: (record: AnyRecord) => Row,
  { partner, table }: { readonly partner: string; readonly table: string },
): readonly Row[] => {
  if (deleted === undefined || deleted.length === 0) return []
  if (keys.length === 0)
    throw integrationError('unsupported', {
      partner,
      what: `table ${table} has no primary key, so nothing can be deleted from it`,
      details: { what: 'deleted' },
    })
  return deleted.map((record) => {
    try {
      return makeRow(Object.fromEntries(keys.map((key) => [key, Object.hasOwn(record, key) ? record[key] : undefined])))
    } catch (thrown) {
      const reason = refusal(thrown)
      if (reason === undefined) throw thrown
      throw integrationError('invalid_data', {
        partner,
        what: `table ${table}: a deleted record's key cannot be read: ${reason}`,
        details: { stream: table, field: keys.join(', ') },
      })
    }
  })
}
