import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { isIntegrationError } from '@ecokit/contracts'
import { badKey } from './failures.ts'
import { nonceBytes } from './envelope.ts'
import type { KeyProvider } from './types.ts'

const keyBytes = 32
const tagBytes = 16
/** A wrapped data key: 1, nonce, the key sealed, tag. */
const wrapFormat = 1
const wrappedBytes = 1 + nonceBytes + keyBytes + tagBytes

/** Says which key it is without saying anything about it: the same key has the same id wherever it is kept. */
const idOf = (key: Uint8Array): string =>
  `kek-${createHmac('sha256', key).update('ecokit vault key id').digest('hex').slice(0, 16)}`

const lineMark = 'ecokit-key-1'
/** One key as a line of a key file; the id proves that the line is whole. */
export const newKeyLine = (at: Date): { readonly id: string; readonly line: string } => {
  const key = randomBytes(keyBytes)
  const id = idOf(key)
  const line = `${lineMark} ${id} ${at.toISOString()} ${key.toString('base64')}`
  key.fill(0)
  return { id, line }
}

/** The key of one line: base64 alone, or a line of a key file. Undefined where it is none, or not whole. */
const parseLine = (line: string): { readonly id: string; readonly key: KeyObject } | undefined => {
  const words = line.trim().split(/\s+/)
  const marked = words[0] === lineMark
  const text = marked ? (words[3] ?? '') : (words[0] ?? '')
  if (!/^[A-Za-z0-9+/]{43}=?$/.test(text) || words.length !== (marked ? 4 : 1)) return undefined
  const bytes = Buffer.from(text, 'base64')
  try {
    const id = idOf(bytes)
    if (bytes.length !== keyBytes || (marked && id !== words[1]) || new Set(bytes).size < 8) return undefined
    return { id, key: createSecretKey(bytes) }
  } finally {
    bytes.fill(0)
  }
}

/** Keys by id, the newest last; what is not a key is told by its line number. */
interface Keys {
  readonly keys: ReadonlyMap<string, KeyObject>
  readonly damagedLines: readonly number[]
}
export const parseKeys = (text: string): Keys => {
  const keys = new Map<string, KeyObject>()
  const damagedLines: number[] = []
  for (const [index, line] of text.split('\n').entries())
    for (const part of line.trim().startsWith('#') ? [] : line.split(',')) {
      if (part.trim() === '') continue
      const parsed = parseLine(part)
      if (parsed === undefined) damagedLines.push(index + 1)
      else {
        keys.delete(parsed.id)
        keys.set(parsed.id, parsed.key)
      }
    }
  return { keys, damagedLines }
}

/** Where key text comes from; `where` and `how` are for people. */
export interface KeySource {
  readonly kind: string
  readonly where: string
  /** Throws where there is no key. */
  read(): Promise<string>
  /** Whether `read` would give something else than last time. */
  changed(): Promise<boolean>
  readonly add?: () => Promise<string>
  readonly destroy?: (keyId: string) => Promise<boolean>
}

const noneValid = (source: KeySource): Error =>
  badKey(
    `${source.where} holds no key that is whole`,
    'A key is 32 random bytes in base64 (openssl rand -base64 32). Put the right one back: a new one would not open what is in the vault',
  )

/** A provider over key text: keys stay in memory as KeyObjects, and the text is read again when it has changed or a key is not known. */
export const textKeys = (source: KeySource): KeyProvider => {
  let kept: Keys | undefined
  const load = async (): Promise<Keys> => {
    const read = parseKeys(await source.read())
    if (read.keys.size === 0) throw noneValid(source)
    return (kept = read)
  }
  const fresh = async (): Promise<Keys> => (kept === undefined || (await source.changed()) ? load() : kept)
  const newest = ({ keys }: Keys): { readonly id: string; readonly key: KeyObject } => {
    const last = [...keys].at(-1)
    if (last === undefined) throw noneValid(source)
    return { id: last[0], key: last[1] }
  }
  const find = async (keyId: string): Promise<KeyObject> => {
    const known = kept?.keys.get(keyId) ?? (await load()).keys.get(keyId)
    if (known !== undefined) return known
    const { keys, damagedLines } = kept ?? { keys: new Map(), damagedLines: [] }
    const torn = damagedLines.length === 0 ? '' : `, and line ${damagedLines.join(', ')} is damaged`
    throw badKey(
      `the vault needs the key ${keyId}, and ${source.where} holds ${[...keys.keys()].join(', ')}${torn}`,
      'Put that key back beside the others (one a line), from wherever it was backed up. Nothing is lost meanwhile, and nothing was changed',
    )
  }
  const bind = (keyId: string, aad: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from(JSON.stringify(['ecokit vault key 1', keyId])), aad])
  return {
    kind: source.kind,
    current: async () => newest(await fresh()).id,
    wrap: async (dataKey, aad) => {
      const { id, key } = newest(await fresh())
      const nonce = randomBytes(nonceBytes)
      const encrypting = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
      encrypting.setAAD(bind(id, aad))
      const sealed = [encrypting.update(dataKey), encrypting.final()]
      return {
        keyId: id,
        wrapped: Buffer.concat([Buffer.of(wrapFormat), nonce, ...sealed, encrypting.getAuthTag()]),
      }
    },
    unwrap: async (keyId, wrapped, aad) => {
      const key = await find(keyId)
      try {
        if (wrapped.length !== wrappedBytes || wrapped[0] !== wrapFormat) throw new Error('form')
        const decrypting = createDecipheriv('aes-256-gcm', key, wrapped.subarray(1, 1 + nonceBytes), {
          authTagLength: tagBytes,
        })
        decrypting.setAAD(bind(keyId, aad))
        decrypting.setAuthTag(wrapped.subarray(-tagBytes))
        const opened = decrypting.update(wrapped.subarray(1 + nonceBytes, -tagBytes))
        decrypting.final()
        return opened
      } catch (error) {
        if (isIntegrationError(error)) throw error
        throw badKey(
          `a data key of the vault does not open with ${keyId}: it was changed in the database, or belongs to another tenant`,
          'Restore the database from a backup; nothing was changed',
        )
      }
    },
    ...(source.add === undefined ? {} : { add: source.add }),
    ...(source.destroy === undefined
      ? {}
      : {
          destroy: async (keyId) => {
            kept = undefined
            return (await source.destroy?.(keyId)) === true
          },
        }),
  }
}
