import type { AnyRecord, Batch, InvalidRecord } from '@ecokit/contracts'

/** A batch with the records that were left out of it; without a batch at the end of a read. */
export interface Piece {
  readonly batch: Batch<AnyRecord> | undefined
  readonly invalid: readonly InvalidRecord[]
  /** True once the read is known to have ended with this batch. */
  readonly isLast: () => boolean
}

/** How long a source may take to end once the run is over; one that does not listen must not hold it up. */
const patienceMs = 2_000

/** Resolves when the work has ended, however it did, or is given up. */
const patiently = async (work: Promise<unknown> | undefined): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const given = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs)
  })
  await Promise.race([work?.catch(() => undefined), given])
  clearTimeout(timer)
}

/** Reads one batch ahead and never more, so that source and sink work at the same time and a slow sink holds two batches. `stop` must end the read; `signal` ends it whether the source listens or not. */
export const pump = async function* (
  read: (onInvalid: (invalid: InvalidRecord) => void) => AsyncIterable<Batch<AnyRecord>>,
  stop: () => void,
  signal: AbortSignal,
): AsyncGenerator<Piece, void, undefined> {
  let invalid: InvalidRecord[] = []
  let ended = false
  const isLast = (): boolean => ended
  const iterator = read((record) => invalid.push(record))[Symbol.asyncIterator]()
  // A race with one lasting promise would keep every batch for as long as that is open.
  let refuse = (_reason: unknown): void => {}
  const giveUp = (): void => refuse(signal.reason)
  signal.addEventListener('abort', giveUp)
  const pull = async (): Promise<Piece> => {
    const next = await iterator.next()
    const piece = { batch: next.done === true ? undefined : next.value, invalid, isLast }
    ended = next.done === true && invalid.length === 0
    invalid = []
    return piece
  }
  const begin = (): Promise<Piece> => {
    const ahead = new Promise<Piece>((resolve, reject) => {
      refuse = reject
      pull().then(resolve, reject)
      if (signal.aborted) giveUp()
    })
    ahead.catch(() => undefined) // Told when it is its turn.
    return ahead
  }
  let ahead = begin()
  try {
    for (;;) {
      const piece = await ahead
      if (piece.batch === undefined) {
        if (piece.invalid.length > 0) yield piece
        return
      }
      ahead = begin()
      yield piece
    }
  } finally {
    signal.removeEventListener('abort', giveUp)
    stop()
    await patiently(iterator.return?.())
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
