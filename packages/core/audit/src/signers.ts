import {
  createHash,
  createHmac,
  createPublicKey,
  type KeyObject,
  sign as signWith,
  timingSafeEqual,
  verify as verifyWith,
} from 'node:crypto'
import type { Signer, Verifier } from './types.ts'

/** HMAC-SHA-256: whoever can verify can also sign. Fast, and enough where the key is out of reach of those who write the database. */
export const hmacSigner = (key: Uint8Array, keyId: string): Signer => {
  const sign = (bytes: Uint8Array): Uint8Array => createHmac('sha256', key).update(bytes).digest()
  return {
    keyId,
    sign,
    verify: (bytes, signature) => {
      const own = sign(bytes)
      return signature.length === own.length && timingSafeEqual(signature, own)
    },
  }
}

const idOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest('hex')
    .slice(0, 16)

/** Checks Ed25519 signatures with the public key alone; the id is made from the key. */
export const ed25519Verifier = (publicKey: KeyObject): Verifier => ({
  keyId: idOf(publicKey),
  verify: (bytes, signature) => verifyWith(null, bytes, publicKey, signature),
})

/** Signs with an Ed25519 private key, so that others can verify who cannot sign. */
export const ed25519Signer = (privateKey: KeyObject): Signer => ({
  ...ed25519Verifier(createPublicKey(privateKey)),
  sign: (bytes) => signWith(null, bytes, privateKey),
})
