import { createServer, request as httpRequest } from 'node:http'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:https'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import type { Authorizer } from '@ecokit/contracts'
import type { NetworkRuntime } from '../src/index.ts'
import {
  authority,
  clientCertificate,
  clientKey,
  namedCertificate,
  namedKey,
  serverCertificate,
  serverKey,
} from './certificates.ts'
import { failure, json, open, serve, serveRaw, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

describe('HTTP/2', () => {
  const serve2 = async (
    answer: Parameters<typeof createSecureServer>[1],
    allowHTTP1 = true,
  ): Promise<{ url: string; server: Http2SecureServer; sockets: Set<Socket> }> => {
    const server = createSecureServer({ cert: serverCertificate, key: serverKey, allowHTTP1 }, answer)
    const sockets = new Set<Socket>()
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    })
    server.on('sessionError', () => {})
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sockets }
  }
  const trusting = (runtime: NetworkRuntime = {}) => ({ runtime: { tls: { ca: authority }, http2: true, ...runtime } })

  test('is spoken where it is asked for and the server takes it, many calls at once over one socket', async () => {
    const { url, sockets } = await serve2((request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ version: request.httpVersion, path: request.url }))
    })
    const network = open(url, trusting())
    const http = network.http(url)
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => http.json({ method: 'GET', path: `p${index}` }, anything)),
    )
    expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => ({ version: '2.0', path: `/p${index}` })))
    expect(sockets.size).toBe(1)
    const posted = await http.json({ method: 'POST', path: 'post', body: { a: 1 } }, anything)
    expect(posted).toEqual({ version: '2.0', path: '/post' })
    expect(await text((await http.request(get)).body)).toContain('"version":"2.0"')
    await network.close()
    await until(() => sockets.size === 0)
  })
  test('is not spoken unasked, nor to a server that does not', async () => {
    const { url } = await serve2((request, response) => {
      response.end(JSON.stringify({ version: request.httpVersion }))
    })
    expect(
      await open(url, trusting({ http2: false }))
        .http(url)
        .json(get, anything),
    ).toEqual({ version: '1.1' })
    const older = createTlsServer({ cert: serverCertificate, key: serverKey }, (request, response) =>
      json(response, { version: request.httpVersion }),
    )
    await new Promise<void>((resolve) => older.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      older.closeAllConnections()
      older.close()
    })
    const address = `https://127.0.0.1:${(older.address() as AddressInfo).port}`
    expect(await open(address, trusting()).http(address).json(get, anything)).toEqual({ version: '1.1' })
  })
  test('a stream that the server gives up and a session that it ends are lost connections, and tried again', async () => {
    let count = 0
    const { url } = await serve2((request, response) => {
      count++
      if (count === 1) response.stream.close(2)
      else if (count === 2) response.stream.session?.destroy()
      else response.end(JSON.stringify({ count, version: request.httpVersion }))
    })
    const network = open(url, trusting())
    expect(await network.http(url).json(get, anything)).toMatchObject({ version: '2.0' })
    expect(network.exchanges.filter(({ code }) => code !== undefined).map(({ code }) => code)).toEqual([
      'unavailable',
      'unavailable',
    ])
  })
  test('a call that is cancelled and one that is too large leave the session to the others', async () => {
    const { url, sockets } = await serve2((request, response) => {
      if (request.url === '/hang') return
      response.end(request.url === '/large' ? Buffer.alloc(200_000) : '{}')
    })
    const http = open(url, trusting()).http(url, { maxReplyBytes: 100_000 })
    await http.json(get, anything)
    const stop = new AbortController()
    const hanging = http.json({ method: 'GET', path: 'hang' }, anything, { signal: stop.signal })
    stop.abort()
    await failure(hanging, 'cancelled')
    await failure(http.json({ method: 'GET', path: 'large' }, anything), 'too_large')
    expect(await http.json(get, anything)).toEqual({})
    expect(sockets.size).toBe(1)
  })
})

describe('proxies', () => {
  /** A proxy as they are found in companies: forwards http, tunnels https, and may want a password. Every name leads to `target`. */
  const openProxy = async (target: () => string, password?: string) => {
    const seen: string[] = []
    const sockets = new Set<Socket>()
    const allowed = (given: string | undefined): boolean =>
      password === undefined || given === `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
    const server = createServer((request, response) => {
      seen.push(`${String(request.method)} ${String(request.url)}`)
      if (!allowed(request.headers['proxy-authorization'])) {
        response.writeHead(407).end()
        return
      }
      const { pathname } = new URL(String(request.url))
      const onward = httpRequest(
        `${target()}${pathname}`,
        { method: request.method, headers: request.headers },
        (reply) => {
          response.writeHead(reply.statusCode ?? 502, reply.headers)
          reply.pipe(response)
        },
      )
      request.pipe(onward)
    })
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    })
    server.on('connect', (request, socket: Socket) => {
      seen.push(`CONNECT ${String(request.url)}`)
      if (!allowed(request.headers['proxy-authorization'])) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
        return
      }
      const { hostname, port } = new URL(target())
      const onward = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      onward.on('error', () => socket.destroy())
      socket.on('close', () => onward.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, sockets }
  }
  const secure = async () => {
    const server = createSecureServer(
      { cert: namedCertificate, key: namedKey, allowHTTP1: true },
      (request, response) => {
        response.end(JSON.stringify({ version: request.httpVersion, authorization: request.headers.authorization }))
      },
    )
    const sockets = new Set<Socket>()
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  const tls = { ca: namedCertificate }
  const https = 'https://tracking.example.com'
  const plain = 'http://tracking.example.com'
  /** Nothing may be looked up on this side of a proxy. */
  const lookup = () => Promise.reject(new Error('looked up'))

  test('https goes through a tunnel, with the credentials of the proxy for the proxy only', async () => {
    const target = await secure()
    const proxy = await openProxy(() => target, 'p@ss word')
    const environment = { https_proxy: `http://me:${encodeURIComponent('p@ss word')}@${proxy.host}` }
    const authorizer: Authorizer = { authorize: ({ headers }) => headers.set('authorization', 'Bearer abc') }
    const network = open(https, { authorizer, runtime: { environment, tls, lookup } })
    expect(await network.http(https).json(get, anything)).toEqual({ version: '1.1', authorization: 'Bearer abc' })
    expect(proxy.seen).toEqual(['CONNECT tracking.example.com:443'])
    await network.close()
    await until(() => proxy.sockets.size === 0)
  })
  test('HTTP/2 goes through a tunnel too', async () => {
    const target = await secure()
    const proxy = await openProxy(() => target)
    const network = open(https, { runtime: { environment: { HTTPS_PROXY: proxy.host }, tls, lookup, http2: true } })
    expect(await network.http(https).json(get, anything)).toMatchObject({ version: '2.0' })
  })
  test('http is forwarded', async () => {
    const { url, received } = await serve((_, response) => json(response, { ok: true }))
    const proxy = await openProxy(() => url)
    const network = open(plain, { runtime: { environment: { HTTP_PROXY: `http://${proxy.host}` }, lookup } })
    expect(await network.http(plain).json(get, anything)).toEqual({ ok: true })
    expect(proxy.seen).toEqual(['GET http://tracking.example.com/x'])
    expect(received[0]?.headers.host).toBe('tracking.example.com')
    await network.close()
    await until(() => proxy.sockets.size === 0)
  })
  test.for([
    ['a wrong password', (host: string) => `http://me:hunter22@${host}`, 'proxy 407', false],
    ['no proxy there', () => 'http://me:hunter22@127.0.0.1:9', 'ECONNREFUSED', true],
  ] as const)('%s: the error shows no password', async ([, address, cause, retryable]) => {
    const proxy = await openProxy(() => 'http://127.0.0.1:9', 'right')
    for (const url of [https, plain]) {
      const network = open(url, { runtime: { proxy: address(proxy.host), tls, lookup, policy: { attempts: 1 } } })
      const error = await failure(network.http(url).json(get, anything), 'unavailable')
      expect(error).toMatchObject({ retryable, details: { cause } })
      expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain('hunter22')
    }
  })
  test('a proxy that cannot be read is named without being quoted', async () => {
    for (const address of ['socks5://me:hunter22@proxy:1080', 'http://', 'http://me:hunter22@[proxy', '::hunter22']) {
      const network = open(https, { runtime: { environment: { HTTPS_PROXY: address }, lookup } })
      const error = await failure(network.http(https).json(get, anything), 'invalid_config')
      expect(error.details).toEqual({ field: 'HTTPS_PROXY' })
      expect(error.message).not.toContain('hunter22')
    }
  })
  test('a proxy that never answers holds up neither a call nor the closing, and keeps no socket', async () => {
    const { url: address, sockets } = await serveRaw(() => {})
    for (const url of [https, plain]) {
      const network = open(url, { runtime: { proxy: address, tls, lookup } })
      const call = failure(network.http(url).json(get, anything), 'cancelled')
      await until(() => sockets.size > 0)
      await network.close()
      await call
      await until(() => sockets.size === 0)
      const slow = open(url, { runtime: { proxy: address, tls, lookup, policy: { attempts: 1 } } })
      await failure(slow.http(url, { timeoutMs: 50 }).json(get, anything), 'timeout')
      await slow.close()
      await until(() => sockets.size === 0)
    }
  })
  test('hosts in NO_PROXY, this machine, and whoever says false do without', async () => {
    const { url, received } = await serve((_, response) => json(response, {}))
    const dead = { HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9' }
    await open(url, { runtime: { environment: dead } })
      .http(url)
      .json(get, anything)
    const local = url.replace('127.0.0.1', 'localhost')
    await open(local, { runtime: { environment: dead } })
      .http(local)
      .json(get, anything)
    const named = url.replace('127.0.0.1', 'mlflow.corp.internal')
    const found = () => Promise.resolve([{ address: '127.0.0.1' }])
    for (const runtime of [
      { environment: { ...dead, no_proxy: '.corp.internal' } },
      { environment: { ...dead, NO_PROXY: 'other,mlflow.corp.internal' } },
      { environment: dead, proxy: false as const },
    ])
      await open(named, { runtime: { ...runtime, lookup: found } })
        .http(named)
        .json(get, anything)
    expect(received).toHaveLength(5)
  })
})

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
  test('none is left after close, in use or not', async () => {
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
  test('IPv6', async () => {
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
