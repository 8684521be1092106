import type { AnyRecord, Batch, InvalidRecord, Writer } from '@ecokit/contracts'
import type { Counts } from './types.ts'

/** A batch without the records that were taken out of it. */
export interface Judged {
  readonly batch: Batch<AnyRecord>
  readonly putAside: readonly InvalidRecord[]
}

/** What the quality rules of one stream say during one pass. Without rules there is none, and encoded batches reach the sink untouched. */
export interface Judge {
  /** Looks at a batch after mapping and before the sink does. */
  judge(batch: Batch<AnyRecord>): Judged | Promise<Judged>
  /** Called before every commit; `complete` on the last one. What it throws fails the stream, and what was not committed yet is never seen. `counts` holds everything up to here. */
  finish(
    writer: Writer<AnyRecord>,
    about: { readonly counts: Counts; readonly complete: boolean; readonly signal: AbortSignal },
  ): Promise<void>
}
