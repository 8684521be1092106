import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeAll, afterAll, expect, test } from 'vitest'
import { integrationError } from '@ecokit/contracts'
import { openGuard, systemClock } from '@ecokit/http'
import { answer, inside, startServer } from './platform.ts'
import type { Handler } from './platform.ts'
import { failure, openPlatform } from './support.ts'

type Opened = ReturnType<typeof openPlatform>
let handler: Handler
let server: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  server = await startServer((request, response) => handler(request, response))
})
afterAll(() => server.stop())
afterEach(() => {
  inside.throws = undefined
})
const policy = { attempts: 1 }

test('a healthy partner tells who we are, its version and how long it took', async () => {
  handler = (_request, response) => answer(response, 200, { version: '1.2', parts: { notes: 'ok' } })
  const connection = openPlatform(server.url)
  const health = await connection.check()
  expect(health).toEqual({
    status: 'healthy',
    account: 'notes-prod token',
    version: '1.2',
    parts: { notes: 'ok' },
    circuit: 'closed',
    latencyMs: expect.any(Number) as number,
    checkedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
  })
  await connection.close()
})

test('a part that is denied or away makes it degraded, and the reason says which', async () => {
  const connection = openPlatform(server.url)
  handler = (_request, response) => answer(response, 200, { version: '1', parts: { notes: 'ok', rows: 'unavailable' } })
  expect(await connection.check()).toMatchObject({
    status: 'degraded',
    code: 'unavailable',
    message: 'rows is unavailable',
  })
  handler = (_request, response) =>
    answer(response, 200, { version: '1', parts: { notes: 'denied', rows: 'unavailable' } })
  expect(await connection.check()).toMatchObject({
    status: 'degraded',
    code: 'forbidden',
    message: 'notes is denied, rows is unavailable',
  })
  await connection.close()
})

test('whatever goes wrong is unhealthy with a code and a sentence, never an exception', async () => {
  const connection = openPlatform(server.url, { policy })
  handler = (_request, response) => answer(response, 401, { message: 'canary-1 is no token' })
  const refused = await connection.check()
  expect(refused).toMatchObject({ status: 'unhealthy', code: 'unauthenticated' })
  expect(refused.message).not.toContain('canary')
  handler = (_request, response) => answer(response, 200, '<html>')
  expect(await connection.check()).toMatchObject({ status: 'unhealthy', code: 'invalid_reply' })
  inside.throws = new RangeError('of 7')
  expect(await connection.check()).toMatchObject({ status: 'unhealthy', code: 'internal' })
  // A connector that says `cancelled` when nobody cancelled does not get away with it.
  inside.throws = integrationError('cancelled', { what: 'not now', details: {} })
  expect(await connection.check()).toMatchObject({ status: 'unhealthy', code: 'cancelled' })
  await connection.close()
})

test('a partner that is not there is unavailable', async () => {
  const gone = createServer()
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve))
  const { port } = gone.address() as AddressInfo
  await new Promise((resolve) => gone.close(resolve))
  const connection = openPlatform(`http://127.0.0.1:${port}`, { policy })
  expect(await connection.check()).toMatchObject({ status: 'unhealthy', code: 'unavailable' })
  await connection.close()
})

test('a partner that never answers is a timeout, and the request is given up', async () => {
  let waiting = 0
  handler = (_request, response) => {
    waiting += 1
    response.on('close', () => (waiting -= 1))
  }
  const connection = openPlatform(server.url, { checkTimeoutMs: 50 })
  expect(await connection.check()).toMatchObject({
    status: 'unhealthy',
    code: 'timeout',
    message: expect.stringContaining('no answer to the check within 50 ms') as string,
  })
  await expect.poll(() => waiting).toBe(0)
  await connection.close()
})

test('only the caller’s own signal and the end of the connection make a check throw', async () => {
  let waiting = 0
  handler = () => (waiting += 1)
  const connection = openPlatform(server.url)
  const controller = new AbortController()
  const cancelled = failure(() => connection.check({ signal: controller.signal }))
  const closed = failure(() => connection.check())
  await expect.poll(() => waiting).toBe(2)
  controller.abort()
  expect((await cancelled).code).toBe('cancelled')
  await connection.close()
  expect((await closed).message).toContain('the connection is closed')
})

test('the circuit is part of health: an open one is unhealthy without a request, and a check is the probe', async () => {
  let sent = 0
  let well = false
  handler = (_request, response) => {
    sent += 1
    answer(response, well ? 200 : 503, { version: '1' })
  }
  let now = Date.UTC(2026, 0, 1)
  const clock = { ...systemClock, now: () => now }
  const guard = openGuard({ partner: 'notes-prod', policy: { attempts: 1, breakAfter: 2, breakForMs: 60_000 }, clock })
  const [connection, other] = [1, 2].map(() => openPlatform(server.url, { clock, guard })) as [Opened, Opened]
  expect(await connection.check()).toMatchObject({ status: 'unhealthy', code: 'unavailable', circuit: 'closed' })
  expect(await other.check()).toMatchObject({ status: 'unhealthy', code: 'unavailable', circuit: 'open' })
  for (const each of [connection, other])
    expect(await each.check()).toMatchObject({
      status: 'unhealthy',
      code: 'circuit_open',
      circuit: 'open',
      checkedAt: '2026-01-01T00:00:00.000Z',
      message: expect.stringContaining('Try again in 60 s') as string,
    })
  expect(sent).toBe(2)
  now += 60_000
  well = true
  expect(await connection.check()).toMatchObject({ status: 'healthy', circuit: 'closed' })
  expect(sent).toBe(3)
  await Promise.all([connection.close(), other.close()])
})
test('a connection that was told to speak TLS 1.2 says so', async () => {
  handler = (_request, response) => answer(response, 200, { version: '1' })
  const connection = openPlatform(server.url, { tls: { minVersion: 'TLSv1.2' } })
  expect(await connection.check()).toMatchObject({ status: 'healthy', oldTls: true })
  await connection.close()
})
