import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { randomBytes } from 'node:crypto'
import type { NewEntry } from '@ecokit/audit'
import { openStore, type Row, type Store } from '@ecokit/store'
import { onTestFinished } from 'vitest'
import {
  environmentKeys,
  openVault,
  type Auditor,
  type KeyProvider,
  type Vault,
  type VaultOptions,
} from '../src/index.ts'

export const temporaryFolder = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-vault-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
export const openedStore = async (file = ':memory:'): Promise<Store> => {
  const store = await openStore(file)
  onTestFinished(() => store.close())
  return store
}
export const newKey = (): string => randomBytes(32).toString('base64')
export const keysOf = (...keys: readonly string[]): KeyProvider => environmentKeys('KEY', { KEY: keys.join(',') })

/** Keeps what it is told in memory. */
export const memoryAudit = (): Auditor & { readonly entries: NewEntry[] } => {
  const entries: NewEntry[] = []
  return {
    entries,
    append: (entry) => {
      entries.push(entry)
      return Promise.resolve()
    },
  }
}

export const me = { actor: 'test', reason: 'because' }
export const db = { partner: 'warehouse', name: 'db-password' }

/** A vault that allows everything and always asks the database, where nothing else is said. */
export const openedVault = async (options: Partial<VaultOptions> & { readonly store: Store }): Promise<Vault> => {
  const vault = await openVault({ keys: keysOf(newKey()), allow: () => true, freshMs: 0, ...options })
  onTestFinished(() => vault.close())
  return vault
}

export const rowsOf = (store: Store): Promise<Row<'vault_records'>[]> =>
  store.db.selectFrom('vault_records').selectAll().orderBy('name').orderBy('version').execute()

/** A small seeded generator (mulberry32): numbers below 1. */
export const randomOf = (start: number) => {
  let state = start
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
