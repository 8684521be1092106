import { getEventListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { isIntegrationError, type Authorizer } from '@ecokit/contracts'
import { memoryShared, openGuard, openNetwork, systemClock } from '../src/index.ts'
import { json, serve, streamOf, until, type Received } from './support.ts'

const anything = z.unknown()
const seeded = (seed: number) => (): number => {
  seed = (seed * 1664525 + 1013904223) >>> 0
  return seed / 2 ** 32
}
type Answer = (response: ServerResponse, request: Received) => unknown
const part = (response: ServerResponse) => response.writeHead(200, { 'content-length': '100' }).write('{"a"')
const packed = { 'content-encoding': 'gzip' }
const answers: readonly Answer[] = [
  (response) => json(response, {}),
  (response) => json(response, { a: 'x'.repeat(200_000) }),
  (response) => response.writeHead(200, packed).end(gzipSync('{"a":1}')),
  (response) => response.writeHead(200, packed).end('not gzip at all'),
  (response) => response.writeHead(200, packed).write(gzipSync('{"a":1}').subarray(0, 10)),
  (response) => response.writeHead(204).end(),
  (response) => json(response, {}, 401),
  (response) => json(response, {}, 429, { 'retry-after': '0' }),
  (response) => json(response, {}, 503),
  (response, { url }) => response.writeHead(302, { location: `${url}x` }).end(),
  (response) => response.socket?.destroy(),
  (response) => response.socket?.end('HTTP/1.1 200 OK\r\nContent-Le'),
  part,
  (response) => (part(response), setImmediate(() => response.socket?.destroy())),
  () => 'no answer at all',
]

test.for([1, 2, 3, 4])('calls of every fate leave no slot, no socket and no listener behind: seed %i', async (seed) => {
  const random = seeded(seed)
  const any = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
  const { url, sockets } = await serve((request, response) => void any(answers)(response, request))
  const policy = { concurrency: 8, backoffMs: 1, maxBackoffMs: 5, breakAt: seed % 2 === 0 ? 0.5 : 2, breakForMs: 5 }
  const guard = openGuard({
    partner: 'acme',
    policy: { ...policy, rate: { perSecond: 2000, burst: 50 } },
    shared: seed > 2 ? memoryShared() : undefined,
  })
  const soon = <T>(value: T) => new Promise<T>((resolve) => setImmediate(resolve, value))
  const authorizer: Authorizer = {
    authorize: () => any([() => {}, () => soon(undefined), () => Promise.reject(new Error('no token'))])(),
    refused: () => any([() => soon(true), () => soon(false), () => Promise.reject(new Error('no token'))])(),
  }
  const runtime = { guard, clock: systemClock, cache: seed % 2 === 0 }
  const network = openNetwork({ partner: 'acme', hosts: ['{url}'], config: { url }, authorizer, runtime })
  const http = network.http(url, { timeoutMs: 60, deadlineMs: 200 })
  const all = new AbortController()

  const fate = async (): Promise<void> => {
    const own = new AbortController()
    const { signal } = any([own, all])
    if (random() < 0.3) setTimeout(() => own.abort(), random() * 50)
    const path = String(Math.floor(random() * 5))
    const kind = random()
    try {
      if (kind < 0.3) await http.json({ method: 'GET', path }, anything, { signal })
      else if (kind < 0.5) await http.json({ method: 'POST', path, body: { a: 1 } }, anything, { signal })
      else {
        const body = kind < 0.6 ? streamOf(new Uint8Array(100_000), new Uint8Array(10)) : undefined
        const reply = await http.request({ method: body === undefined ? 'GET' : 'PUT', path, body }, { signal })
        // Read, cancelled, or just left: aborted here, or when the connection is closed.
        if (kind < 0.8) await reply.body.cancel()
        else if (kind < 0.9) await reply.body.getReader().read()
        own.abort()
        if (signal === all.signal && kind > 0.8 && kind < 0.97) await reply.body.cancel().catch(() => {})
      }
    } catch (error) {
      if (!isIntegrationError(error) && !(error instanceof TypeError && kind > 0.8)) throw error
    }
  }
  for (let round = 0; round < 6; round++) await Promise.all(Array.from({ length: 40 }, fate))
  const last = Promise.all(Array.from({ length: 40 }, fate))
  await network.close()
  await last
  await until(() => guard.state().underWay === 0 && sockets.size === 0)
  expect(guard.state()).toMatchObject({ underWay: 0, waiting: 0 })
  expect(getEventListeners(all.signal, 'abort')).toEqual([])
})
