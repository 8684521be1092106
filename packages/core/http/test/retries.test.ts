import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { isIntegrationError, type JsonRequest } from '@ecokit/contracts'
import { failure, json, open, serve, serveRaw, streamOf } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

describe('which calls are repeated', () => {
  const requests: [string, JsonRequest, number, number][] = [
    // name, request, attempts on 503, attempts on 500
    ['GET', get, 4, 4],
    ['HEAD', { method: 'HEAD', path: 'x' }, 4, 4],
    ['POST', { method: 'POST', path: 'x', body: {} }, 1, 1],
    ['POST that reads', { method: 'POST', path: 'x', body: {}, effect: 'read' }, 4, 4],
    ['POST that may be repeated', { method: 'POST', path: 'x', body: {}, idempotent: true }, 4, 1],
    ['PUT', { method: 'PUT', path: 'x', body: {} }, 4, 1],
    ['PUT of which only the effect is known', { method: 'PUT', path: 'x', body: {}, effect: 'write' }, 1, 1],
    ['DELETE', { method: 'DELETE', path: 'x' }, 4, 1],
    ['DELETE that may not be repeated', { method: 'DELETE', path: 'x', idempotent: false }, 1, 1],
    ['PATCH', { method: 'PATCH', path: 'x', body: {} }, 1, 1],
    ['GET that writes', { method: 'GET', path: 'x', effect: 'write' }, 1, 1],
  ]
  test.for(requests)('%s', async ([, request, on503, on500]) => {
    const { url, received } = await serve((_, response) => json(response, {}, received.length <= on503 ? 503 : 500))
    const http = open(url).http(url)
    await failure(http.json(request, anything), 'unavailable')
    expect(received).toHaveLength(on503)
    await failure(http.json(request, anything), 'unavailable')
    expect(received).toHaveLength(on503 + on500)
  })
  test('a stream is never sent twice', async () => {
    const { url, received } = await serve((_, response) => json(response, {}, 503))
    const body = streamOf(new Uint8Array(3))
    await failure(open(url).http(url).request({ method: 'PUT', path: 'x', body, idempotent: true }), 'unavailable')
    expect(received).toHaveLength(1)
  })
})

test.for([408, 429, 500, 502, 503, 504])('status %i passes, and the call goes on', async (status) => {
  const { url, received } = await serve((_, response, count) => json(response, { count }, count < 4 ? status : 200))
  const network = open(url)
  expect(await network.http(url).json(get, anything)).toEqual({ count: 4 })
  expect(received).toHaveLength(4)
  expect(network.clock.waits).toEqual([100, 200, 400])
  expect(network.requests()).toBe(4)
})
test.for([400, 401, 403, 404, 409, 410, 412, 413, 418, 422, 423, 501, 505, 511])(
  'status %i does not pass',
  async (status) => {
    const { url, received } = await serve((_, response) => json(response, {}, status))
    await open(url)
      .http(url)
      .json(get, anything)
      .catch(() => {})
    expect(received).toHaveLength(1)
  },
)
test('a connector can say that a failure passes, or that it does not', async () => {
  const { url, received } = await serve((_, response) => json(response, {}, received.length <= 4 ? 400 : 503))
  const http = open(url).http(url, {
    explain: ({ status }) => ({ code: status === 400 ? 'rate_limited' : 'conflict' }),
  })
  await failure(http.json(get, anything), 'rate_limited')
  expect(received).toHaveLength(4)
  await failure(http.json(get, anything), 'conflict')
  expect(received).toHaveLength(5)
})
test('a connection that is refused or lost is tried again', async () => {
  const network = open('http://127.0.0.1:1')
  const error = await failure(network.http('http://127.0.0.1:1').json(get, anything), 'unavailable')
  expect(error).toMatchObject({ details: { cause: 'ECONNREFUSED' }, retryable: true })
  expect(error.message).toBe(
    'acme: GET /x (attempt 4) could not connect (ECONNREFUSED). Is the server at http://127.0.0.1:1 running?',
  )
  expect(network.clock.waits).toHaveLength(3)

  const { url, count } = await serveRaw((socket, number) =>
    number < 3 ? socket.resetAndDestroy() : socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'),
  )
  expect(await open(url).http(url).json(get, anything)).toEqual({})
  expect(count()).toBe(3)
})
test('a timeout is tried again', async () => {
  const { url, received } = await serve((_, response, count) => {
    if (count > 2) json(response, { count })
  })
  expect(await open(url).http(url, { timeoutMs: 50 }).json(get, anything)).toEqual({ count: 3 })
  expect(received).toHaveLength(3)
})

describe('Retry-After', () => {
  const answering = (value: string | ((now: number) => string), status = 429) => {
    let now = 0
    return {
      at: (time: number) => (now = time),
      server: serve((_, response, count) =>
        count === 1
          ? json(response, {}, status, { 'retry-after': typeof value === 'string' ? value : value(now) })
          : json(response, {}),
      ),
    }
  }
  test.for([429, 503])('in seconds, with %i', async (status) => {
    const { url } = await answering('7', status).server
    const network = open(url)
    await network.http(url).json(get, anything)
    expect(network.clock.waits).toEqual([7000])
  })
  test('as a date', async () => {
    const { server, at } = answering((now) => new Date(now + 5000).toUTCString())
    const { url } = await server
    const network = open(url)
    at(network.clock.now())
    await network.http(url).json(get, anything)
    expect(network.clock.waits).toEqual([5000])
  })
  test('within the deadline is waited for, longer is told to the caller', async () => {
    const { url } = await answering('119').server
    const network = open(url)
    await network.http(url).json(get, anything)
    expect(network.clock.waits).toEqual([119_000])
    const { url: slow } = await answering('121').server
    const impatient = open(slow)
    const error = await failure(impatient.http(slow).json(get, anything), 'rate_limited')
    expect(error).toMatchObject({ details: { retryAfterMs: 121_000 }, retryable: true })
    expect(error.message).toContain('Try again in 121 s')
    expect(impatient.clock.waits).toEqual([])
  })
  test('that cannot be read counts as none', async () => {
    const { url } = await answering('later').server
    const network = open(url)
    await network.http(url).json(get, anything)
    expect(network.clock.waits).toEqual([100])
  })
})

test('how often and how long is an argument', async () => {
  const { url, received } = await serve((_, response) => json(response, {}, 503))
  const network = open(url, {
    runtime: { policy: { attempts: 6, backoffMs: 1000, maxBackoffMs: 5000 }, random: () => 0.999 },
  })
  await failure(network.http(url).json(get, anything), 'unavailable')
  expect(received).toHaveLength(6)
  expect(network.clock.waits).toEqual([999, 1998, 3996, 4995, 4995])
})

test('a storm of failures: each call ends with its own answer or a typed error, as often as the seed says', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.constantFrom(429, 503, 502, 200, 404), { minLength: 4, maxLength: 4 }), {
        minLength: 1,
        maxLength: 30,
      }),
      async (plans) => {
        const seen = new Map<string, number>()
        const { url, received } = await serve((request, response) => {
          const call = Number(request.url.slice(1))
          const count = seen.get(request.url) ?? 0
          seen.set(request.url, count + 1)
          json(response, { call }, plans[call]?.[count] ?? 500, count % 2 === 0 ? {} : { 'retry-after': '0.03' })
        })
        // All within the minute of the budget.
        const network = open(url, { runtime: { policy: { retryBudget: 9, breakAt: 2, deadlineMs: 1e9 } } })
        const http = network.http(url)
        const outcomes = await Promise.all(
          plans.map((_, call) =>
            http.json({ method: 'GET', path: String(call) }, z.object({ call: z.number() })).then(
              (reply) => reply.call,
              (error: unknown) => (isIntegrationError(error) ? error.code : String(error)),
            ),
          ),
        )
        const codes: Record<number, string> = {
          429: 'rate_limited',
          502: 'unavailable',
          503: 'unavailable',
          404: 'not_found',
        }
        let requests = 0
        plans.forEach((plan, call) => {
          const end = plan.findIndex((status) => status === 200 || status === 404)
          const last = plan[end < 0 ? 3 : end] ?? 0
          requests += end < 0 ? 4 : end + 1
          expect(outcomes[call]).toBe(last === 200 ? call : codes[last])
        })
        expect(received).toHaveLength(requests)
        expect(network.requests()).toBe(requests)
        expect(network.exchanges).toHaveLength(requests)
        await network.close()
      },
    ),
    { numRuns: 25 },
  )
})
