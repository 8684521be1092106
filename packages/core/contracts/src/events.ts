import type { z } from 'zod'
import type { CallOptions } from './operations.ts'
import type { Checkpoint, ReadOptions } from './data.ts'

export interface EventType<Data extends z.ZodType = z.ZodType> {
  readonly data: Data
}
export type EventTypes = Readonly<Record<string, EventType>>

/** One thing that happened at a partner; `id` is the partner's own delivery or event id, `time` ISO 8601. */
export type PartnerEvent<E> = {
  [N in keyof E & string]: E[N] extends EventType<infer D>
    ? { readonly type: N; readonly id: string; readonly time: string; readonly data: z.output<D> }
    : never
}[keyof E & string]

/** A webhook call as it came, before anything is believed. */
export interface Delivery {
  readonly headers: Headers
  /** The raw bytes, over which the signature was made. */
  readonly body: Uint8Array
  /** The secrets that may have signed it, newest first (two while one is rotated). */
  readonly secrets: readonly string[]
  /** Epoch milliseconds. */
  readonly receivedAt: number
}

/** Any of three roads: pushed to us, watched by us, or both; at least one. */
export interface EventSource<E> {
  /** Verifies and translates a delivery; throws `unauthenticated` when no secret fits. */
  receive?(delivery: Delivery, options?: CallOptions): Promise<readonly PartnerEvent<E>[]>
  watch?(options: ReadOptions & { readonly types?: readonly (keyof E & string)[] }): AsyncIterable<{
    readonly events: readonly PartnerEvent<E>[]
    readonly checkpoint?: Checkpoint
  }>
  subscribe?(
    subscription: { readonly url: string; readonly secret: string; readonly types: readonly (keyof E & string)[] },
    options?: CallOptions,
  ): Promise<{ readonly id: string }>
  unsubscribe?(id: string, options?: CallOptions): Promise<void>
}
