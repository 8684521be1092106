import { getEventListeners } from 'node:events'
import { Agent, buildConnector } from 'undici'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../src/index.ts'
import { failure, json, open, serve, serveRaw, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

test('before it begins, a call is not sent', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const network = open(url)
  const signal = AbortSignal.abort()
  await failure(network.http(url).json(get, anything, { signal }), 'cancelled')
  await failure(network.http(url).request(get, { signal }), 'cancelled')
  await failure(network.http(url).foreign(url, { signal }), 'cancelled')
  await failure(
    network.http(url).pages(get, anything, { kind: 'link' }, { signal })[Symbol.asyncIterator]().next(),
    'cancelled',
  )
  expect([received.length, network.requests(), network.exchanges.length]).toEqual([0, 0, 0])
})
test('while connecting', async () => {
  const controller = new AbortController()
  let connecting = 0
  // A connection that is never made, as to a host behind a firewall that drops everything.
  const dispatcher = new Agent({ connect: () => (connecting += 1) })
  const network = open('http://127.0.0.1:1', { runtime: { dispatcher } })
  const call = failure(
    network.http('http://127.0.0.1:1').json(get, anything, { signal: controller.signal }),
    'cancelled',
  )
  await until(() => connecting === 1)
  controller.abort()
  await call
  void dispatcher.destroy()
})
test('while connecting: what was given up is not sent when the connection is there at last', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const make = buildConnector({})
  const waiting: (() => void)[] = []
  let reachable = false
  const dispatcher = new Agent({
    connections: 1,
    connect: (options, callback) => {
      if (reachable) make(options, callback)
      else waiting.push(() => make(options, callback))
    },
  })
  const controller = new AbortController()
  const http = open(url, { runtime: { dispatcher } }).http(url)
  const given = failure(
    http.json({ method: 'POST', path: 'given-up' }, anything, { signal: controller.signal }),
    'cancelled',
  )
  const wanted = http.json({ method: 'POST', path: 'wanted' }, anything)
  await until(() => waiting.length === 1)
  controller.abort()
  await given
  reachable = true
  for (const connect of waiting) connect()
  await wanted
  expect(received.map((request) => request.url)).toEqual(['/wanted'])
  await dispatcher.destroy()
})
test('while connecting, a timeout', async () => {
  const dispatcher = new Agent({ connect: () => {} })
  const network = open('http://127.0.0.1:1', { runtime: { dispatcher, policy: { attempts: 1 } } })
  const error = await failure(network.http('http://127.0.0.1:1', { timeoutMs: 50 }).json(get, anything), 'timeout')
  expect(error.details).toEqual({ timeoutMs: 50 })
  void dispatcher.destroy()
})
test('while the authorizer is at work', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const controller = new AbortController()
  const network = open(url, { authorizer: { authorize: async () => controller.abort() } })
  await failure(network.http(url).json(get, anything, { signal: controller.signal }), 'cancelled')
  expect(received).toEqual([])
})
test('while waiting for the answer, and the socket is freed', async () => {
  const { url, received, sockets } = await serve(() => {})
  const controller = new AbortController()
  const network = open(url)
  const call = failure(network.http(url).json(get, anything, { signal: controller.signal }), 'cancelled')
  await until(() => received.length === 1)
  controller.abort()
  expect((await call).message).toBe('acme: GET /x was cancelled')
  await until(() => sockets.size === 0)
  expect(network.exchanges).toMatchObject([{ code: 'cancelled', attempt: 1 }])
})
test('within the body', async () => {
  const { url, sockets } = await serveRaw(
    (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{'),
  )
  const controller = new AbortController()
  const network = open(url, { runtime: { observe: () => {} } })
  const reply = await network.http(url).request(get, { signal: controller.signal })
  const reading = failure(text(reply.body), 'cancelled')
  controller.abort()
  await reading
  await until(() => sockets.size === 0)
})
test('within the body of an error', async () => {
  const { url, count } = await serveRaw((socket) => void socket.write('HTTP/1.1 503 No\r\ncontent-length: 50\r\n\r\nx'))
  const controller = new AbortController()
  const call = failure(open(url).http(url).json(get, anything, { signal: controller.signal }), 'cancelled')
  await until(() => count() === 1)
  controller.abort()
  await call
})
test('between attempts, on the clock of this machine', async () => {
  const { url, received } = await serve((_, response) => json(response, {}, 429, { 'retry-after': '50' }))
  const controller = new AbortController()
  const waiting: number[] = []
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => (waiting.push(ms), systemClock.sleep(ms, signal)),
  }
  const call = failure(
    open(url, { runtime: { clock } }).http(url).json(get, anything, { signal: controller.signal }),
    'cancelled',
  )
  await until(() => waiting.length === 1)
  controller.abort()
  await call
  expect([received.length, waiting]).toEqual([1, [50_000]])
})
test('between attempts, by closing', async () => {
  const { url } = await serve((_, response) => json(response, {}, 503, { 'retry-after': '50' }))
  let waiting = 0
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => (waiting++, systemClock.sleep(ms, signal)),
  }
  const network = open(url, { runtime: { clock } })
  const { signal } = new AbortController()
  const call = failure(network.http(url).json(get, anything, { signal }), 'cancelled')
  await until(() => waiting === 1)
  await network.close()
  expect((await call).message).toContain('the connection is closed')
})
test('between pages', async () => {
  const { url, received } = await serve((_, response, count) => json(response, { next: String(count) }))
  const controller = new AbortController()
  const pages = open(url)
    .http(url)
    .pages(
      get,
      z.object({ next: z.string() }),
      { kind: 'token', in: 'query', parameter: 'page', next: ({ next }) => next },
      controller,
    )
  const read = async (): Promise<void> => {
    for await (const page of pages) if (page.next === '2') controller.abort()
  }
  await failure(read(), 'cancelled')
  expect(received).toHaveLength(2)
})
test('while a body is sent, its source is cancelled', async () => {
  const { url, sockets } = await serveRaw(() => {})
  const controller = new AbortController()
  let sent = 0
  let cancelled = false
  const body = new ReadableStream<Uint8Array>({
    pull: (stream) => {
      sent++
      stream.enqueue(new Uint8Array(65_536))
    },
    cancel: () => void (cancelled = true),
  })
  const call = failure(
    open(url).http(url).request({ method: 'PUT', path: 'x', body }, { signal: controller.signal }),
    'cancelled',
  )
  await until(() => sent > 3)
  controller.abort()
  await call
  await until(() => cancelled && sockets.size === 0)
})
test('a stream that is cancelled by its reader frees the socket, read or not', async () => {
  const { url, sockets } = await serveRaw(
    (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc'),
  )
  const network = open(url)
  const unread = await network.http(url).request(get)
  await unread.body.cancel()
  const half = (await network.http(url).request(get)).body.getReader()
  expect((await half.read()).value?.byteLength).toBe(3)
  await half.cancel()
  const pending = (await network.http(url).request(get)).body.getReader()
  await pending.read()
  const reading = pending.read()
  await pending.cancel()
  expect((await reading).done).toBe(true)
  await until(() => sockets.size === 0)
  expect(network.exchanges.map(({ code, replyBytes }) => [code, replyBytes])).toEqual([
    [undefined, 0],
    [undefined, 3],
    [undefined, 3],
  ])
})
test('closing ends a stream that is being read', async () => {
  const { url, sockets } = await serveRaw(
    (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc'),
  )
  const network = open(url)
  const { body } = await network.http(url).request(get)
  const reading = failure(text(body), 'cancelled')
  await network.close()
  await reading
  await until(() => sockets.size === 0)
})
test('a signal that outlives its calls keeps nothing of them', async () => {
  const { url } = await serve((_, response, count) => json(response, {}, count % 2 === 0 ? 200 : 503))
  const { signal } = new AbortController()
  const http = open(url, { runtime: { policy: { retryBudget: 1, breakAt: 2 } } }).http(url)
  for (let count = 0; count < 20; count++) {
    await http.json(get, anything, { signal })
    await text((await http.request(get, { signal })).body)
    await (await http.request(get, { signal })).body.cancel()
  }
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
