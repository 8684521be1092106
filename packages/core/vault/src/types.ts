import type { NewEntry } from '@ecokit/audit'
import type { Shared } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'

/** Which secret: of one partner, or of any (`*`). */
export interface SecretName {
  /** `*`: usable by any partner. A secret of the partner itself wins over one of `*`. */
  readonly partner: string
  readonly name: string
}

/** Who wants it and why; both stand in the audit log. */
export interface Access {
  readonly actor: string
  readonly reason: string
}

/** `token.*`: what `vault.tokens` does; all others are the method of the same name. */
export type VaultAction =
  | 'get'
  | 'put'
  | 'list'
  | 'versions'
  | 'remove'
  | 'activate'
  | 'rotate'
  | 'destroyKey'
  | 'export'
  | 'import'
  | 'token.read'
  | 'token.write'

/** What `allow` decides on. Actions on the whole vault have `*` as partner and as name. */
export interface AccessRequest extends Access, SecretName {
  readonly action: VaultAction
  readonly tenant: string
}

/** Where accesses are written down; the `Audit` of @ecokit/audit is one. An access is answered only after `append` has resolved. */
export interface Auditor {
  append(entry: NewEntry): Promise<unknown>
}

/**
 * Where key-encryption keys live. They never leave it: data keys go in and come out. A key management service can be one.
 * Several may be there at once: the newest wraps, all unwrap.
 */
export interface KeyProvider {
  /** For messages and `status`: `file`, `environment`, `mounted`, … */
  readonly kind: string
  /** The id of the key that wraps from now on; asks anew each time. Throws `invalid_config` where there is none, and says how to make one. */
  current(): Promise<string>
  /** Seals a data key under the current key; `aad` must be given again to `unwrap`. */
  wrap(dataKey: Uint8Array, aad: Uint8Array): Promise<{ readonly keyId: string; readonly wrapped: Uint8Array }>
  /** Throws `invalid_config` where there is no such key or it does not fit. The caller wipes what it gets. */
  unwrap(keyId: string, wrapped: Uint8Array, aad: Uint8Array): Promise<Uint8Array>
  /** Makes a new key, which is the current one from then on; absent where somebody else makes keys. */
  add?(): Promise<string>
  /** Destroys a key for good, and says false where there is none; absent where somebody else keeps them. */
  destroy?(keyId: string): Promise<boolean>
}

export interface VaultOptions {
  readonly store: Store
  readonly keys: KeyProvider
  /** Default: nothing is written down. */
  readonly audit?: Auditor
  /** Default `default`. Tenants have data keys of their own and cannot read each other. */
  readonly tenant?: string
  /** Default: nothing is allowed. */
  readonly allow?: (request: AccessRequest) => boolean | Promise<boolean>
  /** Epoch milliseconds; default the store's clock. */
  readonly now?: () => number
  /** That many random bytes, unpredictable; default the machine's own generator. For tests only. */
  readonly random?: (size: number) => Uint8Array
  /** How long (ms) a sealed record may be answered from memory, so how long another process's change may go unseen. Own changes are seen at once. 0: never. Default 1,000. */
  readonly freshMs?: number
  /** Repeats of the same read by the same actor within that time (ms) are counted into one audit entry; 0: an entry for each. Default 60,000. */
  readonly auditWindowMs?: number
  /** A data key that was used so often is replaced by itself. At least 250, default and at most 2^30: random 96-bit nonces are safe up to 2^32. */
  readonly maxUses?: number
}

/** A version without its value. Times are epoch milliseconds. */
export interface SecretVersion {
  readonly version: number
  /** The one that `get` gives. */
  readonly active: boolean
  readonly createdAt: number
}
export interface SecretEntry extends SecretName {
  readonly versions: readonly SecretVersion[]
}

/** One step of a rotation that is under way. */
export interface RotateProgress {
  readonly step: 'key_encryption_key' | 'data_keys'
  readonly done: number
  /** What had to be done when this step began; writers may change it meanwhile. */
  readonly total: number
}
/** What a rotation did. */
export interface Rotated {
  readonly keyEncryptionKey?: {
    readonly to: string
    /** False where the current key was new already, or the provider cannot make one. */
    readonly made: boolean
    /** Data keys that were wrapped anew. */
    readonly rewrapped: number
    /** Keys that nothing of this tenant needs any more. */
    readonly from: readonly string[]
  }
  readonly dataKeys?: {
    readonly to: string
    /** True where an earlier rotation that was interrupted was brought to its end instead of making a new key: call again for one. */
    readonly resumed: boolean
    readonly moved: number
    /** Keys that nothing needs any more: `destroyKey` takes them. */
    readonly from: readonly string[]
    /** Damaged records: they open under no key, so they stay as they are and hold their key. */
    readonly unreadable: readonly (SecretName & { readonly version: number; readonly kind: 'secret' | 'token' })[]
  }
}
export interface RotateOptions {
  /** With neither this nor `dataKeys` both are done. */
  readonly keyEncryptionKey?: boolean
  readonly dataKeys?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RotateProgress) => void
}

export interface VaultStatus {
  readonly tenant: string
  readonly secrets: number
  readonly tokens: number
  readonly keyEncryptionKey: { readonly provider: string; readonly current: string }
  readonly dataKeys: readonly {
    readonly id: string
    readonly state: 'active' | 'retired' | 'destroyed'
    readonly keyEncryptionKey: string
    /** How often it has sealed, of at most `maxUses`. */
    readonly uses: number
    /** How many sealed values need it. */
    readonly records: number
    readonly createdAt: number
  }[]
  readonly maxUses: number
}

/** Sealed secrets of one tenant. Everything but `status`, `tokens` and `close` asks `allow` first (`forbidden`) and is written down. */
export interface Vault extends AsyncDisposable {
  /** The active version, or the one that is named; falls back to the secret of `*`. `not_found` where there is none. */
  get(name: SecretName, access: Access, options?: { readonly version?: number }): Promise<string>
  /** Adds a version and makes it the active one; staged, it waits for `activate`. Gives its number. Older versions stay. */
  put(name: SecretName, value: string, access: Access, options?: { readonly stage?: boolean }): Promise<number>
  /** Never shows a value. */
  list(access: Access): Promise<readonly SecretEntry[]>
  /** Newest first. */
  versions(name: SecretName, access: Access): Promise<readonly SecretVersion[]>
  /** Makes a version the active one: a newer one to switch, an older one to roll back. */
  activate(name: SecretName, version: number, access: Access): Promise<void>
  /** Every version, or one that is not the active one. A number is never given again. */
  remove(name: SecretName, access: Access, options?: { readonly version?: number }): Promise<void>
  /** New keys while readers and writers go on; safe to kill, and to call again. */
  rotate(options: RotateOptions, access: Access): Promise<Rotated>
  /** A data key that is retired, or a key-encryption key that is not current; `conflict` while anything of any tenant needs it. */
  destroyKey(keyId: string, access: Access): Promise<void>
  status(): Promise<VaultStatus>
  /** Every secret with all its versions, sealed under a passphrase of at least 12 characters; tokens are left out, for two holders of one refresh token lock each other out. */
  export(passphrase: string, access: Access): Promise<string>
  /** Gives how many secrets came in: all or none. Refuses (`conflict`) where one exists already; `overwrite` adds newer versions instead. */
  import(
    document: string,
    passphrase: string,
    access: Access,
    options?: { readonly overwrite?: boolean },
  ): Promise<number>
  /** Values become sealed records of this vault; leases and rate budgets stay with `shared`. */
  tokens(shared: Shared, access?: Access): Shared
  /** Writes down what is still counted and forgets all keys; the store stays open. */
  close(): Promise<void>
}
