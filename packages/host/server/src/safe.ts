import { createPrivateKey, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isIntegrationError } from '@ecokit/contracts'
import type { Shared } from '@ecokit/contracts'
import type { Audit, Signer } from '@ecokit/audit'
import { openShared } from '@ecokit/store'
import type { Store } from '@ecokit/store'
import type { Access, AccessRequest, KeyProvider, Vault } from '@ecokit/vault'

export type { Access } from '@ecokit/vault'

type Environment = Readonly<Record<string, string | undefined>>

/** Where the vault's key is looked for, in this order: `ECOKIT_KEY` (the key itself), `ECOKIT_KEY_FILE` (a file that somebody mounts), `vault.key` in the state folder. */
export const keyPlace = (
  stateFolder: string,
  env: Environment,
): { readonly kind: 'environment' | 'mounted' | 'file'; readonly where: string; readonly there: boolean } => {
  const given = (variable: string) => (env[variable] ?? '').trim() !== ''
  if (given('ECOKIT_KEY')) return { kind: 'environment', where: 'ECOKIT_KEY', there: true }
  if (given('ECOKIT_KEY_FILE')) return { kind: 'mounted', where: resolve(env['ECOKIT_KEY_FILE'] ?? ''), there: true }
  const where = join(stateFolder, 'vault.key')
  return { kind: 'file', where, there: existsSync(where) }
}

const openKeys = async (stateFolder: string, env: Environment): Promise<KeyProvider> => {
  const { environmentKeys, fileKeys, mountedKeys } = await import('@ecokit/vault')
  const { kind, where } = keyPlace(stateFolder, env)
  return kind === 'environment'
    ? environmentKeys(where, env)
    : kind === 'mounted'
      ? mountedKeys(where)
      : fileKeys(where)
}

/** An Ed25519 private key as PKCS #8 is this and the 32 bytes of its seed (RFC 8410, section 7). */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Signs the heads of the audit log with a key of its own, whose seed lies sealed in the vault. */
const signerOf = async (seed: Uint8Array): Promise<Signer> => {
  const { ed25519Signer } = await import('@ecokit/audit')
  return ed25519Signer(createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' }))
}

/** What a vault is opened for: `use` reads the secrets of partners, `manage` changes what is kept and reads nothing. */
export type Purpose = 'use' | 'manage'
const allowedActions: Readonly<Record<Purpose, readonly string[]>> = {
  use: ['get', 'token.read', 'token.write'],
  manage: ['put', 'list', 'versions', 'activate', 'remove', 'rotate', 'destroyKey', 'export', 'import'],
}

export interface SafeOptions {
  readonly store: Store
  readonly stateFolder: string
  readonly env: Environment
  /** Who acts, and why: stands in the audit log with every access. */
  readonly access: Access
  readonly purpose: Purpose
  /** The partners whose secrets may be read; asked with each access. Everything else is denied. */
  readonly partners?: () => Promise<readonly string[]>
}

/** What is written down about an act. */
export interface Act {
  /** `partner.change`, `login`, … */
  readonly action: string
  /** `partner/mlflow`, … */
  readonly target: string
  /** Default: whoever opened this. */
  readonly by?: Access
  readonly details?: Readonly<Record<string, unknown>>
}

/** The vault, the audit log and what processes share, over one store. Vault and log open when they are first needed. */
export interface Safe {
  readonly access: Access
  /** Rate budgets, leases and values that are not secret. */
  readonly shared: Shared
  /** The same, with values sealed by the vault. */
  readonly tokens: Shared
  /** Throws `invalid_config` where there is no key, and says how to make one. */
  vault(): Promise<Vault>
  audit(): Promise<Audit>
  /** What signs the log; undefined where there is no key. */
  signer(): Promise<Signer | undefined>
  /** Does the work, and writes down that it was done or that it failed. */
  recorded<T>(act: Act, work: () => Promise<T>): Promise<T>
  /** Closes what was opened; the store stays open. */
  close(): Promise<void>
}

const once = <T>(make: () => Promise<T>): (() => Promise<T>) & { readonly made: () => Promise<T> | undefined } => {
  let made: Promise<T> | undefined
  const get = () => {
    const making = (made ??= make())
    // What failed is tried anew: a key may have been made meanwhile.
    making.catch(() => {
      if (made === making) made = undefined
    })
    return making
  }
  return Object.assign(get, { made: () => made })
}

/** Opens the safe; nothing is read and no key is asked for before the first use. */
export const openSafe = ({ store, stateFolder, env, access, purpose, partners }: SafeOptions): Safe => {
  const shared = openShared(store)
  const keys = once(() => openKeys(stateFolder, env))

  const ownSigner = once(async (): Promise<Signer | undefined> => {
    const { openVault } = await import('@ecokit/vault')
    const own = await openVault({ store, keys: await keys(), allow: ({ action }) => action.startsWith('token.') })
    try {
      const sealed = own.tokens(shared, { actor: 'audit', reason: 'signing the audit log' })
      await sealed.put('audit/signer', randomBytes(32).toString('base64'), { expected: 0 })
      const kept = await sealed.get('audit/signer')
      return kept === undefined ? undefined : await signerOf(Buffer.from(kept.value, 'base64'))
    } finally {
      await own.close()
    }
  })
  // Without a vault there is a chain of hashes and no signature; a key that is there and does not work is a fault.
  const hasKey = (): boolean => keyPlace(stateFolder, env).there
  const signer = async (): Promise<Signer | undefined> => (hasKey() ? ownSigner() : undefined)
  const logOf = (sign: () => Promise<Signer | undefined>) =>
    once(async () => {
      const { openAudit } = await import('@ecokit/audit')
      const signing = await sign()
      return openAudit({ store, ...(signing === undefined ? {} : { sign: signing }) })
    })
  const signed = logOf(ownSigner)
  const unsigned = logOf(() => Promise.resolve(undefined))
  // Asked each time: `ecokit init` may make the key while a server runs, and from then on others sign.
  const audit = (): Promise<Audit> => (hasKey() ? signed() : unsigned())
  const allow = async ({ action, partner }: AccessRequest): Promise<boolean> => {
    if (!allowedActions[purpose].includes(action)) return false
    return purpose === 'manage' || (partners !== undefined && (await partners()).includes(partner))
  }
  const vault = once(async () => {
    const { openVault } = await import('@ecokit/vault')
    // Read anew each time: a version that was activated a moment ago must be the one that is sent.
    return openVault({ store, keys: await keys(), audit: await audit(), allow, freshMs: 0 })
  })
  const sealed = once(async () => (await vault()).tokens(shared, access))

  return {
    access,
    shared,
    tokens: {
      ...shared,
      get: async (key) => (await sealed()).get(key),
      put: async (key, value, options) => (await sealed()).put(key, value, options),
      delete: async (key) => (await sealed()).delete(key),
    },
    vault,
    audit,
    signer,
    recorded: async ({ action, target, by = access, details }, work) => {
      const entry = { ...by, action, target, ...(details === undefined ? {} : { details }) }
      const log = await audit()
      try {
        const done = await work()
        await log.append({ ...entry, outcome: 'allowed' })
        return done
      } catch (error) {
        const code = isIntegrationError(error) ? error.code : 'internal'
        await log.append({ ...entry, outcome: 'failed', details: { ...details, code } })
        throw error
      }
    },
    close: async () => {
      const opened = await Promise.resolve(vault.made()).catch(() => undefined)
      await opened?.close()
    },
  }
}
