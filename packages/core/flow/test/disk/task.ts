import type { AnyRecord } from '@ecokit/contracts'

/** What is done to a file: it is cut to a length, or one of its bits is another. */
export type Damage =
  | { readonly file: string; readonly length: number }
  | { readonly file: string; readonly at: number; readonly bit: number }
/** Which calls of the file system fail: `mask` says which kinds, see shim.c; the nth of them, and those after it where it is sticky. */
export interface Fault {
  readonly mask: number
  readonly nth: number
  readonly errno: number
  readonly sticky: boolean
}
export const kinds = { write: 1, sync: 2, open: 4, name: 8, size: 16 } as const

export interface Task {
  readonly url: string
  readonly sinkName: string
  readonly config: 'database' | 'folder'
  readonly streams: readonly { readonly stream: string; readonly disposition: 'append' | 'overwrite' | 'merge' }[]
  /** Copied to `work` first; absent: what a process left there that died. */
  readonly golden?: string | undefined
  readonly work: string
  readonly damage?: Damage | undefined
  readonly fault?: Fault | undefined
}
export interface Sentence {
  readonly code: string
  readonly message: string
}
export interface Outcome {
  /** How the sync failed that met the fault; undefined: it did not. */
  readonly first?: Sentence | undefined
  /** The same of the next one, after the fault. */
  readonly second?: Sentence | undefined
  readonly counted: number
  readonly fired: number
  /** What the tables held in the end, or why they could not be read. */
  readonly found: Sentence | Readonly<Record<string, readonly AnyRecord[]>>
}
