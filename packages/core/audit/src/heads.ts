import { hashOf } from './entry.ts'
import type { Signer, Verifier } from './types.ts'

/** How many digits of each entry's hash a head keeps, to tell later which entry was changed: not whether, that is the hash's. */
export const markLength = 8
export const markOf = (itsHash: string): string => itsHash.slice(0, markLength)

/** What a head says. */
export interface HeadFacts {
  /** The last entry that it speaks of, and its hash. */
  readonly position: number
  readonly hash: string
  readonly at: number
  /** The key's id; empty where nobody signed. */
  readonly key: string
  /** The first entry that was written by whoever has a key; 0: none yet. */
  readonly signed: number
  /** The position of the kept head before; the marks begin after it. */
  readonly since: number
  /** It stays for good; others are replaced by the next. */
  readonly kept: boolean
  /** The hash of the marks. */
  readonly marks: string
}
/** A head as it is stored. */
export interface HeadText {
  readonly head: string
  readonly marks: string
  readonly signature: string
}

const encoder = new TextEncoder()

export const writeHead = (
  facts: Omit<HeadFacts, 'key' | 'marks'>,
  marks: string,
  signer: Signer | undefined,
): HeadText => {
  const { position, hash, at, signed, since, kept } = facts
  const said: HeadFacts = { position, hash, at, key: signer?.keyId ?? '', signed, since, kept, marks: hashOf(marks) }
  const head = JSON.stringify(said)
  const signature =
    signer === undefined ? hashOf(head) : Buffer.from(signer.sign(encoder.encode(head))).toString('base64')
  return { head, marks, signature }
}

/** What is wrong with a head, or what it says. */
export type ReadHead = { readonly facts: HeadFacts } | { readonly fault: string }

const parse = (head: unknown): HeadFacts | undefined => {
  try {
    const value = JSON.parse(String(head)) as Partial<HeadFacts> | null
    const { position, hash, at, key, signed, since, kept, marks } = value ?? {}
    const fits =
      [position, at, signed, since].every(Number.isFinite) &&
      [hash, key, marks].every((text) => typeof text === 'string') &&
      typeof kept === 'boolean'
    return fits ? (value as HeadFacts) : undefined
  } catch {
    return undefined
  }
}

/** Reads a head and checks its signature where any key is trusted; without one only what a slip of the hand would break. `marks` is looked at where it is there. */
export const readHead = (text: Partial<HeadText>, trust: readonly Verifier[]): ReadHead => {
  const facts = parse(text.head)
  if (facts === undefined || typeof text.head !== 'string' || typeof text.signature !== 'string')
    return { fault: 'cannot be read' }
  if (text.marks !== undefined && hashOf(text.marks) !== facts.marks) return { fault: 'has marks that are not its own' }
  if (facts.key === '') return text.signature === hashOf(text.head) ? { facts } : { fault: 'is not as it was written' }
  if (trust.length === 0) return { facts }
  const verifier = trust.find(({ keyId }) => keyId === facts.key)
  if (verifier === undefined) return { fault: `is signed with the key ${facts.key}, which is not trusted` }
  const signature = Buffer.from(text.signature, 'base64')
  // Base64 can be spelt in more than one way; only the one that was written is taken.
  return signature.toString('base64') === text.signature && verifier.verify(encoder.encode(text.head), signature)
    ? { facts }
    : { fault: 'has a signature that is not genuine' }
}
