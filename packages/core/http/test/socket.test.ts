import { getEventListeners } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { openNetwork } from '../src/index.ts'
import type { Exchange, NetworkOptions } from '../src/index.ts'
import { fakeClock, failure, until } from './support.ts'

/** A server that says hello to everybody; it notes who came. */
const greet = async (address = '127.0.0.1') => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {}).end('hello')
  })
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, reached: () => sockets.length }
}

/** A network to one host and port, as a connector for a database declares it. */
const open = (config: { host: string; port: number }, options: Partial<NetworkOptions> = {}) => {
  const exchanges: Exchange[] = []
  const network = openNetwork({
    partner: 'books',
    hosts: ['{host}:{port}'],
    config,
    ...options,
    runtime: { clock: fakeClock(), observe: (exchange) => exchanges.push(exchange), ...options.runtime },
  })
  onTestFinished(() => network.close())
  return { ...network, exchanges }
}
const resolving = (...answers: readonly (readonly string[])[]) => {
  let asked = 0
  return {
    asked: () => asked,
    lookup: () =>
      Promise.resolve((answers[Math.min(asked++, answers.length - 1)] ?? []).map((address) => ({ address }))),
  }
}
const never = new Promise<never>(() => {})

test.each(['127.0.0.1', 'localhost', '127.1', '[::1]', '::1', 'LOCALHOST'])('%s: a declared host', async (host) => {
  const six = host.includes(':')
  const { port, reached } = await greet(six ? '::1' : '127.0.0.1')
  const hosts = [six ? `[::1]:${port}` : '{host}:{port}']
  const config = six ? { host: 'localhost', port } : { host, port }
  const { socket, exchanges } = open(config, { hosts, runtime: { tls: { ca: 'a certificate' } } })
  const opened = await socket({ host, port })
  expect(await text(opened.socket)).toBe('hello')
  expect(opened.tls).toEqual({ minVersion: 'TLSv1.3', ca: 'a certificate' })
  expect(reached()).toBe(1)
  expect(exchanges).toMatchObject([{ partner: 'books', method: 'CONNECT', host: `${host}:${port}`, path: '' }])
  expect(exchanges[0]).not.toHaveProperty('code')
})

test('TLS 1.2 where the runtime allows it', async () => {
  const host = '127.0.0.1'
  const { port } = await greet()
  const opened = await open({ host, port }, { runtime: { tls: { minVersion: 'TLSv1.2' } } }).socket({ host, port })
  expect(opened.tls).toEqual({ minVersion: 'TLSv1.2' })
  opened.socket.destroy()
})

test('no other host, no other port, and nothing that only looks like the declared one', async () => {
  const { port, reached } = await greet()
  const other = await greet()
  const { lookup, asked } = resolving(['127.0.0.1'])
  const { socket, exchanges } = open(
    { host: 'books.example.com', port },
    { runtime: { lookup, privateNetworks: 'allow' } },
  )
  for (const address of [
    { host: 'other.example.com', port },
    { host: '127.0.0.1', port },
    { host: 'books.example.com', port: other.port },
    { host: 'books.example.com.evil.example.com', port },
    { host: 'someone@books.example.com', port },
    { host: `books.example.com:${port}/x`, port: 1 },
    { host: `books.example.com:${port}?`, port: 1 },
    { host: `books.example.com:${port}#`, port: other.port },
    { host: `books.example.com:${port}\\`, port: other.port },
    { host: '', port },
    { host: 'books.example.com', port: NaN },
    { host: 'books.example.com', port: 70_000 },
    { host: 'books.example.com', port: -1 },
  ])
    expect((await failure(socket(address), 'host_not_allowed')).details).toEqual({
      host: `${address.host}:${address.port}`,
    })
  expect([reached(), other.reached(), asked(), exchanges]).toEqual([0, 0, 0, []])
  const opened = await socket({ host: 'books.example.com', port })
  opened.socket.destroy()
})

test.each([
  ['a private address', '10.1.2.3'],
  ['this machine', '127.0.0.1'],
  ['this machine, written as IPv6', '::ffff:127.0.0.1'],
  ['a metadata service', '169.254.169.254'],
])('a name that leads to %s is not followed', async (_name, address) => {
  const { port, reached } = await greet()
  const host = 'books.example.com'
  const { socket, exchanges } = open({ host, port }, { runtime: resolving([address]) })
  const error = await failure(socket({ host, port }), 'host_not_allowed')
  expect(error.message).toMatch(/^books: /)
  expect(reached()).toBe(0)
  expect(exchanges).toMatchObject([{ code: 'host_not_allowed' }])
})

test('a name is looked at each time, and of several addresses only those are tried that are allowed', async () => {
  const { port, reached } = await greet()
  const host = 'books.corp'
  const runtime = resolving(['169.254.169.254', '127.0.0.1'], ['169.254.169.254'])
  const { socket } = open({ host, port }, { runtime })
  const opened = await socket({ host, port })
  expect(await text(opened.socket)).toBe('hello')
  await failure(socket({ host, port }), 'host_not_allowed')
  expect([reached(), runtime.asked()]).toEqual([1, 2])
})

test('where private networks are refused, no word of the config leads there', async () => {
  const { port, reached } = await greet()
  for (const host of ['127.0.0.1', 'localhost', '127.1', '2130706433', '0.0.0.0'])
    await failure(
      open({ host, port }, { runtime: { privateNetworks: 'refuse' } }).socket({ host, port }),
      'host_not_allowed',
    )
  await failure(
    open({ host: 'metadata.google.internal', port }, { runtime: resolving(['127.0.0.1']) }).socket({
      host: 'metadata.google.internal',
      port,
    }),
    'host_not_allowed',
  )
  expect(reached()).toBe(0)
})

test('cancelled before, while the name is looked up, and by closing; no listener stays', async () => {
  const { port, reached } = await greet()
  const host = 'books.corp'
  let found: (addresses: readonly { address: string }[]) => void = () => {}
  let asked = 0
  const lookup = () => {
    asked += 1
    return new Promise<readonly { address: string }[]>((resolve) => (found = resolve))
  }
  const closing = new AbortController()
  const network = open({ host, port }, { runtime: { lookup }, closed: closing.signal })
  await failure(network.socket({ host, port }, { signal: AbortSignal.abort() }), 'cancelled')
  expect(asked).toBe(0)

  const leaving = new AbortController()
  const waiting = failure(network.socket({ host, port }, { signal: leaving.signal }), 'cancelled')
  await until(() => asked === 1)
  leaving.abort()
  await waiting
  // The answer that comes too late opens nothing.
  found([{ address: '127.0.0.1' }])
  await new Promise((resolve) => setImmediate(resolve))
  expect(getEventListeners(leaving.signal, 'abort')).toEqual([])

  const before = getEventListeners(closing.signal, 'abort').length
  const closed = failure(network.socket({ host, port }), 'cancelled')
  await until(() => asked === 2)
  closing.abort()
  await closed
  await failure(network.socket({ host, port }), 'cancelled')
  expect(getEventListeners(closing.signal, 'abort').length).toBeLessThanOrEqual(before)
  expect([asked, reached()]).toEqual([2, 0])
})

test('close() alone ends what is being opened, and nothing is opened after it', async () => {
  const { port, reached } = await greet()
  const host = 'books.corp'
  let asked = 0
  const lookup = () => {
    asked += 1
    return never
  }
  const network = open({ host, port }, { runtime: { lookup } })
  const waiting = failure(network.socket({ host, port }), 'cancelled')
  await until(() => asked === 1)
  await network.close()
  await waiting
  await failure(network.socket({ host, port }), 'cancelled')
  expect([asked, reached()]).toEqual([1, 0])
})

test('its time is over: by the clock that was given, after what was asked for or the policy says', async () => {
  const host = 'books.corp'
  const config = { host, port: 5432 }
  const waits: number[] = []
  const after = (ms: number, work: () => void) => {
    waits.push(ms)
    const soon = setImmediate(work)
    return () => clearImmediate(soon)
  }
  const { socket, exchanges } = open(config, {
    policy: { connectTimeoutMs: 4321 },
    runtime: { lookup: () => never, clock: { ...fakeClock(), after } },
  })
  expect((await failure(socket(config), 'timeout')).details).toEqual({ timeoutMs: 4321 })
  expect((await failure(socket(config, { timeoutMs: 7 }), 'timeout')).details).toEqual({ timeoutMs: 7 })
  expect(waits).toEqual([4321, 7])
  expect(exchanges.map(({ code }) => code)).toEqual(['timeout', 'timeout'])
})

test('a time that no timer of the machine can wait for is not over at once', async () => {
  const host = '127.0.0.1'
  const { port } = await greet()
  const opened = await open({ host, port }).socket({ host, port }, { timeoutMs: 2 ** 40 })
  expect(await text(opened.socket)).toBe('hello')
})

test('nobody listens, or the name leads nowhere', async () => {
  const { port, host } = { port: 1, host: '127.0.0.1' }
  const refused = await failure(open({ host, port }).socket({ host, port }), 'unavailable')
  expect(refused.details).toEqual({ cause: 'ECONNREFUSED' })
  const name = { host: 'books.example.com', port: 5432 }
  const nowhere = await failure(open(name, { runtime: resolving([]) }).socket(name), 'unavailable')
  expect(nowhere.details).toEqual({ cause: 'ENOTFOUND' })
  const lookup = () => Promise.reject(new Error('the resolver is called with token s3cret'))
  const failing = await failure(open(name, { runtime: { lookup } }).socket(name), 'unavailable')
  expect(JSON.stringify([failing.message, failing.details, String(failing.cause)])).not.toContain('s3cret')
})

test('an observer that throws is not the connection’s fault', async () => {
  const host = '127.0.0.1'
  const { port } = await greet()
  const observe = () => {
    throw new Error('observer')
  }
  const opened = await open({ host, port }, { runtime: { observe } }).socket({ host, port })
  expect(await text(opened.socket)).toBe('hello')
})
