import { createPrivateKey, randomUUID, X509Certificate, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { integrationError, secret } from '@ecokit/contracts'

/** A PEM text out of a JSON file or a variable often has its line breaks as `\n`. */
const lines = (pem: string): string => pem.replaceAll('\\n', '\n').trim()

/** A private key in PEM that must not be shown. */
export const privateKeyField = () =>
  secret()
    .regex(/-----BEGIN [A-Z ]*PRIVATE KEY-----/, {
      error: 'expected a private key in PEM (-----BEGIN PRIVATE KEY-----)',
      abort: true,
    })
    .meta({ secret: true })
/** A certificate in PEM, with those that lead to its authority behind it where there are any. */
export const certificateField = () =>
  z.string().regex(/-----BEGIN CERTIFICATE-----/, {
    error: 'expected a certificate in PEM (-----BEGIN CERTIFICATE-----)',
    abort: true,
  })

/** The key, or what is wrong with it in words that hold nothing of it. */
export type KeyReading =
  { readonly key: KeyObject } | { readonly at: 'privateKey' | 'passphrase'; readonly problem: string }

/** Reads a private key in PEM (PKCS #8, also encrypted; PKCS #1; SEC 1). */
export const readPrivateKey = (pem: string, passphrase?: string): KeyReading => {
  const text = lines(pem)
  const encrypted = text.includes('ENCRYPTED')
  if (encrypted && passphrase === undefined)
    return { at: 'passphrase', problem: 'missing: the private key is encrypted and needs it' }
  try {
    return { key: createPrivateKey({ key: text, ...(encrypted && passphrase !== undefined && { passphrase }) }) }
  } catch {
    // OpenSSL's own words are left out, and tell a wrong passphrase from a damaged key by chance only.
    if (encrypted) return { at: 'passphrase', problem: 'does not open the private key, or the key is damaged' }
    return {
      at: 'privateKey',
      problem: 'is no readable private key: is the whole PEM text there, with its line breaks?',
    }
  }
}
/** The same for signing with RS256 or PS256. */
export const readRsaKey = (pem: string, passphrase?: string): KeyReading => {
  const read = readPrivateKey(pem, passphrase)
  if (!('key' in read)) return read
  const { asymmetricKeyType, asymmetricKeyDetails } = read.key
  if (asymmetricKeyType !== 'rsa') return { at: 'privateKey', problem: 'expected an RSA key' }
  // RFC 7518, 3.3
  if ((asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    return { at: 'privateKey', problem: 'expected an RSA key of at least 2,048 bits' }
  return read
}

/** The first certificate of a PEM text; undefined where it cannot be read. */
export const readCertificate = (pem: string): X509Certificate | undefined => {
  try {
    return new X509Certificate(lines(pem))
  } catch {
    return undefined
  }
}

/** What a schema says of a certificate and its key that do not go together; undefined where they do. */
export const pairProblem = (
  certificate: string,
  read: KeyReading,
): { readonly at: 'certificate' | 'privateKey' | 'passphrase'; readonly problem: string } | undefined => {
  const parsed = readCertificate(certificate)
  if (parsed === undefined)
    return {
      at: 'certificate',
      problem: 'is no readable certificate: is the whole PEM text there, with its line breaks?',
    }
  if (!('key' in read)) return read
  return parsed.checkPrivateKey(read.key)
    ? undefined
    : { at: 'privateKey', problem: 'does not belong to the certificate' }
}
/** Throws `invalid_credentials` where a certificate is not valid at that time; the schema has seen that it can be read. */
export const checkValidity = (pem: string, now: number, partner: string): void => {
  const parsed = readCertificate(pem)
  if (parsed === undefined) return
  const refuse = (why: string, next: string): never => {
    throw integrationError('invalid_credentials', {
      partner,
      what: `credentials.certificate ${why}`,
      next,
      details: { field: 'credentials.certificate' },
    })
  }
  if (Date.parse(parsed.validTo) <= now) refuse(`expired on ${parsed.validTo}`, 'Get a new certificate')
  if (Date.parse(parsed.validFrom) > now) refuse(`is not valid before ${parsed.validFrom}`, 'Is the clock right?')
}
/** The key of credentials that the schema has checked. */
export const checkedKey = (read: KeyReading, partner: string): KeyObject => {
  if ('key' in read) return read.key
  const field = `credentials.${read.at === 'passphrase' ? 'privateKeyPassphrase' : read.at}`
  throw integrationError('invalid_credentials', { partner, what: `${field} ${read.problem}`, details: { field } })
}

/** A signed JWT (RFC 7519) with an id of its own. Its id is not from the context's `random`: two processes with one seed must not give out the same. */
export const signJwt = async (
  key: KeyObject,
  header: { readonly alg: 'RS256' | 'PS256'; readonly [name: string]: string },
  claims: Readonly<Record<string, string>>,
  times: { readonly now: number; readonly lifetimeSeconds: number },
): Promise<string> => {
  const { SignJWT } = await import('jose')
  const issuedAt = Math.floor(times.now / 1000)
  return new SignJWT({ ...claims })
    .setProtectedHeader({ typ: 'JWT', ...header })
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + times.lifetimeSeconds)
    .setJti(randomUUID())
    .sign(key)
}
