import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isIntegrationError } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import type { Store } from '@ecokit/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openRegistry } from '../src/index.ts'
import type { PartnerInput, RegistryOptions } from '../src/index.ts'
import { connectors } from './connectors.ts'
import { good, parse, sample } from './support.ts'

let store: Store
beforeEach(async () => {
  store = await openStore(':memory:')
})
afterEach(() => store.close())

const open = (text: string | undefined = sample, more: Partial<RegistryOptions> = {}) =>
  openRegistry({ store, connectors, ecosystem: good(text), env: { TRACKER_TOKEN: 'canary-secret' }, ...more })
const caught = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (isIntegrationError(error)) return error
  throw new Error(`not the error that was expected: ${String(error)}`)
}
const uri = { trackingUri: 'http://x' }
/** The sample, with leave for partners of the API to send the token there. */
const lenient = (...hosts: string[]): string =>
  sample.replace(
    "'${env:TRACKER_TOKEN}' }",
    `'\${env:TRACKER_TOKEN}', hosts: [${hosts.map((host) => `'${host}'`).join(', ')}] }`,
  )
const file = (partners: string): string => `version: 1\npartners:\n${partners}`
const lakeAt = (name: string, database: string): string =>
  `  ${name}: { connector: lake, config: { database: ${database} } }\n`

test('the store follows the file: added, changed, removed, and nothing twice', async () => {
  const registry = await open(file(lakeAt('a', 'x') + lakeAt('b', 'x')))
  const [before] = await registry.list()
  expect(await registry.syncFile(good(file(lakeAt('a', 'x') + lakeAt('b', 'y') + lakeAt('c', 'x'))))).toEqual({
    added: ['c'],
    changed: ['b'],
    removed: [],
  })
  expect(await registry.syncFile(good(file(lakeAt('a', 'x') + lakeAt('c', 'x'))))).toEqual({
    added: [],
    changed: [],
    removed: ['b'],
  })
  const after = await registry.list()
  expect(after.map(({ name }) => name)).toEqual(['a', 'c'])
  expect(after[0]).toEqual(before)
})

test('removing a partner removes its health', async () => {
  const registry = await open(file(lakeAt('a', 'x')))
  const health = { partner: 'a', status: 'healthy', checked_at: 1, details: '{}' }
  await store.db
    .insertInto('health_checks')
    .values({ ...health, code: null, message: null, latency_ms: 1 })
    .execute()
  await store.db
    .insertInto('health_states')
    .values({ ...health, code: null, message: null, latency_ms: 1, since: 1, streak: 0 })
    .execute()
  await registry.syncFile(good('version: 1'))
  expect(await store.db.selectFrom('health_checks').selectAll().execute()).toEqual([])
  expect(await store.db.selectFrom('health_states').selectAll().execute()).toEqual([])
})

test('a partner is registered, changed and removed through the API', async () => {
  const registry = await open(lenient('http://x'))
  const made = await registry.register('second', {
    connector: 'tracker',
    config: { ...uri, retries: 5 },
    credentials: 'tracker-token',
    tags: ['new'],
    owner: 'me',
    check: { every: '5s' },
  })
  expect(made).toMatchObject({
    name: 'second',
    title: 'Tracker',
    origin: 'api',
    credentials: 'tracker-token',
    scheme: 'token',
    tier: 'community',
    check: { everyMs: 5000, timeoutMs: 10_000 },
  })
  const changed = await registry.update('second', {
    tier: 'professional',
    credentials: null,
    owner: null,
    check: { timeout: '2s' },
    contract: { end: '2030-01-01' },
  })
  expect(changed).toMatchObject({ tier: 'professional', config: { ...uri, retries: 5 }, tags: ['new'] })
  expect(changed.check).toEqual({ everyMs: 5000, timeoutMs: 2000 })
  expect(changed).not.toHaveProperty('credentials')
  expect(changed).not.toHaveProperty('owner')
  expect(await registry.get('second')).toEqual(changed)
  await registry.remove('second')
  expect(await caught(registry.get('second'))).toMatchObject({ code: 'not_found' })
})

test('API partners live beside the file, over a restart', async () => {
  const registry = await open()
  await registry.register('mine', { connector: 'lake', config: { database: 'y' } })
  const again = await open(file(lakeAt('other', 'x')))
  expect((await again.list()).map(({ name, origin }) => [name, origin])).toEqual([
    ['mine', 'api'],
    ['other', 'file'],
  ])
})

test('names that clash are told, and change nothing', async () => {
  const registry = await open(file(lakeAt('a', 'x')))
  await registry.register('mine', { connector: 'lake', config: { database: 'y' } })
  const clash = await caught(open(file(lakeAt('b', 'x') + lakeAt('mine', 'z'))))
  expect(clash.code).toBe('conflict')
  expect(clash.message).toBe(
    'partners.mine: the API has registered a partner of this name. Rename it in ecosystem.yaml, or remove the other one through the API',
  )
  expect((await registry.list()).map(({ name, config }) => [name, config])).toEqual([
    ['a', { database: 'x' }],
    ['mine', { database: 'y' }],
  ])
  expect(await caught(registry.register('mine', { connector: 'lake', config: { database: 'z' } }))).toMatchObject({
    code: 'conflict',
  })
  expect((await registry.get('mine')).config).toEqual({ database: 'y' })
})

test('a partner of the file is changed in the file only', async () => {
  const registry = await open()
  const lake: PartnerInput = { connector: 'lake', config: { database: 'x' } }
  for (const work of [
    registry.update('lake', { tier: 'enterprise' }),
    registry.remove('lake'),
    registry.register('lake', lake),
  ]) {
    const error = await caught(work)
    expect(error.code).toBe('conflict')
    expect(error.message).toBe(
      'lake: this partner stands in ecosystem.yaml. Change it there; the API changes only partners that it registered',
    )
  }
})

test('the API refuses in the words of the file', async () => {
  const registry = await open()
  const inputs: readonly Record<string, unknown>[] = [
    { connector: 'tracker', config: { trackingURI: 'http://x' } },
    { connector: 'tracker', config: { trackingUri: 'localhost', retries: 99 } },
    { connector: 'trackr', config: {} },
    { connector: 'tracker', config: { ...uri, mode: '${env:PATH}' } },
    { connector: 'tracker', config: { trackingUri: 'http://ada:canary@x' } },
    { connector: 'tracker', config: uri, tier: 'gold', tags: 'a', check: { every: '1ms' } },
    { connector: 'tracker', config: uri, contract: { start: '2026-02-01', end: '2026-01-01' } },
    { connector: 'tracker', config: uri, credentials: 'tracker-tokn' },
    { connector: 'monitor' },
    { connector: 'lake', config: { database: 'x' }, credentials: 'tracker-token' },
    { config: [] },
  ]
  for (const input of inputs) {
    const text = JSON.stringify({
      version: 1,
      credentials: { 'tracker-token': { scheme: 'token', token: '${env:T}' } },
      partners: { one: input },
    })
    const words = parse(text).problems.map(({ field, message }) => `${field}: ${message}`)
    const error = await caught(registry.register('one', input as unknown as PartnerInput))
    expect(error.code).toBe('invalid_config')
    expect(error.message.split('\n').toSorted()).toEqual(words.toSorted())
    expect(error.message).not.toContain('canary')
  }
  expect(await registry.list()).toHaveLength(2)
})

test('the API points at credentials by name and can make none', async () => {
  const registry = await open()
  const refused =
    'partners.one.credentials: expected the name of an entry of `credentials` in the file; only the file may hold references'
  for (const credentials of [
    '${env:TRACKER_TOKEN}',
    '${env:PATH}',
    { scheme: 'token', token: '${env:PATH}' },
    { scheme: 'none' },
  ]) {
    const input = { connector: 'tracker', config: uri, credentials } as unknown as PartnerInput
    expect((await caught(registry.register('one', input))).message).toBe(refused)
  }
  await registry.register('one', { connector: 'tracker', config: uri })
  const change = { credentials: { scheme: 'token', token: '${env:PATH}' } } as unknown as PartnerInput
  expect((await caught(registry.update('one', change))).message).toBe(refused)
  expect((await caught(registry.update('one', { config: { trackingUri: '${env:PATH}' } }))).details).toEqual({
    field: 'partners.one.config.trackingUri',
  })
})

test('hostile input through the API is refused', async () => {
  const registry = await open()
  const cyclic: Record<string, unknown> = { connector: 'lake' }
  cyclic['config'] = cyclic
  let deep: unknown = 'x'
  for (let level = 0; level < 200; level += 1) deep = [deep]
  const inputs: readonly unknown[] = [
    undefined,
    null,
    [],
    'lake',
    7n,
    cyclic,
    { connector: 'lake', config: { database: deep } },
    { connector: 'lake', config: { database: 'x'.repeat(2 ** 20) } },
    JSON.parse('{ "connector": "lake", "config": { "database": "x", "__proto__": { "a": 1 } } }'),
    JSON.parse('{ "connector": "lake", "__proto__": { "config": { "database": "x" } } }'),
  ]
  for (const input of inputs)
    expect((await caught(registry.register('one', input as PartnerInput))).code).toBe('invalid_config')
  for (const name of ['', 'A', 'a/b', '../a', 'a'.repeat(65), 7 as unknown as string])
    expect((await caught(registry.register(name, { connector: 'lake', config: { database: 'x' } }))).code).toBe(
      'invalid_config',
    )
  expect(await registry.list()).toHaveLength(2)
})

test('partners are found by what they can do, by tier, template and tag', async () => {
  const registry = await open()
  await registry.register('free', { connector: 'tracker', config: uri, tags: ['tracking', 'old'] })
  const names = async (filter: Parameters<typeof registry.find>[0]) =>
    (await registry.find(filter)).map(({ name }) => name)
  expect(await names({ capability: 'mlops.runs' })).toEqual(['free', 'tracking'])
  expect(await names({ capability: 'runs', tier: 'enterprise' })).toEqual(['tracking'])
  expect(await names({ template: 'mlops', tag: 'old' })).toEqual(['free'])
  expect(await names({ template: 'mlop' })).toEqual([])
  expect(await names({ tag: 'tracking' })).toEqual(['free', 'tracking'])
  expect(await names({})).toEqual(['free', 'lake', 'tracking'])
  expect(await registry.summary()).toEqual({
    total: 3,
    byTier: { community: 2, enterprise: 1 },
    byConnector: { tracker: 2, lake: 1 },
    byOrigin: { api: 1, file: 2 },
  })
})

test('contracts that end soon or have ended, the nearest first', async () => {
  const ends = { gone: '2026-05-30', today: '2026-06-01', week: '2026-06-08', month: '2026-07-02' }
  const lines = Object.entries(ends).map(
    ([name, end]) => `  ${name}: { connector: lake, config: { database: x }, contract: { end: ${end} } }\n`,
  )
  const registry = await open(file(lines.join('') + lakeAt('open-ended', 'x')), {
    now: () => Date.parse('2026-06-01T23:59:59Z'),
  })
  const days = async (count: number) => (await registry.expiring(count)).map(({ name, daysLeft }) => [name, daysLeft])
  expect(await days(7)).toEqual([
    ['gone', -2],
    ['today', 0],
    ['week', 7],
  ])
  expect(await days(31)).toHaveLength(4)
  expect(await days(30)).toHaveLength(3)
})

test('a connection carries the resolved secret, and the store never does', async () => {
  const seen: (string | undefined)[] = []
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization)
    response.setHeader('content-type', 'application/json')
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const registry = await open(sample.replace('http://127.0.0.1:5001', url))
  await registry.register('second', {
    connector: 'tracker',
    config: { trackingUri: url },
    credentials: 'tracker-token',
  })
  await registry.register('third', { connector: 'tracker', config: { trackingUri: url } })
  for (const name of ['tracking', 'second', 'third']) {
    const connection = await registry.connect(name)
    expect(await connection.check()).toMatchObject({ status: 'healthy' })
    await connection.close()
  }
  expect(seen).toEqual(['Bearer canary-secret', 'Bearer canary-secret', undefined])
  const rows = await store.db.selectFrom('partners').selectAll().execute()
  const shown = [rows, await registry.list(), await registry.checks(), await registry.summary()]
  expect(JSON.stringify(shown)).not.toContain('canary-secret')
  server.close()
})

test('what keeps a connection from being made is told by code', async () => {
  const registry = await open(sample, { env: {} })
  expect(await caught(registry.connect('tracking'))).toMatchObject({ code: 'invalid_credentials', partner: 'tracking' })
  expect((await caught(registry.connect('trackin'))).message).toBe(
    'there is no partner `trackin`. Did you mean `tracking`?',
  )
  const fewer = await openRegistry({ store, connectors: [] })
  const error = await caught(fewer.connect('lake'))
  expect(error).toMatchObject({ code: 'unsupported', partner: 'lake' })
  expect((await fewer.get('lake')).title).toBe('lake')
})

test('a named reference that left the file is missed at once', async () => {
  const registry = await open(lenient('http://x'))
  await registry.register('second', { connector: 'tracker', config: uri, credentials: 'tracker-token' })
  await registry.syncFile(good('version: 1'))
  expect(await caught(registry.connect('second'))).toMatchObject({
    code: 'invalid_credentials',
    message: expect.stringContaining('there are no credentials named `tracker-token`') as string,
  })
})

test('what the health monitor watches changes its revision with the connection only', async () => {
  const registry = await open(lenient('http://x', 'http://y'))
  await registry.register('second', { connector: 'tracker', config: uri, credentials: 'tracker-token' })
  const revision = async () => (await registry.checks()).find(({ name }) => name === 'second')?.revision
  const first = await revision()
  await registry.update('second', { tags: ['x'], owner: 'me' })
  expect(await revision()).toBe(first)
  await registry.update('second', { config: { trackingUri: 'http://y' } })
  const second = await revision()
  expect(second).not.toBe(first)
  await registry.syncFile(good(sample.replace('TRACKER_TOKEN', 'OTHER_TOKEN')))
  expect(await revision()).not.toBe(second)
  expect((await registry.checks())[0]).toMatchObject({ name: 'lake', everyMs: 60_000, timeoutMs: 10_000 })
})

test('a partner of the API sends named credentials only where their owner allows it', async () => {
  const to = (trackingUri: string): PartnerInput => ({
    connector: 'tracker',
    config: { trackingUri },
    credentials: 'tracker-token',
  })
  const refusal = async (registry: Awaited<ReturnType<typeof open>>, trackingUri: string) =>
    (await caught(registry.register('one', to(trackingUri)))).message
  // Without a list: only where the file's own partners send it.
  const strict = await open()
  expect(await refusal(strict, 'http://evil.example.com')).toBe(
    'partners.one.credentials: the credentials `tracker-token` may not be sent to http://evil.example.com; allowed: http://127.0.0.1:5001. Whoever owns ecosystem.yaml can add it to credentials.tracker-token.hosts',
  )
  for (const near of ['https://127.0.0.1:5001', 'http://127.0.0.1:5002', 'http://127.0.0.1', 'http://localhost:5001'])
    expect(await refusal(strict, near)).toContain(`may not be sent to ${near}`)
  await strict.register('same', to('http://127.0.0.1:5001/other/path'))
  await strict.register('without', { connector: 'tracker', config: uri })
  expect((await caught(strict.update('without', { credentials: 'tracker-token' }))).message).toContain('http://x')
  expect((await caught(strict.update('same', { config: uri }))).message).toContain('may not be sent to http://x')

  const listed = await open(lenient('a.example.com', '*.example.org', 'http://[::1]:5000'))
  await listed.register('exact', to('https://a.example.com'))
  await listed.register('below', to('https://deep.b.example.org'))
  await listed.register('address', to('http://[::1]:5000'))
  for (const near of [
    'http://a.example.com',
    'https://b.a.example.com',
    'https://example.org',
    'https://notexample.org',
    'https://a.example.com:8443',
    'https://a.example.com.evil.example',
    'http://127.0.0.1:5001',
  ])
    expect(await refusal(listed, near)).toContain(`may not be sent to ${near}`)
  // What was registered while it was allowed is refused once the file allows it no more.
  await listed.syncFile(good(lenient('other.example.com')))
  expect(await caught(listed.connect('exact'))).toMatchObject({ code: 'invalid_config' })
  expect((await listed.connect('tracking')).name).toBe('tracking')
})

test('a policy is stored for partners of the API, and held until the file is read again for its own', async () => {
  const registry = await open(file(lakeAt('a', 'x')))
  await registry.register('one', {
    connector: 'tracker',
    config: uri,
    policy: { rate: { perSecond: 5 }, backoff: '1s' },
  })
  expect((await registry.get('one')).policy).toEqual({ rate: { perSecond: 5, burst: 5 }, backoffMs: 1000 })
  await registry.update('one', { policy: { concurrency: 2, backoff: null } })
  expect((await registry.get('one')).policy).toEqual({ rate: { perSecond: 5, burst: 5 }, concurrency: 2 })
  expect((await openRegistry({ store, connectors }).then((other) => other.get('one'))).policy).toMatchObject({
    concurrency: 2,
  })
  await registry.update('one', { policy: null })
  expect((await registry.get('one')).policy).toBeUndefined()

  const own = await registry.update('a', { policy: { deadline: '5s' } })
  expect(own).toMatchObject({ origin: 'file', policy: { deadlineMs: 5000 } })
  expect((await caught(registry.update('a', { policy: { deadline: '5' } }))).message).toContain(
    'partners.a.policy.deadline: not a duration',
  )
  expect(await caught(registry.update('a', { policy: {}, owner: 'me' }))).toMatchObject({ code: 'conflict' })
  await registry.syncFile(good(file(lakeAt('a', 'x'))))
  expect((await registry.get('a')).policy).toBeUndefined()
})

test('a secret of the vault is asked for by partner and name, when it is needed and not before', async () => {
  const asked: string[] = []
  const registry = await open(sample.replace('${env:TRACKER_TOKEN}', '${secret:tracker-token}'), {
    secrets: (partner, name) => {
      asked.push(`${partner}/${name}`)
      return Promise.resolve('value-of-the-vault')
    },
  })
  await registry.list()
  await registry.checks()
  expect(asked).toEqual([])
  await (await registry.connect('tracking')).close()
  expect(asked).toEqual(['tracking/tracker-token'])
  expect(JSON.stringify(await store.db.selectFrom('partners').selectAll().execute())).not.toContain(
    'value-of-the-vault',
  )
})
