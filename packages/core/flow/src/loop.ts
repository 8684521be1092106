import { createHash } from 'node:crypto'
import { integrationError, toJson, type AnyRecord, type Batch } from '@ecokit/contracts'

/** How often a batch may come again before it is a loop. Records without a key may well be the same for a while. */
const limits = { keyed: 16, keyless: 1_000, empty: 10_000 } as const

const digestOf = (batch: Batch<AnyRecord>): string => {
  const hash = createHash('sha256').update(toJson(batch.deleted ?? []))
  return hash.update(batch.encoding === 'records' ? toJson(batch.records) : batch.bytes).digest('base64')
}

interface Seen {
  readonly outline: string
  readonly digest: string
}

/**
 * Ends a read that goes in circles, of any length: the same batches with the same checkpoints again and again (Brent's cycle detection). Remembers one batch, as a digest, and looks at the content of others only where their outline is the same.
 */
export const openLoopGuard = (
  partner: string,
  stream: string,
  keyed: boolean,
): ((batch: Batch<AnyRecord>, bytes: number) => void) => {
  const most = keyed ? limits.keyed : limits.keyless
  let mark: Seen | undefined
  let span = 1
  let steps = 0
  let again = 0
  return (batch, bytes) => {
    const count = batch.encoding === 'records' ? batch.records.length : batch.count
    // A source that searches may find nothing for long.
    const limit = count + (batch.deleted?.length ?? 0) === 0 ? limits.empty : most
    const outline = toJson([count, bytes, batch.deleted?.length, batch.checkpoint])
    const isSame = mark?.outline === outline && mark.digest === digestOf(batch)
    if (isSame) again += 1
    if (isSame && again >= limit)
      throw integrationError('invalid_reply', {
        partner,
        what: `${stream}: the same ${count} records came again ${again} times, with the same checkpoint: the read goes in circles`,
        next: 'Report it to the maker of the connector',
        details: {},
      })
    steps += 1
    if (steps < span) return
    mark = { outline, digest: digestOf(batch) }
    span *= 2
    steps = 0
    again = 0
  }
}
