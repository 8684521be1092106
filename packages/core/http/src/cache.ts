import type { Shared } from '@ecokit/contracts'
import { freshUntil, fromText, toText, type Kept } from './freshness.ts'
import type { Clock, NetworkRuntime } from './types.ts'
import type { Target } from './wire.ts'

/** The replies that one connection keeps. */
export interface Cache {
  /** Names the reply to a GET with these credentials: one never sees what another was given. Undefined where that cannot be said. */
  key(target: Target, sent: Target): Promise<Key>
  get(key: Key): Promise<Kept | undefined>
  put(key: Key, kept: Kept): void
  delete(key: Key): void
  /** Something was changed at this origin: what was asked for before is no longer used unasked. */
  wrote(origin: string): void
  /** When something was last changed there; 0: never. */
  wroteAt(origin: string): number
}
export interface Key {
  readonly own: string
  /** Absent where replies are not shared, or not yet: see `slowly`. */
  readonly shared: string | undefined
}

const megabyte = 1024 * 1024
const sharedBytes = megabyte
const dayMs = 86_400_000
/** How often one call may ask for a key. */
const asksPerCall = 3
/** What an entry costs beside its bytes, roughly. */
const overhead = 1024

/** Entries by when they were last used, up to a number of bytes. */
const openMemory = (maxBytes: number) => {
  const entries = new Map<string, Kept>()
  let size = 0
  const weigh = (kept: Kept): number => kept.bytes.length + overhead
  const remove = (key: string): void => {
    const kept = entries.get(key)
    if (kept === undefined) return
    size -= weigh(kept)
    entries.delete(key)
  }
  return {
    get: (key: string): Kept | undefined => {
      const kept = entries.get(key)
      if (kept === undefined) return undefined
      entries.delete(key)
      entries.set(key, kept)
      return kept
    },
    put: (key: string, kept: Kept): void => {
      remove(key)
      // One reply alone may not push out all the others.
      if (weigh(kept) > maxBytes / 4) return
      entries.set(key, kept)
      size += weigh(kept)
      for (const oldest of entries.keys()) {
        if (size <= maxBytes) return
        remove(oldest)
      }
    },
    remove,
  }
}

/** What the authorizer added, and the certificate: what tells one credential from another. */
const added = (target: Target, sent: Target): string => {
  const headers = Object.entries(sent.headers).filter(([name, value]) => target.headers[name] !== value)
  const path = sent.path === target.path ? undefined : sent.path
  const certificate = sent.certificate?.cert
  return headers.length === 0 && path === undefined && certificate === undefined
    ? ''
    : JSON.stringify([headers, path, certificate])
}

/**
 * The name of a credential for a store that others can read: nobody may find a password by trying them out, so the name is derived slowly, once for each credential, and only for those
 * that more than one call comes with: a scheme that signs each request would have it derived each time.
 */
const slowly = (partner: string): ((credential: string) => Promise<string> | undefined) => {
  const seen = new Map<string, number>()
  const names = new Map<string, Promise<string>>()
  return (credential) => {
    if (credential === '') return Promise.resolve('none')
    const known = names.get(credential)
    if (known !== undefined) return known
    const times = (seen.get(credential) ?? 0) + 1
    if (seen.size > 1000) seen.clear()
    seen.set(credential, times)
    if (times <= asksPerCall) return undefined
    seen.delete(credential)
    const name = import('node:crypto').then(
      ({ scrypt }) =>
        new Promise<string>((resolve, reject) => {
          scrypt(credential, `ecokit replies ${partner}`, 16, (error, key) => {
            if (error === null) resolve(key.toString('hex'))
            else reject(error)
          })
        }),
    )
    if (names.size > 100) names.clear()
    names.set(credential, name)
    return name
  }
}

/** Opens what a connection keeps of replies; undefined where the runtime does not ask for it. */
export const openCache = (partner: string, runtime: NetworkRuntime, clock: Clock): Cache | undefined => {
  const { cache } = runtime
  if (cache === undefined || cache === false) return undefined
  const { maxBytes = 32 * megabyte, shared = false } = cache === true ? {} : cache
  const store: Shared | undefined = shared ? runtime.shared : undefined
  const memory = openMemory(maxBytes)
  const nameOf = slowly(partner)
  const writes = new Map<string, number>()
  return {
    key: async (target, sent) => {
      const { createHash } = await import('node:crypto')
      const hash = (text: string): string => createHash('sha256').update(text).digest('hex')
      const credential = added(target, sent)
      const url = target.origin + target.path
      const name = store === undefined ? undefined : await nameOf(credential)?.catch(() => undefined)
      return {
        own: hash(`${credential}\n${url}`),
        shared: name === undefined ? undefined : `replies/${partner}/${name}/${hash(url)}`,
      }
    },
    get: async (key) => {
      const kept = memory.get(key.own)
      if (kept !== undefined || store === undefined || key.shared === undefined) return kept
      // A store that fails costs a request and no more.
      const found = await store.get(key.shared).catch(() => undefined)
      const read = found === undefined ? undefined : fromText(found.value)
      if (read !== undefined) memory.put(key.own, read)
      return read
    },
    put: (key, kept) => {
      memory.put(key.own, kept)
      if (store === undefined || key.shared === undefined || kept.bytes.length > sharedBytes) return
      // Nobody waits for what others may have use for.
      const expiresAt = Math.max(clock.now(), freshUntil(kept)) + dayMs
      void store.put(key.shared, toText(kept), { expiresAt }).catch(() => false)
    },
    delete: (key) => {
      memory.remove(key.own)
      if (store !== undefined && key.shared !== undefined) void store.delete(key.shared).catch(() => {})
    },
    wrote: (origin) => void writes.set(origin, clock.now()),
    wroteAt: (origin) => writes.get(origin) ?? 0,
  }
}
