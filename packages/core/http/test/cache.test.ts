import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Authorizer, Shared } from '@ecokit/contracts'
import { memoryShared } from '../src/index.ts'
import type { NetworkOptions } from '../src/index.ts'
import { directivesOf } from '../src/freshness.ts'
import { failure, fakeClock, json, open, serve, text, type Received } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

/** A server whose replies say how often it was asked, with these headers; it knows about conditions. */
const counting = (headers: Record<string, string> | ((request: Received) => Record<string, string>), etag?: string) =>
  serve((request, response: ServerResponse, count) => {
    const all = {
      ...(typeof headers === 'function' ? headers(request) : headers),
      ...(etag === undefined ? {} : { etag }),
    }
    if (etag !== undefined && request.headers['if-none-match'] === etag) response.writeHead(304, all).end()
    else response.writeHead(200, { 'content-type': 'application/json', ...all }).end(`{"count":${count}}`)
  })
const opened = (url: string, options: Partial<NetworkOptions> = {}, start?: number) => {
  const clock = fakeClock(start)
  const network = open(url, { ...options, runtime: { cache: true, clock, ...options.runtime } })
  return { ...network, http: network.http(url), pass: (ms: number) => clock.sleep(ms) }
}
const bearer = (token: () => string): Authorizer => ({
  authorize: ({ headers }) => headers.set('authorization', `Bearer ${token()}`),
})

describe('what a reply allows', () => {
  test('nothing is kept unless the host asks for it', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=60' })
    const http = open(url).http(url)
    await http.json(get, anything)
    await http.json(get, anything)
    expect(received).toHaveLength(2)
  })
  test('max-age, Expires and Age say for how long it is used without asking', async () => {
    for (const headers of [
      { 'cache-control': 'private, max-age=60' },
      { 'cache-control': 'public, max-age="60", s-maxage=1' },
      { 'cache-control': 'max-age=100', age: '40' },
      {
        date: new Date(Date.UTC(2026, 0, 1)).toUTCString(),
        expires: new Date(Date.UTC(2026, 0, 1, 0, 1)).toUTCString(),
      },
    ]) {
      const { url, received } = await counting({ date: new Date(Date.UTC(2026, 0, 1)).toUTCString(), ...headers })
      const { http, pass, requests, exchanges } = opened(url)
      expect(await http.json(get, anything)).toEqual({ count: 1 })
      await pass(59_000)
      expect(await http.json(get, anything)).toEqual({ count: 1 })
      expect([requests(), exchanges.length]).toEqual([1, 1])
      await pass(1_000)
      expect(await http.json(get, anything)).toEqual({ count: 2 })
      expect(received).toHaveLength(2)
    }
  })
  test.for([
    [{ 'cache-control': 'no-store, max-age=60' }],
    [{ 'cache-control': 'max-age=0' }],
    [{ 'cache-control': 'max-age=soon' }],
    [{ 'cache-control': 'max-age=60, max-age=0' }],
    [{ 'cache-control': 'no-cache, max-age=60' }],
    [{ 'cache-control': 'max-age=60', vary: '*' }],
    [{ 'cache-control': 'max-age=60', age: '60' }],
    [{ 'cache-control': 'max-age=60', age: 'old' }],
    [{ 'last-modified': 'Thu, 01 Jan 2015 00:00:00 GMT' }],
    [{ expires: '0' }],
    [{}],
  ] as const)('%o is not used without asking', async ([headers]) => {
    const { url, received } = await counting({ date: new Date(Date.UTC(2026, 0, 1)).toUTCString(), ...headers })
    const { http } = opened(url)
    await http.json(get, anything)
    expect(await http.json(get, anything)).toEqual({ count: 2 })
    expect(received[1]?.headers['if-modified-since']).toBe(
      'last-modified' in headers ? headers['last-modified'] : undefined,
    )
  })
  test('an ETag is asked about, and a 304 gives the reply that is kept and renews it', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=10' }, '"v1"')
    const { http, pass } = opened(url)
    for (let round = 0; round < 3; round++) {
      expect(await http.json(get, anything)).toEqual({ count: 1 })
      expect(await http.json(get, anything)).toEqual({ count: 1 })
      await pass(11_000)
    }
    expect(received.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"v1"', '"v1"'])
  })
  test('a compressed reply, and one of many pages', async () => {
    const { url, received } = await serve((request, response) => {
      const next = request.url === '/x' ? { link: '</y>; rel="next"' } : {}
      response.writeHead(200, { 'cache-control': 'max-age=60', 'content-encoding': 'gzip', ...next })
      response.end(gzipSync(JSON.stringify({ path: request.url })))
    })
    const { http } = opened(url)
    for (let round = 0; round < 2; round++) {
      const pages: unknown[] = []
      for await (const page of http.pages(get, anything, { kind: 'link' })) pages.push(page)
      expect(pages).toEqual([{ path: '/x' }, { path: '/y' }])
    }
    expect(received).toHaveLength(2)
  })
  test('a 304 that speaks of another reply, or that nobody asked for, is not believed', async () => {
    const { url, received } = await serve((_, response, count) =>
      count === 2
        ? response.writeHead(304, { etag: '"v2"' }).end()
        : response.writeHead(200, { etag: '"v1"' }).end(`{"count":${count}}`),
    )
    const { http } = opened(url)
    await http.json(get, anything)
    expect(await http.json(get, anything)).toEqual({ count: 3 })
    expect(received[2]?.headers).not.toHaveProperty('if-none-match')
  })
  test('errors, streams and other methods are not kept, and a redirect is followed each time', async () => {
    const { url, received } = await serve((request, response, count) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/end', 'cache-control': 'max-age=60' }).end()
      else
        response
          .writeHead(request.url === '/error' ? 404 : 200, { 'cache-control': 'max-age=60' })
          .end(`{"count":${count}}`)
    })
    const { http } = opened(url)
    for (let round = 0; round < 2; round++) {
      await failure(http.json({ method: 'GET', path: 'error' }, anything), 'not_found')
      await text((await http.request({ method: 'GET', path: 'stream' })).body)
      await http.json({ method: 'POST', path: 'post', effect: 'read', body: {} }, anything)
      await http.json({ method: 'GET', path: 'moved' }, anything)
    }
    expect(received).toHaveLength(10)
  })
})

describe('what a request asks for', () => {
  test.for([
    ['no-cache', 2],
    ['no-store', 2],
    ['max-age=5', 2],
    ['min-fresh=55', 2],
    ['max-age=30', 1],
  ] as const)('Cache-Control: %s', async ([value, requests]) => {
    const { url, received } = await counting({ 'cache-control': 'max-age=60' })
    const { http, pass } = opened(url)
    await http.json(get, anything)
    await pass(10_000)
    await http.json({ ...get, headers: { 'cache-control': value } }, anything)
    expect(received).toHaveLength(requests)
  })
  test('Vary: only for requests that are alike in it', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=60', vary: 'Accept-Language, X-Tenant' })
    const { http } = opened(url)
    const ask = (headers: Record<string, string>) => http.json({ ...get, headers }, anything)
    await ask({ 'accept-language': 'de' })
    expect(await ask({ 'accept-language': 'de', 'x-other': '1' })).toEqual({ count: 1 })
    expect(await ask({ 'accept-language': 'fr' })).toEqual({ count: 2 })
    expect(await ask({ 'accept-language': 'fr', 'x-tenant': 'a' })).toEqual({ count: 3 })
    expect(received).toHaveLength(3)
  })
  test('a caller with conditions of its own, who wants a part, or who says that its GET writes, is left alone', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=60' })
    const { http } = opened(url)
    for (let round = 0; round < 2; round++) await http.json({ ...get, effect: 'write' }, anything)
    for (const headers of [{ range: 'bytes=0-5' }, { 'if-none-match': '"x"' }])
      for (let round = 0; round < 2; round++) await http.json({ ...get, headers }, anything)
    expect(received).toHaveLength(6)
  })
  test('a write makes what was read before be asked for again', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=600' })
    const { http, pass } = opened(url)
    await http.json(get, anything)
    await http.json({ method: 'POST', path: 'new', body: {} }, anything)
    await pass(1)
    expect(await http.json(get, anything)).toEqual({ count: 3 })
    await http.json(get, anything)
    expect(received).toHaveLength(3)
  })
  test('a call that is cancelled is cancelled, whatever is kept', async () => {
    const { url } = await counting({ 'cache-control': 'max-age=60' })
    const { http } = opened(url)
    await http.json(get, anything)
    await failure(http.json(get, anything, { signal: AbortSignal.abort() }), 'cancelled')
  })
})

describe('whose reply it is', () => {
  test('another credential gets its own, also with an ETag', async () => {
    let token = 'alice-alice'
    const { url, received } = await serve((request, response) => {
      const headers = { 'cache-control': 'max-age=60', etag: '"same"' }
      if (request.headers['if-none-match'] === '"same"') response.writeHead(304, headers).end()
      else response.writeHead(200, headers).end(JSON.stringify({ of: request.headers.authorization }))
    })
    const { http, pass } = opened(url, { authorizer: bearer(() => token) })
    expect(await http.json(get, anything)).toEqual({ of: 'Bearer alice-alice' })
    token = 'bob-bob-bob'
    expect(await http.json(get, anything)).toEqual({ of: 'Bearer bob-bob-bob' })
    token = 'alice-alice'
    await pass(1)
    expect(await http.json(get, anything)).toEqual({ of: 'Bearer alice-alice' })
    expect(received).toHaveLength(2)
  })
  test('a credential that changes between the look and the call gets no reply of the other', async () => {
    let calls = 0
    const { url } = await serve((request, response) => {
      if (request.headers['if-none-match'] !== undefined) response.writeHead(304).end()
      else response.writeHead(200, { etag: '"same"' }).end(JSON.stringify({ of: request.headers.authorization }))
    })
    // Each call signs twice: to look, and to send.
    const { http } = opened(url, { authorizer: bearer(() => (calls++ < 3 ? 'alice-alice' : 'bob-bob-bob')) })
    expect(await http.json(get, anything)).toEqual({ of: 'Bearer alice-alice' })
    expect(await http.json(get, anything)).toEqual({ of: 'Bearer bob-bob-bob' })
  })
  test('two connections share nothing unless told to', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=60' })
    await opened(url).http.json(get, anything)
    await opened(url).http.json(get, anything)
    expect(received).toHaveLength(2)
  })
  test('through Shared: the same partner with the same credential, in another process', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=600' })
    const written: string[] = []
    const memory = memoryShared(() => Date.UTC(2026, 0, 1))
    const shared: Shared = {
      ...memory,
      put: (key, value, options) => {
        written.push(key + value)
        return memory.put(key, value, options)
      },
    }
    const connection = (partner: string, token: string) =>
      opened(url, { partner, authorizer: bearer(() => token), runtime: { shared, cache: { shared: true } } })
    // A credential is known by its slowly derived name once a second call came with it.
    const ask = ({ http }: ReturnType<typeof connection>, path: string) => http.json({ method: 'GET', path }, anything)
    const first = connection('acme', 'alice-alice')
    await ask(first, 'a')
    expect(await ask(first, 'b')).toEqual({ count: 2 })
    const again = connection('acme', 'alice-alice')
    await ask(again, 'c')
    await ask(again, 'd')
    expect(await ask(again, 'b')).toEqual({ count: 2 })
    expect(received).toHaveLength(4)
    for (const other of [connection('acme', 'bob-bob-bob'), connection('else', 'alice-alice')])
      for (const path of ['c', 'd', 'b']) await ask(other, path)
    expect(received).toHaveLength(10)
    expect(written.join()).not.toContain('alice-alice')
  })
  test('no credential is written into Shared, also where Vary names it', async () => {
    const { url } = await serve((_, response) =>
      json(response, {}, 200, { 'cache-control': 'max-age=60', vary: 'authorization, x-kind' }),
    )
    const written: string[] = []
    const memory = memoryShared(() => 0)
    const shared: typeof memory = {
      ...memory,
      put: (key, value, options) => {
        written.push(key, value)
        return memory.put(key, value, options)
      },
    }
    const authorizer: Authorizer = { authorize: ({ headers }) => headers.set('authorization', 'Bearer canary-12345') }
    const http = open(url, { authorizer, runtime: { shared, cache: { shared: true } } }).http(url)
    for (const kind of ['a', 'b', 'a', 'b', 'a', 'b'])
      await http.json({ method: 'GET', path: 'x', headers: { 'x-kind': kind } }, z.unknown())
    expect(written.join()).toContain('"vary":{"x-kind":"b"}')
    expect(written.join()).not.toContain('canary')
  })
  test('a store that takes a reply and says nothing holds up nobody, and one that gives none no longer than the deadline', async () => {
    const { url } = await serve((_, response) => json(response, {}, 200, { 'cache-control': 'max-age=60' }))
    const never = () => new Promise<never>(() => {})
    const shared: Shared = { ...memoryShared(() => 0), put: never, delete: never }
    const http = open(url, { runtime: { shared, cache: { shared: true } } }).http(url)
    expect(await http.json(get, anything)).toEqual({})
    const silent = open(url, { runtime: { shared: { ...shared, get: never }, cache: { shared: true } } })
    await failure(silent.http(url, { deadlineMs: 100 }).json(get, anything), 'timeout')
  }, 5000)
  test('a store that fails costs requests and nothing else', async () => {
    const { url, received } = await counting({ 'cache-control': 'max-age=60' })
    const broken = new Proxy(memoryShared(), { get: () => () => Promise.reject(new Error('down')) })
    const { http } = opened(url, { runtime: { shared: broken, cache: { shared: true }, policy: {} } })
    await http.json(get, anything)
    expect(await http.json(get, anything)).toEqual({ count: 1 })
    expect(received).toHaveLength(1)
  })
})

test('only so many bytes are kept, and what was used last stays', async () => {
  const { url, received } = await serve((request, response) =>
    response.writeHead(200, { 'cache-control': 'max-age=600' }).end(`{"path":"${request.url}${'x'.repeat(10_000)}"}`),
  )
  const { http } = opened(url, { runtime: { cache: { maxBytes: 50_000 } } })
  const ask = (path: number) => http.json({ method: 'GET', path: String(path) }, anything)
  for (const path of [1, 2, 3, 4]) await ask(path)
  await ask(1)
  await ask(5)
  expect(received).toHaveLength(5)
  await ask(1)
  expect(received).toHaveLength(5)
  await ask(2)
  expect(received).toHaveLength(6)
})
test('a clock that is set back asks', async () => {
  const { url, received } = await counting({ 'cache-control': 'max-age=60' })
  const clock = fakeClock()
  let now = clock.now()
  const http = open(url, { runtime: { cache: true, clock: { ...clock, now: () => now } } }).http(url)
  await http.json(get, anything)
  now -= 3_600_000
  await http.json(get, anything)
  expect(received).toHaveLength(2)
})
test('directives of any form are read without harm', () => {
  expect([...directivesOf('Max-Age="5" , private="a, b",no-cache, max-age=7,x=')]).toEqual([
    ['max-age', 5],
    ['private', 0],
    ['no-cache', 0],
    ['x', 0],
  ])
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'max-age=,"\\ 0123no-store'.split('')) }), (value) => {
      for (const seconds of directivesOf(value).values()) expect(seconds).toBeGreaterThanOrEqual(0)
    }),
  )
})
