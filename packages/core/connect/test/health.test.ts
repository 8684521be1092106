import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeAll, afterAll, expect, test } from 'vitest'
import { integrationError } from '@ecokit/contracts'
import { answer, inside, startServer } from './platform.ts'
import type { Handler } from './platform.ts'
import { failure, openPlatform } from './support.ts'

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
