import type { Store } from '@ecokit/store'

/** What is written down. Plain text by the caller's word: nothing is masked here, so no secret may stand in it. */
export interface NewEntry {
  /** Default `default`. */
  readonly tenant?: string
  /** Who: `user/anna`, `cli/root@host`, … At most 1,024 characters, like action and target. */
  readonly actor: string
  /** What was done or tried: `vault.get`, `partner.change`, … */
  readonly action: string
  /** To what: `partner/mlflow`, … */
  readonly target: string
  readonly outcome: 'allowed' | 'denied' | 'failed'
  /** Why, in the actor's words; at most 4,096 characters. */
  readonly reason?: string
  /** JSON; at most 16 KiB as text. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** An entry as it stands in the log. */
export interface AuditEntry extends NewEntry {
  readonly tenant: string
  /** Counts up from 1 without gaps. */
  readonly position: number
  /** When `append` was called, in epoch milliseconds. */
  readonly at: number
  /** The hash of the entry before; 64 zeros in the first. */
  readonly previous: string
  /** SHA-256 of the entry's text, which holds everything above; the next entry has it as `previous`. */
  readonly hash: string
}

/** Checks the signatures of one key. */
export interface Verifier {
  /** Stands in every head that the key signed. */
  readonly keyId: string
  verify(bytes: Uint8Array, signature: Uint8Array): boolean
}
export interface Signer extends Verifier {
  sign(bytes: Uint8Array): Uint8Array
}

export interface AuditOptions {
  readonly store: Store
  /** Signs how far the log went with every transaction. Without it a log can be rewritten as a whole by whoever writes the file. */
  readonly sign?: Signer
  /** Keys that signed earlier parts of this log and do not sign any more. */
  readonly trust?: readonly Verifier[]
  /** Epoch milliseconds; default the store's clock. */
  readonly now?: () => number
  /** After how many entries a head is kept for good. Default 512. */
  readonly headEvery?: number
  /** Where each head is written down once more, so that a database that was put back is found out; `null`: nowhere. Default: the database's path with `.audit-heads`. */
  readonly headsFile?: string | null
}

export interface ListOptions {
  /** Default 100, at most 1,000. */
  readonly limit?: number
  /** Only entries before this position: the last one of the page before. */
  readonly before?: number
  readonly tenant?: string
  readonly actor?: string
  readonly action?: string
  readonly target?: string
  readonly outcome?: NewEntry['outcome']
  /** Epoch milliseconds, the first included, the second not. */
  readonly from?: number
  readonly to?: number
}

export interface VerifyOptions {
  readonly signal?: AbortSignal
  /** Told now and then how many entries were looked at, of how many. */
  readonly onProgress?: (progress: { readonly entries: number; readonly of?: number }) => void
}

/** What became of the first entry that is not as it was written. */
export type Fault = 'edited' | 'removed' | 'inserted' | 'reordered' | 'truncated'

export type Verdict =
  | {
      readonly ok: true
      readonly entries: number
      /** When the newest head was written, in epoch milliseconds; absent in an empty log. */
      readonly headAt?: number
      /** The first entry that was written with a key: those before could have been exchanged until then. Absent where nothing is signed, or no key was given to check with. */
      readonly signedFrom?: number
    }
  | {
      readonly ok: false
      /** The first position at which the log is not what was written. */
      readonly position: number
      readonly kind: Fault
      /** A sentence for people. */
      readonly what: string
    }

/** An open log. Nothing needs closing; the store belongs to whoever opened it. */
export interface Audit {
  /** Resolves once the entry is on the disk. Appends that come together share one transaction. */
  append(entry: NewEntry): Promise<AuditEntry>
  /** The newest first. */
  list(options?: ListOptions): Promise<readonly AuditEntry[]>
  /** Looks at every entry in memory that does not grow with the log; others may append meanwhile. Throws `cancelled` when the signal is aborted. */
  verify(options?: VerifyOptions): Promise<Verdict>
  /** The whole log as lines of JSON without their line ends, for `verifyExport`. */
  export(): AsyncIterable<string>
}
