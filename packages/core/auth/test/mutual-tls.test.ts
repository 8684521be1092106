import { createPrivateKey } from 'node:crypto'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { secretFields } from '@ecokit/contracts'
import { mutualTls, none } from '../src/index.ts'
import {
  authority,
  clientCertificate,
  clientKey,
  serverCertificate,
  serverKey,
  strangerCertificate,
  strangerKey,
} from './fixtures/certificates.ts'
import { pem } from './issuers.ts'
import { refusal, through } from './through.ts'

/** A server that talks only to clients whose certificate its authority has signed. */
let server: Server
let url = ''
const names: unknown[] = []
beforeAll(async () => {
  server = createServer(
    { cert: serverCertificate, key: serverKey, ca: authority, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const { socket } = request
      if (socket instanceof TLSSocket) names.push(socket.getPeerCertificate().subject.CN)
      response.end('{}')
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

const key = createPrivateKey(clientKey)
test.for([
  ['plain', { privateKey: clientKey }],
  ['with \\n for its line breaks', { privateKey: clientKey.replaceAll('\n', '\\n') }],
  ['encrypted', { privateKey: pem(key, 'pass'), privateKeyPassphrase: 'pass' }],
  ['SEC 1', { privateKey: key.export({ type: 'sec1', format: 'pem' }).toString() }],
] as const)('the right certificate is let in (key: %s)', async ([, given]) => {
  names.length = 0
  const { status, network } = through(mutualTls(), { certificate: clientCertificate, ...given }, { url, ca: authority })
  expect(await status()).toBe(200)
  await network.close()
  expect(names).toEqual(['Ecokit auth test client'])
})
test('without a certificate, and with one of another authority, the server hangs up', async () => {
  names.length = 0
  const nobody = through(none(), {}, { url, ca: authority })
  expect((await refusal(nobody.status())).code).toBe('unavailable')
  await nobody.network.close()
  const stranger = through(
    mutualTls(),
    { certificate: strangerCertificate, privateKey: strangerKey },
    { url, ca: authority },
  )
  const refused = await refusal(stranger.status())
  await stranger.network.close()
  expect(refused.code).toBe('unavailable')
  expect(refused.text).not.toContain(strangerKey.split('\n')[1])
  expect(names).toEqual([])
})
test('an encrypted key is handed on decrypted, and its fields are secret', () => {
  expect(secretFields(mutualTls().credentials)).toEqual(['privateKey', 'privateKeyPassphrase'])
})
test.for([
  [{ certificate: clientCertificate, privateKey: strangerKey }, 'privateKey', /does not belong/],
  [{ certificate: clientCertificate, privateKey: pem(key, 'pass') }, 'privateKeyPassphrase', /missing/],
  [
    { certificate: clientCertificate, privateKey: pem(key, 'pass'), privateKeyPassphrase: 'other' },
    'privateKeyPassphrase',
    /does not open/,
  ],
  [{ certificate: clientCertificate, privateKey: clientKey.slice(0, 60) }, 'privateKey', /readable/],
  [{ certificate: clientKey, privateKey: clientKey }, 'certificate', /PEM/],
  [{ certificate: clientCertificate.slice(0, 90), privateKey: clientKey }, 'certificate', /readable/],
] as const)('credentials that cannot work are refused at their field (%#)', ([credentials, field, why]) => {
  const { error } = mutualTls().credentials.safeParse(credentials)
  expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([field])
  expect(error?.issues[0]?.message).toMatch(why)
})
