import type { AnyRecord, Batch } from '@ecokit/contracts'

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
