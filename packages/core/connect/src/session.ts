import type { AnyRecord, Batch, CallOptions, Checked, Discovered, ReadOptions, WriteOptions } from '@ecokit/contracts'
import type { AnyWriter } from './data.ts'

type Perform = (input: unknown, options: CallOptions) => unknown

/** What a connector of unknown make gives back from `open`: whatever its manifest declares may still be missing. */
export interface AnySession {
  check(options: CallOptions): Promise<Checked>
  close?(): Promise<void>
  readonly provides?: Readonly<Record<string, Readonly<Record<string, Perform | undefined>> | undefined>>
  readonly read?: Readonly<Record<string, ((options: ReadOptions) => AsyncIterable<Batch<unknown>>) | undefined>>
  discover?(options: CallOptions): AsyncIterable<Discovered>
  readDiscovered?(name: string, options: ReadOptions): AsyncIterable<Batch<AnyRecord>>
  readonly write?: Readonly<Record<string, ((options: WriteOptions) => Promise<AnyWriter>) | undefined>>
  readonly events?: object
}
