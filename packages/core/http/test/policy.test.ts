import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Authorizer } from '@ecokit/contracts'
import { memoryShared, openGuard, systemClock, type LogLine } from '../src/index.ts'
import { exhaustedFor } from '../src/limits.ts'
import { failure, json, open, serve, streamOf, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

describe('rate headers', () => {
  const now = Date.UTC(2026, 0, 1)
  const soon = Math.floor(now / 1000) + 40
  test.for<[string, Record<string, string>, number | undefined]>([
    ['nothing said', {}, undefined],
    ['IETF, left', { ratelimit: '"default";r=50;t=30' }, undefined],
    ['IETF, used up', { ratelimit: '"default";r=0;t=30' }, 30_000],
    ['IETF, one of two', { ratelimit: '"burst";r=3;t=1, "daily";r=0;t=600' }, 600_000],
    ['IETF, window of the policy', { ratelimit: '"a";r=0', 'ratelimit-policy': '"b";q=9;w=7, "a";q=10;w=60' }, 60_000],
    ['IETF, nothing about time', { ratelimit: '"a";r=0' }, 1000],
    ['IETF version 7', { ratelimit: 'limit=100, remaining=0, reset=12' }, 12_000],
    ['IETF version 7, left', { ratelimit: 'limit=100, remaining=10, reset=12' }, undefined],
    ['IETF version 3', { 'ratelimit-limit': '10', 'ratelimit-remaining': '0', 'ratelimit-reset': '5' }, 5000],
    ['GitHub, epoch seconds', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(soon) }, 40_000],
    ['GitHub, left', { 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': String(soon) }, undefined],
    ['epoch milliseconds', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now + 1234) }, 1234],
    ['a date', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2026-01-01T00:00:09Z' }, 9000],
    ['a reset that is over', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(soon - 90) }, 0],
    ['Datadog, seconds', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3', 'x-ratelimit-name': 'q' }, 3000],
    [
      'Datadog, an hour of one limit',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3600', 'x-ratelimit-name': 'q' },
      10_000,
    ],
    ['Datadog, period only', { 'x-ratelimit-remaining': '0', 'x-ratelimit-period': '10' }, 10_000],
    ['several limits by place', { 'x-ratelimit-remaining': '5, 0', 'x-ratelimit-reset': '1, 8' }, 8000],
    ['Azure, left', { 'x-ms-request-id': 'r', 'x-ms-ratelimit-remaining-subscription-reads': '11999' }, undefined],
    ['Azure, used up', { 'x-ms-request-id': 'r', 'x-ms-ratelimit-remaining-subscription-reads': '0' }, 1000],
    [
      'Azure, by resource',
      { 'x-ms-request-id': 'r', 'x-ms-ratelimit-remaining-resource': 'a/Get3Min;107,a/Get30Min;0' },
      1000,
    ],
    ['nonsense', { 'x-ratelimit-remaining': 'many', ratelimit: '' }, undefined],
  ])('%s', ([, headers, ms]) => {
    expect(exhaustedFor(headers, now)).toBe(ms)
  })

  test('a limit that is used up holds all calls of the partner until its reset, without a refusal', async () => {
    const { url, received } = await serve((_, response, count) =>
      json(response, {}, 200, { 'x-ratelimit-remaining': String(3 - count), 'x-ratelimit-reset': '20' }),
    )
    const network = open(url)
    for (let call = 0; call < 4; call++) await network.http(url).json(get, anything)
    expect(received).toHaveLength(4)
    expect(network.clock.waits).toEqual([20_000])
  })
  test.for<[Record<string, string>, number]>([
    [{ 'retry-after': '30' }, 30_000],
    [{ 'retry-after-ms': '1500' }, 1500],
    [{ 'x-ms-retry-after-ms': '250' }, 250],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '17' }, 17_000],
  ])('a refusal holds the other calls too, and other processes: %j', async ([headers, ms]) => {
    const { url } = await serve((_, response, count) => json(response, {}, count === 1 ? 429 : 200, headers))
    let now = Date.UTC(2026, 0, 1)
    const shared = memoryShared(() => now)
    const clock = { ...systemClock, now: () => now }
    const network = open(url, { runtime: { clock, shared, policy: { attempts: 1 } } })
    const error = await failure(network.http(url).json(get, anything), 'rate_limited')
    expect(error.details).toEqual({ retryAfterMs: ms })
    expect(network.guard.state().heldUntil).toBe(now + ms)
    now += 1
    expect(await shared.reserve('rate/acme', { perSecond: 1e6, burst: 1e6 }, 1, 1e9)).toBe(ms - 1)
  })
})

describe('the deadline of a whole call', () => {
  test('ends an attempt that goes on, and is named', async () => {
    const { url, sockets } = await serve(() => {})
    const network = open(url)
    const error = await failure(network.http(url, { deadlineMs: 60 }).json(get, anything), 'timeout')
    expect(error.details).toEqual({ timeoutMs: 60 })
    expect(error.message).toContain('acme: GET /x was not done within its deadline of 60 ms. ')
    await until(() => sockets.size === 0)
    expect(network.requests()).toBe(1)
  })
  test('ends a call in the queue, where nothing was sent', async () => {
    const { url, received } = await serve(() => {})
    const network = open(url, { runtime: { policy: { concurrency: 1 } } })
    const http = network.http(url)
    const first = failure(http.json(get, anything), 'cancelled')
    await failure(network.http(url, { deadlineMs: 50 }).json(get, anything), 'timeout')
    expect([received.length, network.guard.state()]).toMatchObject([1, { underWay: 1, waiting: 0 }])
    await network.close()
    await first
  })
  test('a wait that would pass it is not begun: the failure is told', async () => {
    const { url, received } = await serve((_, response) => json(response, {}, 503, { 'retry-after': '3' }))
    const network = open(url, { runtime: { policy: { deadlineMs: 2999 } } })
    const error = await failure(network.http(url).json(get, anything), 'unavailable')
    expect(error.details).toEqual({ status: 503 })
    expect([received.length, network.clock.waits]).toEqual([1, []])
  })
  test('a body that keeps moving is not cut by the deadline of the policy, but by that of the call', async () => {
    const { url } = await serve((_, response) => json(response, {}))
    const slow = () =>
      new ReadableStream<Uint8Array>({
        start: async (controller) => {
          for (let piece = 0; piece < 8; piece++) {
            await systemClock.sleep(25)
            try {
              controller.enqueue(new Uint8Array(10))
            } catch {
              return
            }
          }
          controller.close()
        },
      })
    const network = open(url, { runtime: { clock: systemClock, policy: { deadlineMs: 100 } } })
    const put = (deadlineMs?: number) =>
      network
        .http(url, deadlineMs === undefined ? {} : { deadlineMs })
        .request({ method: 'PUT', path: 'x', body: slow() })
        .then(({ body }) => text(body))
    expect(await put()).toBe('{}')
    await failure(put(80), 'timeout')
  })
})

describe('idempotency keys', () => {
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  test('a write carries one, the same in each attempt, and may then be repeated', async () => {
    const { url, received } = await serve((_, response, count) => json(response, {}, count % 3 === 0 ? 200 : 503))
    for (const runtime of [{}, { random: () => 0.5 }]) {
      received.length = 0
      const http = open(url, { runtime }).http(url, { idempotencyHeader: 'Idempotency-Key' })
      await http.json({ method: 'POST', path: 'x', body: {} }, anything)
      await http.json({ method: 'PATCH', path: 'x', body: {}, idempotent: false }, anything)
      const keys = received.map(({ headers }) => headers['idempotency-key'])
      expect(keys.every((key) => uuid.test(String(key)))).toBe(true)
      expect(new Set(keys.slice(0, 3)).size).toBe(1)
      expect(new Set(keys.slice(3)).size).toBe(1)
      expect(keys).toHaveLength(6)
    }
  })
  test("reads carry none, the caller's own stays, and two calls have two", async () => {
    const { url, received } = await serve((_, response) => json(response, {}))
    const http = open(url, { runtime: { random: Math.random } }).http(url, { idempotencyHeader: 'x-key' })
    await http.json(get, anything)
    await http.json({ method: 'POST', path: 'search', body: {}, effect: 'read' }, anything)
    await http.json({ method: 'POST', path: 'x', body: {}, headers: { 'X-Key': 'mine' } }, anything)
    await http.json({ method: 'POST', path: 'x', body: {} }, anything)
    await http.json({ method: 'POST', path: 'x', body: {} }, anything)
    const keys = received.map(({ headers }) => headers['x-key'])
    expect(keys.slice(0, 3)).toEqual([undefined, undefined, 'mine'])
    expect(keys[3]).not.toBe(keys[4])
  })
})

describe('the circuit', () => {
  test('opens for a partner that fails, refuses without sending, and closes after a probe', async () => {
    let well = false
    const { url, received } = await serve((_, response) => json(response, {}, well ? 200 : 500))
    let now = Date.UTC(2026, 0, 1)
    const clock = { ...systemClock, now: () => now }
    const lines: LogLine[] = []
    const policy = { attempts: 1, breakAfter: 3, breakForMs: 5000 }
    const network = open(url, { runtime: { clock, policy, log: (line) => lines.push(line) } })
    const http = network.http(url)
    for (let call = 0; call < 3; call++) await failure(http.json(get, anything), 'unavailable')
    const error = await failure(http.json(get, anything), 'circuit_open')
    expect(error.details).toEqual({ retryAfterMs: 5000 })
    expect([received.length, network.guard.state().circuit]).toEqual([3, 'open'])
    now += 5000
    well = true
    await http.json(get, anything)
    expect(network.guard.state()).toMatchObject({ circuit: 'closed', underWay: 0 })
    expect(lines.filter(({ event }) => event === 'circuit').map(({ circuit }) => circuit)).toEqual([
      'open',
      'half_open',
      'closed',
    ])
  })
  test.for([400, 401, 404, 408, 409, 429])('status %i is an answer', async (status) => {
    const { url } = await serve((_, response) => json(response, {}, status))
    const network = open(url, { runtime: { policy: { attempts: 1, breakAfter: 2 } } })
    for (let call = 0; call < 5; call++)
      await network
        .http(url)
        .json({ method: 'POST', path: 'x' }, anything)
        .catch(() => {})
    expect(network.guard.state()).toMatchObject({ circuit: 'closed', requests: 5, failed: 0 })
  })
  test('lost connections and timeouts fail; what the caller ends or the authorizer says tells nothing', async () => {
    const { url } = await serve(() => {})
    const authorizer: Authorizer = {
      authorize: () => {
        throw new Error('no')
      },
    }
    const none = open(url, { authorizer, runtime: { policy: { attempts: 1 } } })
    await failure(none.http(url).json(get, anything), 'internal')
    const gone = open(url, { runtime: { policy: { attempts: 1 } } })
    const controller = new AbortController()
    const call = failure(gone.http(url).json(get, anything, controller), 'cancelled')
    await until(() => gone.requests() === 1)
    controller.abort()
    await call
    for (const network of [none, gone]) expect(network.guard.state()).toMatchObject({ requests: 0, underWay: 0 })
    const slow = open(url, { runtime: { policy: { attempts: 1 } } })
    await failure(slow.http(url, { timeoutMs: 30 }).json(get, anything), 'timeout')
    await failure(slow.http(url, { deadlineMs: 30 }).json(get, anything), 'timeout')
    const away = open('http://127.0.0.1:1', { runtime: { policy: { attempts: 1 } } })
    await failure(away.http('http://127.0.0.1:1').json(get, anything), 'unavailable')
    expect([slow, away].map((network) => network.guard.state().failed)).toEqual([2, 1])
  })
  test('when a repeat is refused, what failed before is told', async () => {
    const { url, received } = await serve((_, response) => json(response, {}, 503))
    const network = open(url, { runtime: { policy: { breakAfter: 2 } } })
    await failure(network.http(url).json(get, anything), 'unavailable')
    expect([received.length, network.guard.state().circuit]).toEqual([2, 'open'])
  })
})

describe('one guard for all connections of a partner', () => {
  test('they share its slots, and a body that is still read has one', async () => {
    const { url, received } = await serve((_, response) => json(response, { a: 1 }))
    const guard = openGuard({ partner: 'acme', policy: { concurrency: 1 } })
    const [first, second] = [1, 2].map(() => open(url, { runtime: { guard, clock: systemClock } }))
    const reply = await first!.http(url).request(get)
    const waiting = second!.http(url).json(get, anything)
    await until(() => guard.state().waiting === 1)
    expect(received).toHaveLength(1)
    expect(await text(reply.body)).toBe('{"a":1}')
    await waiting
    expect(guard.state()).toMatchObject({ underWay: 0, waiting: 0 })
    const left = await first!.http(url).request(get)
    await left.body.cancel()
    expect(guard.state().underWay).toBe(0)
  })
  test('closing one frees its calls in the queue, and the other goes on', async () => {
    const { url, received } = await serve((request, response) => request.url === '/slow' || json(response, {}))
    const guard = openGuard({ partner: 'acme', policy: { concurrency: 1 } })
    const [first, second] = [1, 2].map(() => open(url, { runtime: { guard, clock: systemClock } }))
    const calls = ['slow', 'x', 'x'].map((path) =>
      failure(first!.http(url).json({ method: 'GET', path }, anything), 'cancelled'),
    )
    const other = second!.http(url).json(get, anything)
    await until(() => received.length === 1)
    expect(guard.state()).toMatchObject({ underWay: 1, waiting: 3 })
    await first!.close()
    await Promise.all(calls)
    await other
    expect(received.map((request) => request.url)).toEqual(['/slow', '/x'])
    expect(guard.state()).toMatchObject({ underWay: 0, waiting: 0 })
  })
  test('another policy counts from the next call on', async () => {
    const { url, received } = await serve((_, response) => json(response, {}, 503))
    const network = open(url, { runtime: { policy: { attempts: 3 } } })
    await failure(network.http(url).json(get, anything), 'unavailable')
    network.guard.setPolicy({ attempts: 1 })
    await failure(network.http(url).json(get, anything), 'unavailable')
    expect(received).toHaveLength(4)
  })
  test("the host's word counts over the manifest's, field by field", async () => {
    const { url } = await serve((_, response) => json(response, {}))
    const network = open(url, { policy: { attempts: 2, concurrency: 5 }, runtime: { policy: { attempts: 7 } } })
    expect(network.guard.policy()).toMatchObject({ attempts: 7, concurrency: 5, queue: 1000 })
  })
  test('a token is fetched although the only slot is taken by the call that needs it', async () => {
    const { url, received } = await serve((_, response) => json(response, {}))
    const network = open(url, {
      authorizer: (http) => ({
        authorize: async ({ headers }) => {
          await http(url).json({ method: 'POST', path: 'token' }, anything)
          headers.set('authorization', 'Bearer fetched')
        },
      }),
      runtime: { policy: { concurrency: 1, rate: { perSecond: 1, burst: 1 } } },
    })
    await network.http(url).json(get, anything)
    expect(received.map((request) => request.url)).toEqual(['/token', '/x'])
  })
  test('repeats end when their budget is spent', async () => {
    const { url, received } = await serve((_, response) => json(response, {}, 503))
    const network = open(url, { runtime: { policy: { breakAt: 2, retryBudget: 0.1 } } })
    for (let call = 0; call < 40; call++) await failure(network.http(url).json(get, anything), 'unavailable')
    expect(received.length).toBeLessThanOrEqual(40 + 11)
    expect(network.guard.state()).toMatchObject({ calls: 40, repeats: received.length - 40 })
  })
})

test('the log has a line for each request and each wait, without secrets and queries', async () => {
  const lines: LogLine[] = []
  const { url } = await serve((_, response, count) =>
    count === 1 ? json(response, {}, 429, { 'retry-after': '2' }) : json(response, {}, count === 2 ? 200 : 404),
  )
  const network = open(url, {
    secrets: ['canary-1'],
    runtime: {
      log: (line) => {
        lines.push(line)
        throw new Error('log')
      },
    },
  })
  const request = { method: 'GET', path: 'canary-1/x', query: { key: 'canary-1' } }
  await network.http(url).json(request, anything)
  await failure(network.http(url).json(request, anything), 'not_found')
  await failure(network.http(url).request({ method: 'PUT', path: 'x', body: streamOf(new Uint8Array(2)) }), 'not_found')
  expect(JSON.stringify(lines)).not.toContain('canary')
  expect(JSON.stringify(lines)).not.toContain('key=')
  const host = new URL(url).host
  const about = { partner: 'acme', time: expect.any(Number) as number }
  const sent = { ...about, event: 'request', host, durationMs: expect.any(Number) as number }
  expect(lines).toEqual([
    {
      ...about,
      level: 'info',
      event: 'hold',
      message: 'the partner asks that nothing be sent for 2000 ms',
      waitMs: 2000,
    },
    {
      ...sent,
      level: 'info',
      message: 'GET /***/x rate_limited',
      method: 'GET',
      path: '/***/x',
      status: 429,
      code: 'rate_limited',
      attempt: 1,
    },
    {
      ...about,
      level: 'info',
      event: 'repeat',
      message: 'GET /***/x is sent again after rate_limited',
      method: 'GET',
      path: '/***/x',
      code: 'rate_limited',
      attempt: 1,
      waitMs: 2000,
    },
    { ...sent, level: 'debug', message: 'GET /***/x 200', method: 'GET', path: '/***/x', status: 200, attempt: 2 },
    {
      ...sent,
      level: 'info',
      message: 'GET /***/x not_found',
      method: 'GET',
      path: '/***/x',
      status: 404,
      code: 'not_found',
      attempt: 1,
    },
    {
      ...sent,
      level: 'info',
      message: 'PUT /x not_found',
      method: 'PUT',
      path: '/x',
      status: 404,
      code: 'not_found',
      attempt: 1,
    },
  ])
})
