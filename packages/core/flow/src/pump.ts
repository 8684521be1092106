import type { AnyRecord, Batch, InvalidRecord } from '@ecokit/contracts'

/** A batch with the records that were left out of it; without a batch at the end of a read. */
export interface Piece {
  readonly batch: Batch<AnyRecord> | undefined
  readonly invalid: readonly InvalidRecord[]
}

/** Reads one batch ahead and never more, so that source and sink work at the same time and a slow sink holds two batches. `stop` must end the read. */
export const pump = async function* (
  read: (onInvalid: (invalid: InvalidRecord) => void) => AsyncIterable<Batch<AnyRecord>>,
  stop: () => void,
): AsyncGenerator<Piece, void, undefined> {
  let invalid: InvalidRecord[] = []
  const iterator = read((record) => invalid.push(record))[Symbol.asyncIterator]()
  const pull = async (): Promise<Piece> => {
    const next = await iterator.next()
    const piece = { batch: next.done === true ? undefined : next.value, invalid }
    invalid = []
    return piece
  }
  let ahead = pull()
  try {
    for (;;) {
      const piece = await ahead
      if (piece.batch === undefined) {
        if (piece.invalid.length > 0) yield piece
        return
      }
      ahead = pull()
      ahead.catch(() => undefined) // Told when it is its turn.
      yield piece
    }
  } finally {
    stop()
    await iterator.return?.().catch(() => undefined)
  }
}

const sampled = 32

const sizeOf = (value: unknown): number => {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  if (value instanceof Uint8Array) return value.byteLength
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + sizeOf(item) + 1, 2)
  return Object.entries(value).reduce((sum, [key, field]) => sum + key.length + 4 + sizeOf(field), 2)
}

/** How many bytes a batch holds: exactly where it is bytes, else estimated from up to 32 of its records. */
export const batchBytes = (batch: Batch<AnyRecord>): number => {
  if (batch.encoding !== 'records') return batch.bytes.byteLength
  const { records } = batch
  const step = Math.max(1, records.length / sampled)
  let sum = 0
  let seen = 0
  for (let at = 0; at < records.length; at += step, seen += 1) sum += sizeOf(records[Math.floor(at)])
  return seen === 0 ? 0 : Math.round((sum / seen) * records.length)
}
