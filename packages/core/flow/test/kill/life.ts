/** What the test and the processes that it kills say to each other. */

/** Where a sync can be cut off; the process writes the number of each that it passes into a pipe, which outlives it. */
export const phases = [
  'start',
  'open sink',
  'read checkpoint',
  'fetch',
  'validate',
  'write',
  'written',
  'commit',
  'file renamed',
  'file moved',
  'committed, not noted',
  'note checkpoint',
  'checkpoint noted',
  'lineage',
  'dispose',
  'close sink',
  'close store',
] as const
export type Phase = (typeof phases)[number]

/** The life of one process. */
export interface Life {
  readonly sink: SinkPlace
  /** The page server. */
  readonly url: string
  /** Of the store and the lineage file. */
  readonly folder: string
  readonly streams: readonly { readonly stream: string; readonly disposition: 'append' | 'overwrite' | 'merge' }[]
  readonly full: boolean
  /** Kills itself when it comes to the phase for the nth time, so many milliseconds later. */
  readonly kill?: { readonly phase: Phase; readonly nth: number; readonly delayMs: number } | undefined
  /** Stores rows first and the checkpoint afterwards, as most tools do. */
  readonly naive: boolean
}
/** Where the rows go, as data: the process opens it with its own connector. */
export interface SinkPlace {
  readonly connector: 'local' | 'http-sink' | 'postgres'
  readonly sinkName: string
  readonly config: unknown
  readonly credentials?: unknown
}
