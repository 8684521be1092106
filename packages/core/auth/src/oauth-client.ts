import { z } from 'zod'
import type { CryptoKey } from 'jose'
import type { ClientAuth, ModifyAssertionFunction } from 'oauth4webapi'
import { integrationError, secret, type Certificate } from '@ecokit/contracts'

/** A PEM text that must not be shown. */
const privateKey = () =>
  secret()
    .regex(/-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'must be a private key in PEM')
    .meta({ secret: true })

const fields = {
  client_secret_basic: { clientSecret: secret() },
  client_secret_post: { clientSecret: secret() },
  private_key_jwt: {
    privateKey: privateKey(),
    /** The key's id at the issuer, where it has one. */
    keyId: z.string().min(1).optional(),
  },
  tls_client_auth: {
    certificate: z.string().regex(/-----BEGIN CERTIFICATE-----/, 'must be a certificate in PEM'),
    privateKey: privateKey(),
  },
  none: {},
} as const
/** How a client proves itself to the issuer, by the names of RFC 7591; `tls_client_auth` stands for self-signed certificates too (RFC 8705). */
export type ClientMethod = keyof typeof fields

/** The fields that such a client has. */
export const clientFields = <M extends ClientMethod>(method: M): { clientId: z.ZodString } & (typeof fields)[M] => ({
  clientId: z.string().min(1),
  ...fields[method],
})
/** What the fields hold, whichever the method. */
export interface ClientCredentials {
  readonly clientId?: string | undefined
  readonly clientSecret?: string | undefined
  readonly privateKey?: string | undefined
  readonly keyId?: string | undefined
  readonly certificate?: string | undefined
}

/** Where a refused client has to look first. */
export const clientField = (method: ClientMethod): string => {
  if (method === 'none') return 'credentials.clientId'
  return `credentials.${method === 'private_key_jwt' ? 'privateKey' : method === 'tls_client_auth' ? 'certificate' : 'clientSecret'}`
}

/** The certificate that the token requests are sent with. */
export const clientCertificate = (
  method: ClientMethod,
  { certificate, privateKey: key }: ClientCredentials,
): Certificate | undefined =>
  method === 'tls_client_auth' && certificate !== undefined && key !== undefined
    ? { cert: certificate, key }
    : undefined

const curves: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

/** The signing key of a PEM text (PKCS #8, PKCS #1 or SEC 1) with the algorithm that belongs to it; RSA takes the one that is asked for. */
export const signingKey = async (
  partner: string,
  pem: string,
  rsa: 'RS256' | 'PS256' = 'RS256',
): Promise<{ readonly key: CryptoKey; readonly algorithm: string }> => {
  const { createPrivateKey } = await import('node:crypto')
  const { importPKCS8 } = await import('jose')
  try {
    const key = createPrivateKey(pem)
    const { asymmetricKeyType: type, asymmetricKeyDetails: about } = key
    const algorithm =
      type === 'rsa' ? rsa : type === 'ed25519' ? 'Ed25519' : (curves[about?.namedCurve ?? ''] ?? 'unsupported')
    return { algorithm, key: await importPKCS8(key.export({ type: 'pkcs8', format: 'pem' }) as string, algorithm) }
  } catch {
    // The parser's own words are left out: they may quote the key.
    throw integrationError('invalid_credentials', {
      partner,
      what: 'credentials.privateKey cannot be used to sign',
      next: 'Give an RSA, EC (P-256, P-384, P-521) or Ed25519 key in PEM, without a passphrase',
      details: { field: 'credentials.privateKey' },
    })
  }
}

/** The proof of this client, made anew for each request. */
export const clientAuth = async (
  partner: string,
  method: ClientMethod,
  credentials: ClientCredentials,
  assertion: { readonly audience?: string; readonly rsa?: 'RS256' | 'PS256' },
): Promise<ClientAuth> => {
  const oauth = await import('oauth4webapi')
  const { clientId, clientSecret = '', privateKey: pem = '', keyId } = credentials
  switch (method) {
    case 'client_secret_basic':
      return oauth.ClientSecretBasic(clientSecret)
    case 'client_secret_post':
      return oauth.ClientSecretPost(clientSecret)
    case 'private_key_jwt': {
      const { key } = await signingKey(partner, pem, assertion.rsa)
      const { audience } = assertion
      const change: ModifyAssertionFunction = (_, payload) => {
        if (audience !== undefined) payload['aud'] = audience
      }
      return oauth.PrivateKeyJwt(
        { key, ...(keyId === undefined ? {} : { kid: keyId }) },
        { [oauth.modifyAssertion]: change },
      )
    }
    case 'tls_client_auth':
      return oauth.TlsClientAuth()
    case 'none':
      // Some exchanges know no client at all.
      return clientId === undefined ? () => {} : oauth.None()
  }
}
