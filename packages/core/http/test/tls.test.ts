import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { authority, clientCertificate, clientKey, serverCertificate, serverKey } from './certificates.ts'
import { failure, json, open, serve, text } from './support.ts'

const get = { method: 'GET', path: 'x' }
const secure = async (options: ServerOptions = {}): Promise<string> => {
  const server = createServer({ cert: serverCertificate, key: serverKey, ...options }, (request, response) => {
    const socket: unknown = request.socket
    if (!(socket instanceof TLSSocket)) throw new Error('not TLS')
    json(response, {
      protocol: socket.getProtocol(),
      peer: (socket.getPeerCertificate() as { subject?: { CN?: string } }).subject?.CN ?? '',
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const trusting = { runtime: { tls: { ca: authority } } }

test('an authority of our own is trusted where it is given, and TLS 1.3 is spoken', async () => {
  const url = await secure()
  expect(await open(url, trusting).http(url).json(get, z.unknown())).toEqual({ protocol: 'TLSv1.3', peer: '' })
})
test('a certificate that nobody vouches for is refused, once, and the message says what to do', async () => {
  const url = await secure()
  const network = open(url)
  const error = await failure(network.http(url).json(get, z.unknown()), 'unavailable')
  expect(error).toMatchObject({ retryable: false, details: { cause: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' } })
  expect(error.message).toContain('Check the certificate')
  expect(network.requests()).toBe(1)
})
test('no variable of the environment switches the check of certificates off', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  onTestFinished(() => void vi.unstubAllEnvs())
  const url = await secure()
  await failure(open(url).http(url).json(get, z.unknown()), 'unavailable')
})
test('TLS 1.2 is spoken only where a connection asks for it', async () => {
  const url = await secure({ maxVersion: 'TLSv1.2' })
  expect(await failure(open(url, trusting).http(url).json(get, z.unknown()), 'unavailable')).toMatchObject({
    retryable: false,
  })
  const older = open(url, { runtime: { tls: { ca: authority, minVersion: 'TLSv1.2' } } })
  expect(await older.http(url).json(get, z.unknown())).toMatchObject({ protocol: 'TLSv1.2' })
})
test('a server that does not speak TLS', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const address = url.replace('http:', 'https:')
  expect(await failure(open(address).http(address).json(get, z.unknown()), 'unavailable')).toMatchObject({
    retryable: false,
  })
})
test('a client certificate is shown with credentials, and to no URL out of a reply', async () => {
  const url = await secure({ ca: authority, requestCert: true, rejectUnauthorized: false })
  const authorizer = { authorize: () => {}, certificate: { cert: clientCertificate, key: clientKey } }
  const network = open(url, { ...trusting, authorizer })
  expect(await network.http(url).json(get, z.unknown())).toMatchObject({ peer: 'Ecokit test client' })
  expect(JSON.parse(await text((await network.http(url).foreign('/x')).body))).toMatchObject({ peer: '' })
})
