import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { authority, clientCertificate, clientKey, serverCertificate, serverKey } from './certificates.ts'
import { failure, json, open, serve, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

describe('sockets', () => {
  test('what is still being connected ends with the network, and the policy says how long that may take', async () => {
    const url = 'http://tracking.example.com'
    const lookup = () => new Promise<never>(() => {})
    const network = open(url, { runtime: { lookup } })
    const call = failure(network.http(url).json(get, anything), 'cancelled')
    await until(() => network.requests() === 1)
    await network.close()
    await call
    const slow = open(url, { runtime: { lookup, policy: { connectTimeoutMs: 20, attempts: 1 } } })
    const error = await failure(slow.http(url, { timeoutMs: 60_000 }).json(get, anything), 'timeout')
    expect(error.details).toEqual({ timeoutMs: 20 })
    expect(error.message).toContain('could not connect within 20 ms')
  })
  test('no socket is left after close, in use or not', async () => {
    const { url, sockets } = await serve((request, response) => {
      if (request.url !== '/hang') response.end('{}')
    })
    const network = open(url)
    await Promise.all(Array.from({ length: 10 }, () => network.http(url).json(get, anything)))
    const hanging = failure(network.http(url).json({ method: 'GET', path: 'hang' }, anything), 'cancelled')
    await until(() => sockets.size > 0)
    await network.close()
    await hanging
    await until(() => sockets.size === 0)
  })
  test('lead to IPv6 addresses', async () => {
    const server = createServer((request, response) => json(response, { host: request.headers.host }))
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const url = `http://[::1]:${port}`
    expect(await open(url).http(url).json(get, anything)).toEqual({ host: `[::1]:${port}` })
  })
})

describe('credentials', () => {
  test('a certificate of one way out is shown there and nowhere else', async () => {
    const server = createTlsServer(
      { cert: serverCertificate, key: serverKey, ca: authority, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const socket = request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } }
        json(response, { peer: socket.getPeerCertificate().subject?.CN ?? '' })
      },
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const network = open(url, { runtime: { tls: { ca: authority } } })
    const certificate = { cert: clientCertificate, key: clientKey }
    expect(await network.http(url, { certificate }).json(get, anything)).toEqual({ peer: 'Ecokit test client' })
    expect(await network.http(url).json(get, anything)).toEqual({ peer: '' })
    expect(await text((await network.http(url, { certificate }).foreign('/x')).body)).toContain('"peer":""')
  })
  test('the hosts of the scheme are for the scheme only', async () => {
    const issuer = await serve((_, response) => json(response, { token: 'abc' }))
    const { url, received } = await serve((_, response) => json(response, {}))
    const network = open(url, {
      hosts: ['{url}'],
      tokenHosts: ['{issuer}'],
      config: { url, issuer: issuer.url },
      authorizer: (anonymous) => ({
        authorize: async ({ headers }) => {
          const { token } = await anonymous(issuer.url).json(get, z.object({ token: z.string() }))
          headers.set('authorization', `Bearer ${token}`)
        },
      }),
    })
    await network.http(url).json(get, anything)
    expect(received[0]?.headers.authorization).toBe('Bearer abc')
    expect(() => network.http(issuer.url)).toThrow('is not one of those')
    await failure(network.http(url).foreign(issuer.url), 'host_not_allowed')
    expect(issuer.received).toHaveLength(1)
    expect(network.requests()).toBe(2)
  })
  test('a redirect from https to http is refused, even to a declared host', async () => {
    const other = await serve((_, response) => json(response, {}))
    const server = createTlsServer({ cert: serverCertificate, key: serverKey }, (_, response) =>
      response.writeHead(302, { location: `${other.url}/x` }).end(),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const network = open(url, {
      hosts: ['{url}', '{other}'],
      config: { url, other: other.url },
      runtime: { tls: { ca: authority } },
    })
    const error = await failure(network.http(url).json(get, anything), 'invalid_reply')
    expect(error.message).toContain('which is not encrypted')
    expect(other.received).toHaveLength(0)
  })
  test('an authorizer cannot name another host', async () => {
    const { url, received } = await serve((_, response) => json(response, {}))
    const network = open(url, { authorizer: { authorize: ({ headers }) => headers.set('host', 'evil.example') } })
    await failure(network.http(url).json(get, anything), 'internal')
    expect(received).toHaveLength(0)
  })
  test('the network says whether TLS 1.2 is allowed', () => {
    expect(open('https://a.example').oldTls).toBe(false)
    expect(open('https://a.example', { runtime: { tls: { minVersion: 'TLSv1.2' } } }).oldTls).toBe(true)
  })
})
