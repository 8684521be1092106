import { createServer, request as httpRequest } from 'node:http'
import { createSecureServer } from 'node:http2'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import type { Authorizer } from '@ecokit/contracts'
import { namedCertificate, namedKey } from './certificates.ts'
import { failure, json, open, serve, serveRaw, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

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
