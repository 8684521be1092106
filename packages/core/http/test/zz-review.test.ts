import { Agent } from 'undici'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { integrationError, type Authorizer } from '@ecokit/contracts'
import { memoryShared, openGuard, systemClock } from '../src/index.ts'
import { openStop } from '../src/stop.ts'
import { simulation } from './simulation.ts'
import { failure, json, open, serve, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }
const never = () => new Promise<never>(() => {})

test('authorizer that hangs: deadline', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const authorizer: Authorizer = { authorize: never }
  const network = open(url, { authorizer, runtime: { clock: systemClock } })
  await failure(network.http(url, { deadlineMs: 50 }).json(get, anything), 'timeout')
  expect(network.guard.state().underWay).toBe(0)
}, 2000)
test('authorizer that hangs: cancel', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const controller = new AbortController()
  const authorizer: Authorizer = { authorize: () => (setImmediate(() => controller.abort()), never()) }
  const network = open(url, { authorizer, runtime: { clock: systemClock } })
  await failure(network.http(url).json(get, anything, { signal: controller.signal }), 'cancelled')
}, 2000)
test('authorizer whose renewal hangs: deadline', async () => {
  const { url } = await serve((_, response) => json(response, {}, 401))
  const authorizer: Authorizer = { authorize: () => {}, refused: never }
  const network = open(url, { authorizer, runtime: { clock: systemClock } })
  await failure(network.http(url, { deadlineMs: 100 }).json(get, anything), 'timeout')
}, 2000)
test('replace hangs: closed', async () => {
  const { url } = await serve((_, response) => json(response, {}, 401))
  const authorizer: Authorizer = { authorize: () => {} }
  const network = open(url, { authorizer, replaceAuthorizer: never, runtime: { clock: systemClock } })
  const call = failure(network.http(url).json(get, anything), 'cancelled')
  await until(() => network.exchanges.length === 1)
  await network.close()
  await call
}, 2000)
test('cache look with hanging authorizer', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const authorizer: Authorizer = { authorize: never }
  const network = open(url, { authorizer, runtime: { cache: true, clock: systemClock } })
  await failure(network.http(url, { deadlineMs: 50 }).json(get, anything), 'timeout')
}, 2000)
test('cancel while undici is imported', async () => {
  const controller = new AbortController()
  // a connection that is never made
  const dispatcher = new Agent({ connect: () => {} })
  const network = open('http://127.0.0.1:1', { runtime: { dispatcher } })
  const call = failure(network.http('http://127.0.0.1:1').json(get, anything, { signal: controller.signal }), 'cancelled')
  controller.abort()
  await call
  void dispatcher.destroy()
}, 2000)
test('stream left by an aborted signal frees slot', async () => {
  const { url } = await serve((_, response) => response.writeHead(200).write('x'.repeat(100)))
  const controller = new AbortController()
  const network = open(url, {})
  const reply = await network.http(url).request(get, { signal: controller.signal })
  expect(network.guard.state().underWay).toBe(1)
  controller.abort()
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(network.guard.state().underWay).toBe(0)
  await failure(text(reply.body), 'cancelled')
}, 2000)
test('stream that nobody reads frees slot on close', async () => {
  const { url } = await serve((_, response) => response.writeHead(200).write('x'.repeat(100)))
  const guard = openGuard({ partner: 'acme' })
  const network = open(url, { runtime: { guard } })
  const reply = await network.http(url).request(get)
  await network.close()
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(guard.state().underWay).toBe(0)
  await failure(text(reply.body), 'cancelled')
}, 2000)
test('huge retry-after', async () => {
  const clock = simulation().clock
  const guard = openGuard({ partner: 'acme', clock })
  guard.hold(1_763_780_000_000)
  expect((guard.state().heldUntil ?? 0) - clock.now()).toBeLessThanOrEqual(86_400_000)
})
test('slow shared bucket gives turns', async () => {
  const memory = memoryShared()
  const shared: typeof memory = {
    ...memory,
    reserve: async (...all) => {
      const got = await memory.reserve(...all)
      await new Promise((resolve) => setTimeout(resolve, 80))
      return got
    },
  }
  const guard = openGuard({ partner: 'acme', shared, policy: { rate: { perSecond: 50, burst: 10 } } })
  await guard.enter(openStop(new Set(), undefined, undefined), Date.now() + 60_000)
}, 2000)
test('Vary: authorization in a shared cache', async () => {
  const { url } = await serve((_, response) => json(response, {}, 200, { 'cache-control': 'max-age=60', vary: 'authorization' }))
  const memory = memoryShared()
  const put: string[] = []
  const shared: typeof memory = { ...memory, put: (key, value, o) => (put.push(key, value), memory.put(key, value, o)) }
  const authorizer: Authorizer = { authorize: ({ headers }) => headers.set('authorization', 'Bearer s3cret-canary-12345') }
  const network = open(url, { authorizer, runtime: { shared, cache: { shared: true } } })
  const http = network.http(url)
  for (let n = 0; n < 5; n++) await http.json({ ...get, headers: { 'cache-control': 'no-cache' } }, anything)
  expect(put.length).toBeGreaterThan(0)
  expect(put.join()).not.toContain('s3cret-canary')
})
void integrationError
