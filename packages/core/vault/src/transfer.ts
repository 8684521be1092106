import * as crypto from 'node:crypto'
import { promisify } from 'node:util'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import { nonceBytes } from './envelope.ts'
import { badInput } from './failures.ts'

/**
 * A vault carried from one place to another: JSON with everything that is needed but the passphrase. The header (all but `data`) is bound to the
 * ciphertext, so that nobody can weaken the derivation.
 */
interface Header {
  readonly format: 'ecokit-vault-export'
  readonly version: 1
  readonly derivation: Derivation
  readonly cipher: 'aes-256-gcm'
  /** Base64. */
  readonly nonce: string
}
type Derivation = { readonly salt: string } & (
  | { readonly name: 'argon2id'; readonly memory: number; readonly passes: number; readonly parallelism: number }
  | { readonly name: 'scrypt'; readonly cost: number; readonly blockSize: number; readonly parallelization: number }
)
/** A version with its value, oldest first within its secret. */
export interface Carried {
  readonly partner: string
  readonly name: string
  readonly active: boolean
  readonly createdAt: number
  readonly value: string
}

const shortest = 12
const tagBytes = 16
/** RFC 9106's second choice, and OWASP's for scrypt where this Node has no argon2 (before 24.7). */
const argon = { name: 'argon2id', memory: 65_536, passes: 3, parallelism: 4 } as const
const scryptOf = { name: 'scrypt', cost: 2 ** 17, blockSize: 8, parallelization: 1 } as const
/** A file may ask for up to this much work: more would be an attack on whoever opens it. */
const most = { memory: 2 ** 20, passes: 16, parallelism: 16, cost: 2 ** 20, blockSize: 16, parallelization: 16 }

const hasArgon2 = typeof (crypto as Partial<typeof crypto>).argon2 === 'function'
const deriveArgon2 = (passphrase: string, salt: Buffer, about: Derivation & { name: 'argon2id' }): Promise<Buffer> =>
  promisify(crypto.argon2)('argon2id', {
    message: passphrase,
    nonce: salt,
    memory: about.memory,
    passes: about.passes,
    parallelism: about.parallelism,
    tagLength: 32,
  })
const deriveScrypt = (passphrase: string, salt: Buffer, about: Derivation & { name: 'scrypt' }): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { cost, blockSize, parallelization } = about
    const maxmem = 256 * cost * blockSize
    crypto.scrypt(passphrase, salt, 32, { cost, blockSize, parallelization, maxmem }, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })

const keyFor = async (passphrase: string, about: Derivation): Promise<crypto.KeyObject> => {
  // The same letters typed on another machine are the same passphrase.
  const text = passphrase.normalize('NFC')
  const salt = Buffer.from(about.salt, 'base64')
  if (about.name === 'argon2id' && !hasArgon2)
    throw integrationError('unsupported', {
      what: 'this export was sealed with argon2id, which this Node does not have',
      next: 'Import it with Node 24.7 or newer',
      details: { what: 'argon2id' },
    })
  const bytes =
    about.name === 'argon2id' ? await deriveArgon2(text, salt, about) : await deriveScrypt(text, salt, about)
  const key = crypto.createSecretKey(bytes)
  bytes.fill(0)
  return key
}

export const checkPassphrase = (passphrase: string): void => {
  if (passphrase.length < shortest)
    throw badInput('passphrase', `the passphrase of an export has at least ${shortest} characters`)
}

/** Seals the versions under a passphrase. */
export const sealExport = async (
  carried: readonly Carried[],
  passphrase: string,
  derivation: 'argon2id' | 'scrypt' = hasArgon2 ? 'argon2id' : 'scrypt',
): Promise<string> => {
  const nonce = crypto.randomBytes(nonceBytes)
  const salt = crypto.randomBytes(16).toString('base64')
  const header: Header = {
    format: 'ecokit-vault-export',
    version: 1,
    derivation: { ...(derivation === 'argon2id' ? argon : scryptOf), salt },
    cipher: 'aes-256-gcm',
    nonce: nonce.toString('base64'),
  }
  const key = await keyFor(passphrase, header.derivation)
  const encrypting = crypto.createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  encrypting.setAAD(Buffer.from(JSON.stringify(header)))
  const data = Buffer.concat([
    encrypting.update(JSON.stringify(carried), 'utf8'),
    encrypting.final(),
    encrypting.getAuthTag(),
  ])
  return `${JSON.stringify({ ...header, data: data.toString('base64') }, undefined, 2)}\n`
}

const notOurs = (what: string): Error =>
  integrationError('invalid_input', {
    what: `this is no export of a vault: ${what}`,
    next: 'Name a file that `ecokit vault export` has written',
    details: { field: 'document' },
  })

const parse = (document: string): { readonly header: Header; readonly data: Buffer } => {
  let read: (Partial<Header> & { readonly data?: unknown }) | null
  try {
    read = JSON.parse(document) as typeof read
  } catch {
    throw notOurs('it is not JSON')
  }
  if (typeof read !== 'object' || read === null) throw notOurs('it is no object')
  const { format, version, derivation, cipher, nonce, data } = read
  if (format !== 'ecokit-vault-export') throw notOurs('it has another format')
  if (version !== 1)
    throw integrationError('unsupported', {
      what: `this export has version ${String(version)}, and this program reads version 1`,
      next: 'Update the program',
      details: { what: 'vault export' },
    })
  if (cipher !== 'aes-256-gcm' || typeof nonce !== 'string' || typeof data !== 'string' || !derivation)
    throw notOurs('something is missing')
  const bounds = Object.entries(most).every(([name, limit]) => {
    const value: unknown = (derivation as unknown as Readonly<Record<string, unknown>>)[name]
    return value === undefined || (Number.isInteger(value) && Number(value) > 0 && Number(value) <= limit)
  })
  if (!bounds || !['argon2id', 'scrypt'].includes(derivation.name) || typeof derivation.salt !== 'string')
    throw notOurs('its key derivation is none of ours')
  const bytes = Buffer.from(data, 'base64')
  if (bytes.length < tagBytes || Buffer.from(nonce, 'base64').length !== nonceBytes) throw notOurs('it was cut off')
  return { header: { format, version, derivation, cipher, nonce }, data: bytes }
}

/** Opens an export; `invalid_credentials` where the passphrase is another or a byte was changed: the two cannot be told apart. */
export const openExport = async (document: string, passphrase: string): Promise<readonly Carried[]> => {
  const { header, data } = parse(document)
  const key = await keyFor(passphrase, header.derivation).catch((error: unknown) => {
    // Numbers that are missing, or do not go together.
    throw isIntegrationError(error) ? error : notOurs('its key derivation is none of ours')
  })
  let text: string
  try {
    const nonce = Buffer.from(header.nonce, 'base64')
    const decrypting = crypto.createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
    decrypting.setAAD(Buffer.from(JSON.stringify(header)))
    decrypting.setAuthTag(data.subarray(-tagBytes))
    text = decrypting.update(data.subarray(0, -tagBytes), undefined, 'utf8') + decrypting.final('utf8')
  } catch {
    throw integrationError('invalid_credentials', {
      what: 'the export does not open: the passphrase is another one, or the file was changed',
      next: 'Check the passphrase and the file; nothing was imported',
      details: { field: 'passphrase' },
    })
  }
  return JSON.parse(text) as readonly Carried[]
}
