import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { memoryShared } from '@ecokit/http'
import { clientCredentials } from '../src/index.ts'
import * as pem from '../../http/test/certificates.ts'
import { authorization, contextOf, failure, issuer } from './oauth-support.ts'

const { publicKey, raw } = new X509Certificate(pem.clientCertificate)
/** The certificate as a client registers it (RFC 8705, 2.2.2). */
const registered = { ...publicKey.export({ format: 'jwk' }), x5c: [raw.toString('base64')] }
const tls = { cert: pem.serverCertificate, key: pem.serverKey, ca: pem.authority }

test('a client that proves itself with its certificate (RFC 8705), over TLS of an own authority', async () => {
  const { url, exchanges } = await issuer({
    tls,
    clients: [
      {
        client_id: 'certified',
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_subject_dn: 'CN=Ecokit test client',
      },
      { client_id: 'other', token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=Another' },
      {
        client_id: 'self-signed',
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        jwks: { keys: [registered] },
      },
    ],
  })
  const scheme = clientCredentials({ issuer: '{issuer}', client: 'tls_client_auth' })
  const open = (clientId: string, certificate: string, privateKey: string) =>
    scheme.open(
      { clientId, certificate, privateKey },
      contextOf({ issuer: url }, { tokens: memoryShared(), runtime: { tls: { ca: pem.authority } } }),
    )
  expect(await authorization(open('certified', pem.clientCertificate, pem.clientKey))).toMatch(/^Bearer /)
  expect(await authorization(open('self-signed', pem.clientCertificate, pem.clientKey))).toMatch(/^Bearer /)
  expect(exchanges.length).toBe(2)
  await failure(authorization(open('self-signed', pem.serverCertificate, pem.serverKey)), 'invalid_credentials')
  const error = await failure(authorization(open('other', pem.clientCertificate, pem.clientKey)), 'invalid_credentials')
  expect(error.details.field).toBe('credentials.certificate')
  // Vouched for by the same authority, but of somebody else.
  await failure(authorization(open('certified', pem.serverCertificate, pem.serverKey)), 'invalid_credentials')
  expect(exchanges.filter(({ refused }) => refused === undefined).length).toBe(2)
})
