import { AsyncLocalStorage } from 'node:async_hooks'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Signable } from '@ecokit/contracts'
import { failure, json, open, serve, streamOf, text, until } from './support.ts'

const anything = z.unknown()

test('a call goes below the base URL with query, JSON body and headers, and its reply comes through the schema', async () => {
  const { url, received } = await serve((_, response) => json(response, { id: '7', extra: true }))
  const http = open(url).http(`${url}/api/2.0/`)
  const schema = z.object({ id: z.string().transform(Number) })
  const reply = await http.json(
    {
      method: 'post',
      path: 'runs/search',
      query: { a: ['1', '2'], b: undefined, c: 'ü &' },
      headers: { 'X-Own': 'v' },
      body: { at: 9007199254740993n, lost: NaN },
    },
    schema,
  )
  expect(reply).toEqual({ id: 7 })
  expect(received[0]).toMatchObject({
    method: 'POST',
    url: '/api/2.0/runs/search?a=1&a=2&c=%C3%BC%20%26',
    body: '{"at":9007199254740993,"lost":"NaN"}',
    headers: { 'x-own': 'v', 'content-type': 'application/json', accept: 'application/json', 'user-agent': 'ecokit' },
  })
  expect(received[0]?.headers).not.toHaveProperty('accept-encoding')
})
test("the caller's headers replace ours, whatever their case", async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  await open(url)
    .http(url)
    .json(
      {
        method: 'POST',
        path: 'x',
        headers: { 'Content-Type': 'application/scim+json', 'USER-AGENT': 'mine' },
        body: {},
      },
      anything,
    )
  expect(received[0]?.headers).toMatchObject({ 'content-type': 'application/scim+json', 'user-agent': 'mine' })
})
test('integers beyond 2^53 and the bare words of Python arrive as they are', async () => {
  const { url } = await serve((_, response) => response.end('{"timestamp": 1234567890123456789, "value": NaN}'))
  expect(await open(url).http(url).json({ method: 'GET', path: '' }, anything)).toEqual({
    timestamp: 1234567890123456789n,
    value: NaN,
  })
})
test('an empty body reads as an empty object, with any status', async () => {
  const { url } = await serve((_, response, count) => response.writeHead([200, 204, 205][count - 1] ?? 200).end())
  const http = open(url).http(url)
  for (let count = 0; count < 3; count++) expect(await http.json({ method: 'GET', path: '' }, z.object({}))).toEqual({})
})
test('a streamed reply has status, headers and body; sockets are kept and used again', async () => {
  const { url, received, sockets } = await serve((request, response) =>
    response.writeHead(206, { 'x-two': ['a', 'b'] }).end(request.body.toUpperCase()),
  )
  const http = open(url).http(url)
  for (let count = 0; count < 5; count++) {
    const reply = await http.request({ method: 'PUT', path: 'file', body: new TextEncoder().encode('abc') })
    expect(reply.status).toBe(206)
    expect(reply.headers.get('x-two')).toBe('a, b')
    expect(await text(reply.body)).toBe('ABC')
  }
  expect(received).toHaveLength(5)
  expect(sockets.size).toBeLessThanOrEqual(2)
})
test('a stream is sent as it comes and counted', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const network = open(url)
  const body = streamOf(Buffer.from('first '), Buffer.from('second'))
  const reply = await network.http(url).request({ method: 'PUT', path: 'file', body })
  await text(reply.body)
  expect(received[0]?.body).toBe('first second')
  expect(network.exchanges).toMatchObject([{ requestBytes: 12, replyBytes: 2, status: 200 }])
})
test('a stream that fails ends the call with its own error, and one that is not sent is cancelled', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const http = open(url).http(url)
  const failing = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.error(new Error('the disk is gone')),
  })
  expect((await failure(http.request({ method: 'PUT', path: 'file', body: failing }), 'internal')).message).toContain(
    'the disk is gone',
  )
  let cancelled = false
  const unsent = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) })
  await failure(
    open('http://127.0.0.1:1').http('http://127.0.0.1:1').request({ method: 'PUT', path: 'file', body: unsent }),
    'unavailable',
  )
  expect(cancelled).toBe(true)
})
test('a stream that keeps moving may take longer than the timeout', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  let left = 30
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      controller.enqueue(Buffer.from('x'))
      if (--left === 0) controller.close()
    },
  })
  const reply = await open(url).http(url, { timeoutMs: 150 }).request({ method: 'PUT', path: 'file', body })
  expect(await text(reply.body)).toBe('{}')
  expect(received[0]?.body).toHaveLength(30)
})
test('a reader that is slow slows the server down', async () => {
  const size = 200 * 1024 * 1024
  let sent = 0
  const { url } = await serve((_, response) => {
    const write = (): void => {
      while (sent < size) {
        sent += 65_536
        if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', write)
      }
      response.end()
    }
    write()
  })
  const { body } = await open(url).http(url).request({ method: 'GET', path: 'file' })
  // Stands still: nothing was sent while the event loop went round a thousand times.
  let seen = -1
  let still = 0
  await until(() => {
    still = sent === seen ? still + 1 : 0
    seen = sent
    return still === 1000
  })
  expect(sent).toBeLessThan(size / 4)
  await body.cancel()
})
test('a HEAD request has no body and needs none', async () => {
  const { url } = await serve((_, response) =>
    response.writeHead(200, { 'content-length': '5', 'content-encoding': 'gzip' }).end(),
  )
  const http = open(url).http(url, { maxReplyBytes: 2 })
  const reply = await http.request({ method: 'HEAD', path: 'file' })
  expect([reply.headers.get('content-length'), await text(reply.body)]).toEqual(['5', ''])
  expect(await http.json({ method: 'HEAD', path: 'file' }, anything)).toEqual({})
})

const encodings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
test.for(Object.entries(encodings))(
  'a reply in %s is decompressed although nobody asked for it',
  async ([name, compress]) => {
    const { url } = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': name }).end(compress('{"a":1}')),
    )
    const http = open(url).http(url)
    expect(await http.json({ method: 'GET', path: '' }, anything)).toEqual({ a: 1 })
    expect(await text((await http.request({ method: 'GET', path: '' })).body)).toBe('{"a":1}')
  },
)
test('several encodings are taken off in turn; an error body is decompressed too', async () => {
  const { url } = await serve((_, response, count) =>
    response
      .writeHead(count === 1 ? 200 : 400, { 'content-encoding': 'identity, gzip, br' })
      .end(brotliCompressSync(gzipSync('{"message":"so it is"}'))),
  )
  const http = open(url).http(url)
  expect(await http.json({ method: 'GET', path: '' }, anything)).toEqual({ message: 'so it is' })
  expect((await failure(http.json({ method: 'GET', path: '' }, anything), 'rejected')).message).toContain('so it is')
})

test('the authorizer sees the request as it will be sent and may change headers and URL', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const seen: Signable[] = []
  const network = open(url, {
    authorizer: {
      authorize: async (request) => {
        seen.push({
          method: request.method,
          url: new URL(request.url),
          headers: new Headers(request.headers),
          body: request.body,
        })
        request.headers.set('authorization', 'Signature abc')
        request.url.searchParams.set('signed', 'yes')
      },
    },
  })
  const http = network.http(`${url}/api`)
  await http.json({ method: 'POST', path: 'x', query: { q: '1' }, body: { a: 1 } }, anything)
  await text((await http.request({ method: 'PUT', path: 'y', body: streamOf(new Uint8Array(3)) })).body)
  expect(seen[0]?.method).toBe('POST')
  expect(new TextDecoder().decode(seen[0]?.body as Uint8Array)).toBe('{"a":1}')
  expect(seen[0]?.url.href).toBe(`${url}/api/x?q=1`)
  expect(seen[0]?.headers.get('content-type')).toBe('application/json')
  expect(seen[1]?.body).toBe('stream')
  expect(received[0]).toMatchObject({ url: '/api/x?q=1&signed=yes', headers: { authorization: 'Signature abc' } })
  expect(network.exchanges.map(({ path }) => path)).toEqual(['/api/x', '/api/y'])
})
test('an authorizer may not change the host, and what it throws is not quoted', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const moved = open(url, { authorizer: { authorize: (request) => void (request.url.host = 'evil.example') } })
  await failure(moved.http(url).json({ method: 'GET', path: '' }, anything), 'internal')
  const throwing = open(url, {
    authorizer: { authorize: ({ headers }) => headers.set('authorization', 'Bearer abc\r\nx: y') },
  })
  const error = await failure(throwing.http(url).json({ method: 'GET', path: '' }, anything), 'internal')
  expect(error.message).not.toContain('abc')
  expect(received).toEqual([])
})
test('an authorizer may be made with a way out that carries no credentials', async () => {
  const { url, received } = await serve((request, response) =>
    json(response, { token: request.url === '/token' ? 'fresh' : undefined }),
  )
  const network = open(url, {
    authorizer: (anonymous) => {
      const tokens = anonymous(url)
      return {
        authorize: async ({ headers }, options) => {
          const { token } = await tokens.json(
            { method: 'POST', path: 'token' },
            z.object({ token: z.string() }),
            options,
          )
          headers.set('authorization', `Bearer ${token}`)
        },
      }
    },
  })
  await network.http(url).json({ method: 'GET', path: 'data' }, anything)
  expect(received.map(({ url: path, headers }) => [path, headers.authorization])).toEqual([
    ['/token', undefined],
    ['/data', 'Bearer fresh'],
  ])
  expect(network.requests()).toBe(2)
})
test('a 401 asks for a new credential once', async () => {
  let token = 'old'
  let refusals = 0
  const { url, received } = await serve(({ headers }, response) =>
    json(response, {}, headers.authorization === 'new' ? 200 : 401),
  )
  const authorizer = {
    authorize: ({ headers }: Signable) => headers.set('authorization', token),
    refused: async () => {
      refusals++
      token = refusals === 1 ? 'new' : 'never'
      return true
    },
  }
  const network = open(url, { authorizer })
  // Not idempotent: a call that was refused has changed nothing.
  await network.http(url).json({ method: 'POST', path: '', body: {} }, anything)
  expect([received.length, refusals, network.clock.waits.length]).toEqual([2, 1, 0])
  token = 'old'
  await failure(network.http(url).json({ method: 'GET', path: '' }, anything), 'unauthenticated')
  expect([received.length, refusals]).toEqual([4, 2])
})
test('an authorizer that has nothing new, or fails to get it, ends the call', async () => {
  const { url, received } = await serve((_, response) => json(response, {}, 401))
  const nothing = open(url, { authorizer: { authorize: () => {}, refused: async () => false } })
  const error = await failure(nothing.http(url).json({ method: 'GET', path: '' }, anything), 'unauthenticated')
  expect(error.message).toContain('Check the credentials of "acme"')
  const failing = open(url, {
    authorizer: { authorize: () => {}, refused: () => Promise.reject(new Error('no network')) },
  })
  await failure(failing.http(url).json({ method: 'GET', path: '' }, anything), 'internal')
  expect(received).toHaveLength(2)
})

test('a URL out of a reply is fetched without credentials, from declared hosts only', async () => {
  const { url, received } = await serve((_, response) => response.end('content'))
  const network = open(url, {
    authorizer: { authorize: ({ headers }) => headers.set('authorization', 'secret-token') },
  })
  const http = network.http(`${url}/api/`)
  expect(await text((await http.foreign(`${url}/files/1?signature=abc`)).body)).toBe('content')
  expect(await text((await http.foreign('/files/2')).body)).toBe('content')
  expect(received.map((request) => [request.url, request.headers.authorization])).toEqual([
    ['/files/1?signature=abc', undefined],
    ['/files/2', undefined],
  ])
  expect(network.exchanges[0]).toMatchObject({ path: '/files/1' })
  const { port } = new URL(url)
  const elsewhere = [
    'https://evil.example/x',
    '//evil.example/x',
    `http://evil@127.0.0.2:${port}/`,
    `https://127.0.0.1:${port}/`,
    'file:///etc/passwd',
    'data:,x',
    `ftp://127.0.0.1:${port}/`,
    'http://2130706433/',
  ]
  for (const address of elsewhere)
    expect((await failure(http.foreign(address), 'host_not_allowed')).details.host).not.toBe('')
  await failure(http.foreign('http://['), 'invalid_reply')
  expect(received).toHaveLength(2)
})

test('what cannot be sent is refused before anything is', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const http = open(url).http(url)
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  for (const request of [
    { method: 'GET', path: 'x', headers: { Host: 'evil.example' } },
    { method: 'GET', path: 'x', headers: { 'x-a': 'b\r\nhost: evil.example' } },
    { method: 'GET', path: 'x', headers: { 'x a': 'b' } },
    { method: 'GET', path: '../x' },
    { method: 'POST', path: 'x', body: circular },
    { method: 'POST', path: 'x', body: () => 1 },
  ])
    await failure(http.json(request, anything), 'invalid_input')
  await failure(http.json({ method: 'CONNECT', path: 'x' }, anything), 'internal')
  await failure(http.json({ method: 'G T', path: 'x' }, anything), 'internal')
  expect(received).toEqual([])
})

test('each request on the wire is observed once, and an observer that throws does no harm', async () => {
  const { url } = await serve((_, response, count) => json(response, { a: 1 }, count === 1 ? 503 : 200))
  const network = open(url)
  await network.http(url).json({ method: 'GET', path: 'x', query: { key: 'hidden' } }, anything)
  const same = { partner: 'acme', method: 'GET', host: url.slice(7), path: '/x', requestBytes: 0, replyBytes: 7 }
  expect(network.exchanges).toEqual([
    { ...same, status: 503, code: 'unavailable', attempt: 1, startedAt: expect.any(Number) as number, durationMs: 0 },
    { ...same, status: 200, attempt: 2, startedAt: expect.any(Number) as number, durationMs: 0 },
  ])
  const throwing = open(url, { runtime: { observe: () => expect.unreachable() } })
  expect(await throwing.http(url).json({ method: 'GET', path: 'x' }, anything)).toEqual({ a: 1 })
})

test('the observer of a call finds itself in that call, wherever the body is read', async () => {
  const { url } = await serve((_, response) => response.end('content'))
  const calls = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  const network = open(url, { runtime: { observe: () => seen.push(calls.getStore()) } })
  const reply = await calls.run('the call', () => network.http(url).request({ method: 'GET', path: 'x' }))
  await text(reply.body)
  expect(seen).toEqual(['the call'])
})

test('closing frees the sockets, ends what is under way and refuses what comes after', async () => {
  const { url, received, sockets } = await serve(() => {})
  const network = open(url, { runtime: { policy: { attempts: 1 } } })
  const http = network.http(url)
  const waiting = failure(http.json({ method: 'GET', path: 'x' }, anything), 'cancelled')
  await until(() => received.length === 1)
  await network.close()
  expect((await waiting).message).toContain('the connection is closed')
  await until(() => sockets.size === 0)
  await failure(http.json({ method: 'GET', path: 'x' }, anything), 'cancelled')
  await network.close()
  expect(network.requests()).toBe(1)
})
test('a network that was never used closes without loading anything', async () => {
  await open('http://127.0.0.1:1').close()
})
