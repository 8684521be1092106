import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { local } from '@ecokit/connector-local'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkState } from '../../../core/flow/test/openlineage.ts'
import { openEcosystem } from '../src/ecosystem.ts'
import { openServer } from '../src/server.ts'
import { ask, until } from './ask.ts'
import { token } from './setting.ts'
import { shopOf, startShop } from './shop.ts'

interface Run {
  id: string
  status: string
  backfill?: { since?: string; until?: string }
  warnings: string[]
  streams: { stream: string; mode: string; status: string; read: number; written: number; drift: unknown[] }[]
}

/** A collector of OpenLineage events that asks for a key. */
const startCollector = async () => {
  const taken: { path: string; type: string }[] = []
  const mood = { down: false }
  const server = createServer((request, reply) => {
    void text(request).then((body) => {
      const allowed = request.headers.authorization === 'Bearer collector-key' && !mood.down
      if (allowed) taken.push({ path: request.url ?? '', type: (JSON.parse(body) as { eventType: string }).eventType })
      reply.writeHead(mood.down ? 503 : allowed ? 201 : 401).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { taken, mood, url, stop: () => new Promise((resolve) => server.close(resolve)) }
}

let folder: string
let file: string
let shop: Awaited<ReturnType<typeof startShop>>
let collector: Awaited<ReturnType<typeof startCollector>>
let open: Awaited<ReturnType<typeof serve>>

const serve = async (note = false) => {
  const env = { COLLECTOR: 'collector-key' }
  const runtime = await openEcosystem({ file, connectors: [shopOf({ note }), local], env })
  const server = await openServer({ runtime, token })
  const headers = { authorization: `Bearer ${token}` }
  const json = { ...headers, 'content-type': 'application/json' }
  const send = (path: string, body: unknown) =>
    ask(server.url, path, { method: 'POST', headers: json, body: JSON.stringify(body) })
  const get = async <T>(path: string) => (await ask(server.url, path, { headers })).body as T
  return {
    runtime,
    get,
    send,
    /** Starts a run and waits for its end. */
    run: async (body: unknown): Promise<Run> => {
      const started = await send('/api/pipelines/orders/runs', body)
      expect([started.status, started.text]).toEqual([202, expect.stringContaining('"id"')])
      const { id } = started.body as { id: string }
      return until(async () => {
        const found = await get<Run>(`/api/runs/${id}`)
        return found.status === 'running' ? undefined : found
      })
    },
    close: async () => {
      await server.close()
      await runtime.close()
    },
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecokit-running-'))
  file = join(folder, 'ecosystem.yaml')
  shop = await startShop()
  collector = await startCollector()
  await writeFile(
    file,
    `version: 1
partners:
  shop: { connector: shop, config: { url: '${shop.url}' } }
  lake: { connector: local, config: { database: '${join(folder, 'lake.duckdb')}' } }
pipelines:
  orders:
    source: shop
    sink: lake
    contract: { columns: freeze }
    parallel: 2
    schedule: { cron: '0 3 * * *', timezone: Europe/Berlin }
    streams:
      orders:
        rename: { amount: total }
        quality:
          - { rule: not_null, field: total, name: total is known }
          - { rule: row_count, min: 1, severity: warn }
      customers:
server: { port: 0 }
lineage: { url: '${collector.url}', credentials: { scheme: token, token: '\${env:COLLECTOR}' } }
`,
  )
  open = await serve()
})
afterAll(async () => {
  await open.close()
  await shop.stop()
  await collector.stop()
  checkState(folder)
  await rm(folder, { recursive: true, maxRetries: 10 })
})

test('a run: what it put aside, what its rules said, and its events at the collector', async () => {
  const run = await open.run({})
  expect(run).toMatchObject({ status: 'completed', warnings: [] })
  expect(run.streams).toMatchObject([
    { stream: 'orders', read: 8, written: 7, quarantined: 1 },
    { stream: 'customers', read: 3, written: 2, quarantined: 1 },
  ])
  const { results } = await open.get<{ results: unknown[] }>(`/api/quality?run=${run.id}`)
  expect(results).toContainEqual(
    expect.objectContaining({ stream: 'orders', name: 'total is known', rule: 'not_null', passed: false, failed: 1 }),
  )
  const failed = await open.get<{ results: { passed: boolean }[] }>('/api/quality?failed=true&pipeline=orders')
  expect(failed.results.map(({ passed }) => passed)).toEqual([false])
  const { records } = await open.get<{ records: { record: unknown }[] }>('/api/quarantine?stream=orders')
  expect(records).toMatchObject([{ run: run.id, pipeline: 'orders', field: 'total', record: { id: 'o7' } }])
  expect(collector.taken.length).toBeGreaterThanOrEqual(4)
  expect(new Set(collector.taken.map(({ path }) => path))).toEqual(new Set(['/api/v1/lineage']))
  expect(collector.taken.filter(({ type }) => type === 'COMPLETE').length).toBe(2)
})

test('a backfill reads its window and leaves the checkpoint; only the streams that are named run', async () => {
  const before = shop.seen.length
  const window = { since: '2026-01-02T00:00:00Z', until: '2026-01-04T00:00:00Z' }
  const run = await open.run({ backfill: window, streams: ['orders'] })
  expect(run).toMatchObject({ status: 'completed', backfill: window })
  expect(run.streams).toMatchObject([{ stream: 'orders', mode: 'backfill', read: 2, written: 2 }])
  expect(shop.seen.slice(before)).toEqual([`/orders?since=${window.since}&until=${window.until}`])
  const next = await open.run({ streams: ['orders'] })
  expect(next.streams).toMatchObject([{ stream: 'orders', mode: 'incremental' }])
  expect(shop.seen.at(-1)).toBe('/orders?since=2026-01-08T00:00:00Z')
  for (const [body, field] of [
    [{ backfill: {} }, 'backfill.since'],
    [{ backfill: window, full: true }, 'full'],
    [{ streams: ['nothing'] }, 'streams'],
  ] as const) {
    const refused = await open.send('/api/pipelines/orders/runs', body)
    expect([refused.status, (refused.body as { error: { field: string } }).error.field]).toEqual([400, field])
  }
})

test('a collector that is down holds nothing up, and gets its events with the next run', async () => {
  collector.mood.down = true
  const lost = await open.run({ streams: ['customers'] })
  expect(lost.status).toBe('completed')
  expect(lost.warnings.join()).toContain('lineage')
  collector.mood.down = false
  const before = collector.taken.length
  await open.run({ streams: ['customers'] })
  expect(collector.taken.length - before).toBeGreaterThanOrEqual(4)
})

test('what was asked for, and what the clock started, stands in the audit log', async () => {
  const log = await open.runtime.safe.audit()
  const actions = (await log.list({ limit: 20 })).map(({ actor, action, target, details }) => ({
    ...{ actor, action, target },
    details,
  }))
  expect(actions).toContainEqual({
    actor: 'api',
    action: 'pipeline.backfill',
    target: 'pipeline/orders',
    details: { full: false, since: '2026-01-02T00:00:00Z', until: '2026-01-04T00:00:00Z', streams: ['orders'] },
  })
  await open.runtime.sync('orders', { trigger: 'schedule' })
  expect((await log.list({ limit: 1 }))[0]).toMatchObject({ actor: 'schedule', action: 'pipeline.sync' })
})

test('a schema that has changed makes its stream wait until somebody accepts it', async () => {
  await open.close()
  open = await serve(true)
  const run = await open.run({})
  expect(run.status).toBe('failed')
  expect(run.streams.find(({ stream }) => stream === 'orders')?.drift).toEqual([
    expect.objectContaining({ kind: 'column_added', field: 'note' }),
  ])
  const list = () => open.get<{ pipelines: { paused: unknown[]; nextAt: string }[] }>('/api/pipelines')
  const [pipeline] = (await list()).pipelines
  expect(pipeline?.paused).toMatchObject([{ stream: 'orders', changes: [{ kind: 'column_added' }] }])
  expect(Date.parse(pipeline?.nextAt ?? '')).toBeGreaterThan(Date.now())
  const { contracts } = await open.get<{ contracts: { stream: string; paused: unknown }[] }>(
    '/api/contracts?pipeline=orders',
  )
  expect(contracts.filter(({ paused }) => paused !== null).map(({ stream }) => stream)).toEqual(['orders'])
  expect((await open.send('/api/pipelines/orders/accept', { stream: 'orders' })).body).toEqual({ accepted: 1 })
  expect((await open.send('/api/pipelines/orders/accept', {})).body).toEqual({ accepted: 0 })
  expect((await list()).pipelines[0]?.paused).toEqual([])
  expect((await open.run({})).status).toBe('completed')
  expect((await open.send('/api/pipelines/nothing/accept', {})).status).toBe(404)
})
