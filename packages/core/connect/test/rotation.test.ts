import { expect, test } from 'vitest'
import { z } from 'zod'
import { apiKey, bearer } from '@ecokit/auth'
import { defineConnector, secret, stream } from '@ecokit/contracts'
import type { AuthContext, AuthScheme, Authorizer } from '@ecokit/contracts'
import { connect } from '../src/index.ts'
import { answer, startServer } from './platform.ts'
import { failure, openPlatform } from './support.ts'

/** A partner that takes the keys of a set, and counts what it refused. */
const partner = async () => {
  const keys = new Set(['canary-1'])
  let refused = 0
  const server = await startServer((request, response) => {
    const key = (request.headers.authorization ?? '').replace('Bearer ', '')
    if (keys.has(key)) {
      answer(response, 200, { id: '1', text: 't', items: [], version: '1' })
      return
    }
    refused++
    answer(response, 401, { message: `${key} is no key` })
  })
  return { ...server, keys, refused: () => refused }
}

test("a partner's key is rotated without a failed call: two keys are valid, then the old one is not", async () => {
  const { url, keys, refused, stop } = await partner()
  let kept = 'canary-1'
  let asked = 0
  const renewCredentials = async () => {
    asked++
    return { scheme: 'token', token: kept }
  }
  const connection = openPlatform(url, { renewCredentials })
  let running = true
  let calls = 0
  const callers = Array.from({ length: 8 }, async () => {
    while (running) {
      expect((await connection.notes.get({ id: '1' })).id).toBe('1')
      calls++
    }
  })
  const more = async () => {
    const before = calls
    await expect.poll(() => calls).toBeGreaterThan(before + 50)
  }
  await more()
  for (const [old, next] of [
    ['canary-1', 'canary-2'],
    ['canary-2', 'canary-3'],
  ] as const) {
    keys.add(next)
    kept = next
    await more()
    keys.delete(old)
    await more()
  }
  running = false
  await Promise.all(callers)
  // Every call that was refused was sent again with the new key; the vault was asked by one of them each time.
  expect(refused()).toBeGreaterThanOrEqual(2)
  expect(refused()).toBeLessThanOrEqual(16)
  expect(asked).toBe(2)
  await connection.close()
  await stop()
})

test('where the credentials are the same, or nobody has others, the refusal is told', async () => {
  const { url, keys, stop } = await partner()
  keys.clear()
  const given: unknown[] = [{ scheme: 'token', token: 'canary-1' }, undefined, { scheme: 'token', token: 'canary-9' }]
  for (const credentials of given) {
    let asked = 0
    const connection = openPlatform(url, { renewCredentials: async () => (asked++, credentials) })
    const error = await failure(() => connection.notes.get({ id: '1' }))
    expect(error.code).toBe('unauthenticated')
    expect(error.message).not.toContain('canary')
    expect(asked).toBe(1)
    await connection.close()
  }
  await stop()
})
test('what the vault throws, or gives that does not fit, is told without a secret', async () => {
  const { url, keys, stop } = await partner()
  keys.clear()
  const cases: [() => Promise<unknown>, string][] = [
    [async () => ({ scheme: 'token', token: 'canary 7' }), 'invalid_credentials'],
    [async () => Promise.reject(new Error('the vault is sealed')), 'internal'],
  ]
  for (const [renewCredentials, code] of cases) {
    const connection = openPlatform(url, { renewCredentials })
    const error = await failure(() => connection.notes.get({ id: '1' }))
    expect(error.code).toBe(code)
    expect(error.message).not.toContain('canary')
    await connection.close()
  }
  await stop()
})

test('a scheme that renews its token is asked first; when that fails too, the new credentials are tried', async () => {
  const { url, keys, stop } = await partner()
  const seen: string[] = []
  const renewing: AuthScheme = {
    kind: 'renewing',
    credentials: z.strictObject({ seed: secret() }),
    open: ({ seed }) => {
      let token = `${String(seed)}-0`
      return {
        authorize: ({ headers }) => headers.set('authorization', `Bearer ${token}`),
        refused: async () => {
          token = `${String(seed)}-1`
          seen.push(token)
          return true
        },
      }
    },
  }
  const connector = defineConnector(
    { id: 'r', title: 'R', config: z.strictObject({ url: z.url() }), hosts: ['{url}'], auth: { renewing } },
    ({ config, http }) => ({
      check: async (options) => {
        await http(config.url).json({ method: 'GET', path: 'x' }, z.unknown(), options)
        return {}
      },
    }),
  )
  const as = { config: { url }, credentials: { scheme: 'renewing', seed: 'first' } } as const
  const connection = connect(connector, as, { renewCredentials: async () => ({ scheme: 'renewing', seed: 'second' }) })
  keys.add('first-1')
  expect((await connection.check()).status).toBe('healthy')
  expect(seen).toEqual(['first-1'])
  keys.clear()
  keys.add('second-1')
  expect((await connection.check()).status).toBe('healthy')
  expect(seen).toEqual(['first-1', 'first-1', 'second-1'])
  await connection.close()
  await stop()
})

test('hosts of tokens are for the scheme alone', async () => {
  const issuer = await startServer((_request, response) => answer(response, 200, { token: 't' }))
  const { url, keys, stop } = await partner()
  keys.add('t')
  const scheme = {
    ...bearer(),
    hosts: [issuer.url],
    open: (_credentials: unknown, { http }: AuthContext): Authorizer => ({
      authorize: async ({ headers }) => {
        const { token } = await http(issuer.url).json({ method: 'POST', path: '' }, z.object({ token: z.string() }))
        headers.set('authorization', `Bearer ${token}`)
      },
    }),
  }
  const connector = defineConnector(
    { id: 'r', title: 'R', config: z.strictObject({ url: z.url() }), hosts: ['{url}'], auth: { scheme } },
    ({ config, http }) => ({
      check: async (options) => {
        await http(config.url).json({ method: 'GET', path: 'x' }, z.unknown(), options)
        return {}
      },
    }),
  )
  const connection = connect(connector, { config: { url }, credentials: { scheme: 'scheme', token: 'canary-1' } })
  expect((await connection.check()).status).toBe('healthy')
  expect((await failure(async () => connection.http(issuer.url))).code).toBe('host_not_allowed')
  await connection.close()
  await issuer.stop()
  await stop()
})

test('a key that was rotated while a stream is read stands in no checkpoint either', async () => {
  const used: string[] = []
  const server = await startServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://here')
    const key = url.searchParams.get('key') ?? ''
    used.push(key)
    if (key === 'canary-old') {
      answer(response, 401, { message: 'no key' })
      return
    }
    const page = Number(url.searchParams.get('page') ?? 0)
    // The partner's next address has everything that it was asked with.
    answer(response, 200, { items: [{ id: String(page) }], next: page < 3 ? `?key=${key}&page=${page + 1}` : null })
  })
  const connector = defineConnector(
    {
      id: 'echo',
      title: 'Echo',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      auth: { key: apiKey({ query: 'key' }) },
      streams: {
        items: stream({
          schema: z.object({ id: z.string() }),
          rest: { path: 'items', records: 'items', paging: { kind: 'url', next: 'next' } },
        }),
      },
    },
    () => ({ check: () => Promise.resolve({}) }),
  )
  const connection = connect(
    connector,
    { config: { url: server.url }, credentials: { scheme: 'key', apiKey: 'canary-old' } },
    { renewCredentials: () => Promise.resolve({ scheme: 'key', apiKey: 'canary-new' }) },
  )
  const checkpoints: string[] = []
  for await (const batch of connection.read('items')) checkpoints.push(JSON.stringify(batch.checkpoint))
  await connection.close()
  await server.stop()
  expect(checkpoints).toHaveLength(4)
  expect(checkpoints[1]).toContain('page=2')
  expect(checkpoints.join('\n')).not.toContain('canary')
  expect(new Set(used.slice(1))).toEqual(new Set(['canary-new']))
})
