import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEcosystem } from '../src/ecosystem.ts'
import { ask, until } from './ask.ts'
import { connectors, follow, openSetting, token } from './setting.ts'
import type { Setting } from './setting.ts'

let setting: Setting
beforeAll(async () => {
  setting = await openSetting()
})
afterAll(() => setting.close())

interface Partner {
  name: string
  origin: string
  health: { status: string; since: string; code?: string } | null
  history: unknown[]
}
interface Run {
  id: string
  status: string
  trigger: string
  streams: { stream: string; status: string; written: number; requests: number }[]
  totals: object
  error?: { code: string; message: string }
}

test('partners stand with health and history, and without a secret', async () => {
  const found = await until(async () => {
    const { partners } = (await setting.get('/api/partners')).body as { partners: Partner[] }
    return partners.every(({ health }) => health?.status === 'healthy') ? partners : undefined
  })
  expect(found.map(({ name }) => name)).toEqual(['lab', 'lake'])
  expect(found[0]).toMatchObject({
    connector: 'lab',
    title: 'Laboratory',
    config: { url: setting.partner.url },
    credentials: 'lab-token',
    owner: 'lab@example.com',
    tags: ['bench'],
    contract: { start: '2026-01-01', end: null },
    origin: 'file',
    check: { everyMs: 60_000, timeoutMs: 2_000 },
    health: { status: 'healthy', version: '1.0' },
  })
  expect(found[0]!.history.length).toBeGreaterThan(0)
  expect(setting.partner.seen).toContainEqual({ what: 'GET /ping', authorization: 'Bearer lab-secret' })
  for (const path of ['/api/partners', '/api/partners/lab', '/api/connectors', '/openapi.json', '/api/summary'])
    expect((await setting.get(path)).text).not.toContain('lab-secret')
  expect((await setting.get('/api/summary')).body).toEqual({
    partners: { total: 2, healthy: 2, degraded: 0, unhealthy: 0, unknown: 0 },
    pipelines: 1,
    runs: { running: 0, completed: 0, failed: 0, cancelled: 0 },
    version: '1.2.3',
  })
})

test('streams, records and operations of a partner', async () => {
  const { streams } = (await setting.get('/api/partners/lab/streams')).body as { streams: unknown[] }
  expect(streams).toMatchObject([{ name: 'samples', primaryKey: ['id'], discovered: false }])
  const records = await setting.get('/api/partners/lab/streams/samples/records?limit=1')
  expect(records.body).toEqual({ records: [{ id: 'a', size: 1 }], truncated: true })
  const all = await setting.get('/api/partners/lab/streams/samples/records')
  expect(all.text).toBe('{"records":[{"id":"a","size":1},{"id":"b","size":9007199254740993}],"truncated":false}')
  const call = (words: string, body: unknown, query = '') =>
    setting.send('POST', `/api/partners/lab/call/${words}${query}`, body)
  expect((await call('samples/get', { id: 'b' })).text).toBe('{"result":{"id":"b","size":9007199254740993}}')
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const echo = (body: string) =>
    ask(setting.server.url, '/api/partners/lab/call/samples/echo', { method: 'POST', headers, body })
  expect((await echo('{"size":9007199254740993}')).text).toBe('{"result":{"size":9007199254740993}}')
  expect((await echo('{"size":')).status).toBe(400)
  expect((await call('samples/list', undefined)).body).toMatchObject({
    results: [{ id: 'a' }, { id: 'b' }],
    truncated: false,
  })
  expect((await call('samples/list', {}, '?limit=1')).body).toMatchObject({ results: [{ id: 'a' }], truncated: true })
  expect((await call('samples/get', {})).body).toMatchObject({ error: { code: 'invalid_input', field: 'id' } })
  expect((await call('samples/nothing', {})).body).toMatchObject({ error: { code: 'unsupported' } })
  expect((await call('samples/photo', {})).body).toMatchObject({ error: { code: 'unsupported' } })
  expect((await call('__proto__/toString', {})).body).toMatchObject({ error: { code: 'unsupported' } })
})

test('what changes or removes something is called only when that is confirmed', async () => {
  const path = '/api/partners/lab/call/samples'
  for (const [operation, query] of [
    ['add', ''],
    ['remove', ''],
    ['remove', '?confirm=write'],
    ['add', '?confirm=destroy'],
    ['add', '?confirm=yes'],
  ] as const) {
    const answer = await setting.send('POST', `${path}/${operation}${query}`, { id: 'c' })
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ error: { code: 'invalid_input', field: 'confirm' } })
  }
  expect(setting.partner.seen.some(({ what }) => what.endsWith('/samples/c'))).toBe(false)
  expect((await setting.send('POST', `${path}/add?confirm=write`, { id: 'c' })).status).toBe(200)
  expect(setting.partner.samples.has('c')).toBe(true)
  expect((await setting.send('POST', `${path}/remove?confirm=destroy`, { id: 'c' })).status).toBe(200)
  expect(setting.partner.samples.has('c')).toBe(false)
})

test('a partner is registered, changed and removed; a wrong config is refused in the words of the file check', async () => {
  const config = { url: setting.partner.url }
  const refused = await setting.send('POST', '/api/partners', {
    name: 'second',
    connector: 'lab',
    config: { uri: 'x' },
  })
  const broken = (await readFile(setting.file, 'utf8')).replace(
    'partners:',
    'partners:\n  second: { connector: lab, config: { uri: x } }',
  )
  const { parseEcosystem } = await import('@ecokit/registry/file')
  const said = parseEcosystem(broken, { connectors }).problems.map(({ field, message }) => `${field}: ${message}`)
  expect(said.length).toBeGreaterThan(0)
  expect(refused.status).toBe(400)
  expect((refused.body as { error: { message: string; field: string; code: string } }).error).toEqual({
    code: 'invalid_config',
    message: said.join('\n'),
    field: said[0]!.split(':')[0],
  })

  const made = await setting.send('POST', '/api/partners', { name: 'second', connector: 'lab', config, tags: ['x'] })
  expect(made.status).toBe(201)
  expect(made.body).toMatchObject({ name: 'second', origin: 'api', credentials: null, health: null, tags: ['x'] })
  expect((await setting.send('POST', '/api/partners', { name: 'second', connector: 'lab', config })).status).toBe(409)
  expect(
    (await setting.send('PATCH', '/api/partners/second', { owner: 'me', credentials: 'lab-token' })).body,
  ).toMatchObject({
    owner: 'me',
    credentials: 'lab-token',
    tags: ['x'],
  })
  expect((await setting.send('POST', '/api/partners/second/check')).body).toMatchObject({ status: 'healthy' })
  const { checks } = (await setting.get('/api/partners/second/health')).body as { checks: unknown[] }
  expect(checks.length).toBeGreaterThan(0)
  expect((await setting.send('DELETE', '/api/partners/second')).body).toEqual({})
  expect((await setting.get('/api/partners/second')).status).toBe(404)
  for (const [method, path] of [
    ['PATCH', '/api/partners/lab'],
    ['DELETE', '/api/partners/lab'],
  ] as const)
    expect((await setting.send(method, path, {})).status).toBe(409)
})

test('the API points at credentials by name; it creates none, resolves none and tells none', async () => {
  const config = { url: setting.partner.url }
  const attempts: [unknown, string][] = [
    [{ config: { url: `${setting.partner.url}/\${env:LAB_TOKEN}` } }, 'partners.thief.config.url'],
    [{ config, credentials: { scheme: 'token', token: '${env:LAB_TOKEN}' } }, 'partners.thief.credentials'],
    [{ config, credentials: { scheme: 'token', token: 'mine' } }, 'partners.thief.credentials'],
    [{ config, credentials: '${env:LAB_TOKEN}' }, 'partners.thief.credentials'],
    [{ config, credentials: 'new-one' }, 'partners.thief.credentials'],
    [{ config, owner: '${env:LAB_TOKEN}', credentials: ['lab-token'] }, 'partners.thief.credentials'],
  ]
  for (const [input, field] of attempts) {
    const answer = await setting.send('POST', '/api/partners', {
      name: 'thief',
      connector: 'lab',
      ...(input as object),
    })
    expect([answer.status, (answer.body as { error: { field?: string } }).error.field]).toEqual([400, field])
    expect(answer.text).not.toContain('lab-secret')
  }
  expect((await setting.get('/api/partners/thief')).status).toBe(404)
  for (const path of ['/api/credentials', '/api/credentials/lab-token', '/.ecokit/token', '/ecosystem.yaml'])
    expect((await setting.get(path)).status).toBe(404)
  for (const method of ['POST', 'PUT'])
    expect((await setting.send(method, '/api/credentials', { scheme: 'token' })).status).toBe(404)
})

test('a run is started, followed, listed and described by its lineage', async () => {
  const client = await follow(setting.server.url)
  await until(() => client.of('hello')[0])
  const started = await setting.send('POST', '/api/pipelines/lab-to-lake/runs')
  expect(started.status).toBe(202)
  const { id } = started.body as { id: string }
  const last = await until(() => client.of<Run>('run').find((run) => run.id === id && run.status !== 'running'))
  expect(last).toMatchObject({
    pipeline: 'lab-to-lake',
    source: 'lab',
    sink: 'lake.tables',
    trigger: 'manual',
    full: false,
    status: 'completed',
    streams: [{ stream: 'samples', table: 'samples', status: 'completed', read: 2, written: 2, requests: 1 }],
  })
  expect((await setting.get(`/api/runs/${id}`)).body).toEqual(last)
  const { streams: each, ...summary } = last
  expect(summary.totals).toMatchObject({ streams: each.length, read: 2, written: 2, requests: 1 })
  expect((await setting.get('/api/runs?pipeline=lab-to-lake&limit=1')).body).toEqual({ runs: [summary] })
  expect((await setting.get('/api/pipelines')).body).toEqual({
    pipelines: [
      {
        name: 'lab-to-lake',
        source: 'lab',
        sink: 'lake.tables',
        streams: [],
        everyMs: null,
        schedule: null,
        nextAt: null,
        paused: [],
        lastRun: summary,
        running: false,
        problem: null,
      },
    ],
  })
  const { events } = (await setting.get(`/api/runs/${id}/lineage`)).body as { events: { eventType: string }[] }
  expect(events.map(({ eventType }) => eventType)).toEqual(expect.arrayContaining(['START', 'COMPLETE']))
  expect((await setting.get(`/api/runs/${id}/quarantine`)).body).toEqual({ records: [] })
  const aside = { run_id: id, pipeline: 'lab-to-lake', stream: 'samples', field: 'big', reason: 'too large', at: 0 }
  const exact = '{"big":9007199254740993}'
  await setting.runtime.store.db
    .insertInto('quarantine')
    .values({ ...aside, record: exact })
    .execute()
  expect((await setting.get(`/api/runs/${id}/quarantine`)).text).toContain(exact)
  expect((await setting.get('/api/quarantine')).text).toContain(exact)
  const lake = (await setting.get('/api/partners/lake/streams/samples/records')).text
  expect(lake).toContain('9007199254740993')
  const { streams } = (await setting.get('/api/partners/lake/streams')).body as { streams: unknown[] }
  expect(streams).toContainEqual(expect.objectContaining({ name: 'samples', discovered: true }))
  expect((await setting.send('POST', `/api/runs/${id}/cancel`)).status).toBe(409)
  expect((await setting.get('/api/runs/nothing')).status).toBe(404)
  expect((await setting.send('POST', '/api/pipelines/nothing/runs', {})).status).toBe(404)
  await client.close()
})

test('a run is cancelled, and a second one beside it is refused', async () => {
  setting.partner.hold = true
  const { id } = (await setting.send('POST', '/api/pipelines/lab-to-lake/runs', { full: true })).body as { id: string }
  await until(() => (setting.partner.seen.at(-1)?.what === 'GET /samples' ? true : undefined))
  expect((await setting.send('POST', '/api/pipelines/lab-to-lake/runs', {})).status).toBe(409)
  expect((await setting.send('POST', `/api/runs/${id}/cancel`, {})).status).toBe(200)
  const run = await until(async () => {
    const found = (await setting.get(`/api/runs/${id}`)).body as Run
    return found.status === 'running' ? undefined : found
  })
  expect(run).toMatchObject({ status: 'cancelled', full: true })
  setting.partner.hold = false
})

test('what another process does in the store shows as events', async () => {
  const client = await follow(setting.server.url)
  await until(() => client.of('hello')[0])
  const other = await openEcosystem({ file: setting.file, connectors, env: setting.env })
  const run = await other.sync('lab-to-lake')
  await other.health.checkNow('lab')
  await other.registry.register('third', { connector: 'lab', config: { url: setting.partner.url } })
  await other.registry.remove('third')
  await other.close()
  await until(() => client.of<Run>('run').find(({ id, status }) => id === run.id && status === 'completed'))
  const check = await until(() => client.of<{ partner: string; health: { status: string } }>('check')[0])
  expect(check).toMatchObject({ partner: 'lab', health: { status: 'healthy' }, check: { status: 'healthy' } })
  await client.close()
})

test('the probes tell whether the store answers', async () => {
  expect((await setting.get('/healthz')).body).toEqual({ status: 'ok' })
  expect((await setting.get('/readyz')).body).toEqual({ status: 'ok' })
  const other = await openSetting()
  await other.runtime.store.close()
  const answer = await other.get('/readyz')
  expect([answer.status, answer.body]).toEqual([503, { status: 'the store does not answer' }])
  expect((await other.get('/healthz')).status).toBe(200)
  await other.close()
})
