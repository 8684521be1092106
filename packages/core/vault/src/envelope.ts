import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'

/**
 * A sealed value, version 1, byte by byte:
 *
 *     0       format, 1
 *     1       cipher, 1: AES-256-GCM with a nonce of 96 bits and a tag of 128
 *     2..17   id of the data key
 *     18..29  nonce
 *     30..    ciphertext, as long as the value in UTF-8
 *     last 16 tag
 *
 * The tag covers the first 18 bytes and the place of the value too (`Place`): moved anywhere else, it does not open.
 */
const format = 1
const cipher = 1
const idBytes = 16
const headerBytes = 2 + idBytes
export const nonceBytes = 12
const tagBytes = 16
/** Larger than any credential that is one; bounds what a read may cost. */
export const maxValueBytes = 1024 * 1024

/** Where a value belongs: every column of its row that says something. */
export interface Place {
  readonly tenant: string
  readonly kind: 'secret' | 'token'
  readonly partner: string
  readonly name: string
  readonly version: number
  /** 1 for the version that is read by default. */
  readonly active: number
  readonly created_at: number
  readonly expires_at: number | null
}

/** A JSON array, so that no two places have the same bytes. */
const placeBytes = (place: Place, header: Uint8Array): Buffer => {
  const { tenant, kind, partner, name, version, active, created_at, expires_at } = place
  const text = JSON.stringify([
    'ecokit vault record 1',
    tenant,
    kind,
    partner,
    name,
    version,
    active,
    created_at,
    expires_at,
  ])
  const bytes = Buffer.allocUnsafe(headerBytes + Buffer.byteLength(text))
  bytes.set(header.subarray(0, headerBytes))
  bytes.write(text, headerBytes)
  return bytes
}

/** Ids are 16 random bytes, and hexadecimal wherever people see them. */
export const keyIdOf = (envelope: Uint8Array): string | undefined =>
  envelope.length < headerBytes + nonceBytes + tagBytes || envelope[0] !== format || envelope[1] !== cipher
    ? undefined
    : Buffer.from(envelope.buffer, envelope.byteOffset + 2, idBytes).toString('hex')

export const seal = (key: KeyObject, keyId: string, nonce: Uint8Array, place: Place, value: string): Uint8Array => {
  const header = Buffer.concat([Buffer.of(format, cipher), Buffer.from(keyId, 'hex')])
  const encrypting = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  encrypting.setAAD(placeBytes(place, header))
  return Buffer.concat([header, nonce, encrypting.update(value, 'utf8'), encrypting.final(), encrypting.getAuthTag()])
}

/** What the tag covers beside the ciphertext; worth keeping where one envelope is opened again and again. */
export const boundTo = (place: Place, envelope: Uint8Array): Uint8Array => placeBytes(place, envelope)

/** Throws where a single bit of the envelope or of its place is another. */
export const open = (key: KeyObject, envelope: Uint8Array, bound: Uint8Array): string => {
  const tagAt = envelope.length - tagBytes
  const decrypting = createDecipheriv('aes-256-gcm', key, envelope.subarray(headerBytes, headerBytes + nonceBytes), {
    authTagLength: tagBytes,
  })
  decrypting.setAAD(bound)
  decrypting.setAuthTag(envelope.subarray(tagAt))
  // Nothing is given out before `final` has checked the tag.
  const value = decrypting.update(envelope.subarray(headerBytes + nonceBytes, tagAt), undefined, 'utf8')
  return value + decrypting.final('utf8')
}
