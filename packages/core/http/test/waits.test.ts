import { Agent } from 'undici'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Authorizer } from '@ecokit/contracts'
import { openGuard, systemClock, type NetworkOptions } from '../src/index.ts'
import { failure, json, open, serve, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }
const never = () => new Promise<never>(() => {})

describe('a call ends in time, whatever it waits for', () => {
  const refusing = () => serve((_, response) => json(response, {}, 401))
  const cases: Record<string, Partial<NetworkOptions>> = {
    'an authorizer that hangs': { authorizer: { authorize: never } },
    'an authorizer that hangs, with replies that are kept': {
      authorizer: { authorize: never },
      runtime: { cache: true },
    },
    'a renewal that hangs': { authorizer: { authorize: () => {}, refused: never } },
    'another credential that never comes': { authorizer: { authorize: () => {} }, replaceAuthorizer: never },
  }
  test.for(Object.entries(cases))('%s', async ([, options]) => {
    const { url } = await refusing()
    const network = open(url, { ...options, runtime: { ...options.runtime, clock: systemClock } })
    const controller = new AbortController()
    const late = failure(network.http(url, { deadlineMs: 200 }).json(get, anything), 'timeout')
    const cancelled = failure(network.http(url).json(get, anything, { signal: controller.signal }), 'cancelled')
    const closed = failure(network.http(url).json(get, anything), 'cancelled')
    expect((await late).message).toContain('was not done within its deadline of 200 ms')
    controller.abort()
    await cancelled
    await network.close()
    await closed
    expect(network.guard.state()).toMatchObject({ underWay: 0, waiting: 0 })
  })
  test('what is loaded for the first call', async () => {
    // A connection that is never made: only the call's own end could end it.
    const dispatcher = new Agent({ connect: () => {} })
    const network = open('http://127.0.0.1:1', { runtime: { dispatcher } })
    const controller = new AbortController()
    const http = network.http('http://127.0.0.1:1')
    const call = failure(http.json(get, anything, { signal: controller.signal }), 'cancelled')
    controller.abort()
    await call
    expect(network.requests()).toBe(0)
    void dispatcher.destroy()
  })
  test('a credential that was renewed after an answer that was cut off is used', async () => {
    let renewed = false
    const { url } = await serve((_, response) => {
      if (renewed) json(response, { ok: true })
      else response.writeHead(401, { 'content-length': '100' }).write('only a part')
    })
    const authorizer: Authorizer = { authorize: () => {}, refused: () => Promise.resolve((renewed = true)) }
    const network = open(url, { authorizer, runtime: { clock: systemClock } })
    expect(await network.http(url, { timeoutMs: 100 }).json(get, anything)).toEqual({ ok: true })
  })
})

describe('a body that nobody reads any more keeps no slot', () => {
  const endless = () => serve((_, response) => response.writeHead(200).write('x'.repeat(100)))
  test('when its signal is aborted', async () => {
    const { url, sockets } = await endless()
    const controller = new AbortController()
    const network = open(url)
    const reply = await network.http(url).request(get, { signal: controller.signal })
    expect(network.guard.state().underWay).toBe(1)
    controller.abort()
    await until(() => network.guard.state().underWay === 0 && sockets.size === 0)
    await failure(text(reply.body), 'cancelled')
    expect(network.exchanges).toMatchObject([{ status: 200, code: 'cancelled' }])
  })
  test('when its connection is closed, and others share the guard', async () => {
    const { url } = await endless()
    const guard = openGuard({ partner: 'acme', policy: { concurrency: 1 } })
    const network = open(url, { runtime: { guard } })
    const reply = await network.http(url).request(get)
    const other = open(url, { runtime: { guard } })
    const waiting = other.http(url).request(get)
    await network.close()
    await (await waiting).body.cancel()
    await failure(text(reply.body), 'cancelled')
    expect(guard.state().underWay).toBe(0)
  })
  test('when it came as a whole, and its signal is aborted or its connection closed', async () => {
    const { url } = await serve((_, response) => response.end('all of it'))
    const guard = openGuard({ partner: 'acme' })
    const network = open(url, { runtime: { guard } })
    const controller = new AbortController()
    const reply = await network.http(url).request(get, { signal: controller.signal })
    await network.http(url).request(get)
    // Another call after them: by then, both have come as a whole.
    await network.http(url).json({ method: 'HEAD', path: '' }, anything)
    expect(guard.state().underWay).toBe(2)
    controller.abort()
    await until(() => guard.state().underWay === 1)
    await failure(text(reply.body), 'cancelled')
    await network.close()
    await until(() => guard.state().underWay === 0)
  })
  test('when all of it was read, but not its end', async () => {
    const { url } = await serve((_, response) => response.end('all of it'))
    const network = open(url)
    const reply = await network.http(url).request(get)
    const reader = reply.body.getReader()
    await reader.read()
    await until(() => network.guard.state().underWay === 0)
    expect((await reader.read()).done).toBe(true)
    expect(network.exchanges).toMatchObject([{ status: 200, replyBytes: 9 }])
  })
  test('when it is empty, so that there is nothing to read', async () => {
    const { url } = await serve((request, response) => {
      if (request.url === '/204') response.writeHead(204).end()
      else response.writeHead(201, { 'content-length': '0' }).end()
    })
    const network = open(url)
    for (const [method, path] of [
      ['HEAD', 'x'],
      ['DELETE', '204'],
      ['PUT', 'x'],
    ] as const) {
      const reply = await network.http(url).request({ method, path })
      expect(network.guard.state().underWay).toBe(0)
      expect(await text(reply.body)).toBe('')
    }
    expect(network.exchanges.map(({ status, code }) => [status, code])).toEqual([
      [201, undefined],
      [204, undefined],
      [201, undefined],
    ])
  })
  test('when the partner loses it', async () => {
    const { url, sockets } = await endless()
    const network = open(url)
    const reply = await network.http(url).request(get)
    for (const socket of sockets) socket.destroy()
    await until(() => network.guard.state().underWay === 0)
    expect(network.guard.state().failed).toBe(1)
    await failure(text(reply.body), 'unavailable')
  })
})
