import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { local } from '@ecokit/connector-local'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { shopOf, startShop } from '../../server/test/shop.ts'
import { carryOut, openFolder, start, until } from './run.ts'

// Each step is a process of its own, and the machine may be busy.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 })

const binWithShop = fileURLToPath(new URL('./bin-with-shop.ts', import.meta.url))
let folder: string
let remove: () => Promise<void>
let shop: Awaited<ReturnType<typeof startShop>>
beforeAll(async () => {
  ;({ folder, remove } = await openFolder())
  shop = await startShop()
  await writeFile(
    join(folder, 'ecosystem.yaml'),
    `version: 1
partners:
  shop: { connector: shop, config: { url: '${shop.url}' } }
  lake: { connector: local, config: { database: lake.duckdb } }
pipelines:
  orders-to-lake:
    source: shop
    sink: lake
    contract: { columns: freeze }
    schedule: { cron: '0 3 * * *', timezone: Europe/Berlin, missed: skip }
    streams:
      orders:
        rename: { amount: total }
        quality: [{ rule: not_null, field: total, name: total is known }]
      customers:
  customers-to-files:
    source: shop
    sink: lake
    streams: { customers: { table: people } }
    every: 5m
`,
  )
})
afterAll(async () => {
  process.chdir(import.meta.dirname)
  await shop.stop()
  await remove()
})

/** A process of its own, as people start it. */
const ecokit = (...args: string[]) => start(folder, args, {}, '', binWithShop).ended
/** In this process: for what only reads. */
const quick = (...args: string[]) =>
  carryOut([...args, '--file', join(folder, 'ecosystem.yaml')], [], () => Promise.resolve([shopOf(), local]))
const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await quick(...args, '--json')).out) as T

test('discover: what can be read, and the fields of one stream', async () => {
  const { code, out } = await quick('discover', 'shop')
  expect(code).toBe(0)
  expect(out).toMatch(/^STREAM +KEY +CURSOR +MODES +FIELDS +FROM\norders +id +updated +full_refresh, incremental +3 /)
  expect((await quick('discover', 'shop', 'orders')).out).toMatch(
    /^FIELD +TYPE .*\nid +string +key +\namount +number +yes +\nupdated +string \(date-time\) +cursor/,
  )
  expect(await json('discover', 'shop', 'customers')).toMatchObject({
    name: 'customers',
    primaryKey: ['id'],
    modes: ['full_refresh'],
    discovered: false,
    schema: { type: 'object' },
  })
  const wrong = await quick('discover', 'shop', 'order')
  expect([wrong.code, wrong.err]).toEqual([2, 'error: shop has no stream order. Choose from: orders, customers\n'])
})

test('sync of all pipelines, and of one stream; what runs found out', async () => {
  const all = await ecokit('sync')
  expect([all.code, all.err]).toEqual([0, expect.stringContaining('customers-to-files completed in ')])
  expect(all.out).toMatch(/\norders +completed +incremental +8 +7 +1 /)
  const one = await ecokit('sync', 'orders-to-lake', '--stream', 'customers', '--json')
  expect(JSON.parse(one.out)).toMatchObject({ status: 'completed', streams: [{ stream: 'customers' }] })
  expect((await ecokit('sync', '--stream', 'customers')).err).toContain('--stream belongs to one pipeline')
  expect((await ecokit('sync', 'orders-to-lake', '-s', 'nothing')).err).toContain('Choose from: orders, customers')

  const runs = await json<{ id: string; pipeline: string }[]>('runs', 'orders-to-lake')
  expect(runs.map(({ pipeline }) => pipeline)).toEqual(['orders-to-lake', 'orders-to-lake'])
  const id = runs[1]?.id ?? ''
  const run = await json('run', id)
  expect(run).toMatchObject({
    id,
    streams: [{ stream: 'orders', drift: [] }, { stream: 'customers' }],
    quality: [{ name: 'total is known', passed: false, checked: 8, failed: 1 }],
    inputs: [{ name: 'orders' }, { name: 'customers' }],
    outputs: [{ name: expect.stringContaining('orders') as string }, {}],
  })
  const shown = (await quick('run', id)).out
  expect(shown).toContain(`2 records were put aside: \`ecokit quarantine --run ${id}\``)
  expect(shown).toMatch(/\norders +total is known +failed +quarantine +8 +1 /)
  expect(shown).toMatch(/\nread +\S+ +orders\n/)

  const records = await json<unknown[]>('quarantine', 'orders-to-lake', '--stream', 'orders')
  expect(records).toMatchObject([{ run: id, stream: 'orders', field: 'total', record: { id: 'o7' } }])
  expect((await quick('quarantine', '--run', id)).out).toMatch(/^AT +PIPELINE +STREAM +FIELD +REASON +RECORD\n/)
  const short = await quick('quarantine', '--limit', '1')
  expect([short.out.trimEnd().split('\n').length, short.err]).toEqual([2, 'the newest 1; --limit shows more\n'])
  const state = new DatabaseSync(join(folder, '.ecokit', 'state.db'))
  state
    .prepare(
      "INSERT INTO quarantine (run_id, pipeline, stream, field, reason, record, at) VALUES (?, 'p', 'exact', 'big', '', ?, 0)",
    )
    .run(id, '{"big":9007199254740993}')
  state.close()
  expect((await quick('quarantine', '--stream', 'exact', '--json')).out).toContain('"big": 9007199254740993')
  expect(await json('quality', '--failed', '--run', id)).toMatchObject([{ rule: 'not_null', passed: false }])
  expect((await quick('quality')).out).toMatch(/^AT +PIPELINE +STREAM +RULE +RESULT +IF BROKEN +CHECKED +FAILED/)
  for (const command of ['quality', 'quarantine', 'runs', 'contract'])
    expect([command, (await quick(command, 'nothing')).code]).toEqual([command, 2])
})

test('lineage: the datasets, and where a column comes from and goes to', async () => {
  const datasets = await json<{ namespace: string; name: string; fields: string[] }[]>('lineage')
  expect(datasets.find(({ name }) => name === 'orders')?.fields).toEqual(
    expect.arrayContaining(['id', 'amount', 'updated']),
  )
  const table = datasets.find(({ name }) => name.includes('people'))
  expect(table?.fields).toContain('id')
  expect((await quick('lineage')).out).toMatch(/^NAMESPACE +DATASET +COLUMNS\n/)
  const up = await quick('lineage', 'people.id', '--upstream')
  expect([up.code, up.err]).toEqual([0, ''])
  expect(up.out).toMatch(/\/customers\.id +\S*people\S*\.id +DIRECT\/IDENTITY +customers-to-files\/customers/)
  const down = await json<{ edges: { to: { name: string; field?: string } }[] }>(
    'lineage',
    'orders.amount',
    '--downstream',
  )
  expect(down.edges.map(({ to }) => to.field)).toContain('total')
  const none = await quick('lineage', 'people.id', '--downstream')
  expect([none.code, none.out, none.err]).toEqual([0, '', 'nothing is known downstream of people.id\n'])
  const unknown = await quick('lineage', 'nothing')
  expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('there is no dataset nothing')])
})

test('backfill: a window of the cursor, and nothing else', async () => {
  const before = shop.seen.length
  const window = ['--since', '2026-01-02T00:00:00Z', '--until', '2026-01-04T00:00:00Z']
  const { code, out } = await ecokit('backfill', 'orders-to-lake', ...window, '--stream', 'orders', '--json')
  expect([code, JSON.parse(out)]).toEqual([
    0,
    expect.objectContaining({ backfill: { since: '2026-01-02T00:00:00Z', until: '2026-01-04T00:00:00Z' } }),
  ])
  expect(shop.seen.slice(before)).toEqual(['/orders?since=2026-01-02T00:00:00Z&until=2026-01-04T00:00:00Z'])
  expect((await quick('run', 'latest')).out).toContain('backfill 2026-01-02T00:00:00Z to 2026-01-04T00:00:00Z')
  const wrong = await quick('backfill', 'orders-to-lake')
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('a backfill needs a window')])
})

test('schedule: when pipelines run by themselves', async () => {
  const found = await json<{ pipeline: string; nextAt: string | null }[]>('schedule')
  expect(found).toMatchObject([
    {
      pipeline: 'orders-to-lake',
      schedule: { cron: '0 3 * * *', timezone: 'Europe/Berlin', missed: 'skip' },
      missed: 0,
    },
    { pipeline: 'customers-to-files', everyMs: 300_000, schedule: null, lastRun: { status: 'completed' } },
  ])
  expect(Date.parse(found[0]?.nextAt ?? '')).toBeGreaterThan(Date.now())
  expect((await quick('schedule')).out).toMatch(
    /^PIPELINE .*\norders-to-lake +0 3 \* \* \* \(Europe\/Berlin\) .*\ncustomers-to-files +every 5 min /,
  )
})

test('contract: a stream whose schema has changed waits, is shown, and goes on when it is accepted', async () => {
  expect((await quick('contract')).code).toBe(0)
  const later = (...args: string[]) => start(folder, args, { SHOP_NOTE: '1' }, '', binWithShop).ended
  const stopped = await later('sync', 'orders-to-lake')
  expect([stopped.code, stopped.out]).toEqual([1, expect.stringContaining('drift: orders: column note is new')])
  const waiting = await quick('contract', 'orders-to-lake')
  expect(waiting.code).toBe(1)
  expect(waiting.out).toMatch(/^PIPELINE .*WAITS BECAUSE\n/)
  expect(waiting.out).toContain('column note is new')
  expect(waiting.err).toContain('`ecokit contract accept orders-to-lake orders`')
  expect(await json('contract')).toContainEqual(
    expect.objectContaining({ stream: 'orders', paused: [expect.objectContaining({ kind: 'column_added' })] }),
  )
  const accepted = await later('contract', 'accept', 'orders-to-lake', '--json')
  expect([accepted.code, JSON.parse(accepted.out)]).toEqual([0, { accepted: 1 }])
  expect((await later('sync', 'orders-to-lake')).code).toBe(0)
  expect((await quick('contract')).code).toBe(0)
  expect((await quick('contract', 'accept', 'orders-to-lake')).out).toBe('nothing of orders-to-lake was waiting\n')
})

test('a pipeline that cannot begin keeps no other from running', async () => {
  const other = await openFolder()
  await writeFile(
    join(other.folder, 'ecosystem.yaml'),
    `version: 1
partners:
  shop: { connector: shop, config: { url: '${shop.url}' } }
  lake: { connector: local, config: { database: lake.duckdb } }
  nowhere: { connector: local, config: { folder: nowhere } }
pipelines:
  broken: { source: nowhere, sink: lake, streams: [things] }
  good: { source: shop, sink: lake, streams: { customers: { deletes: hard } } }
`,
  )
  const { code, out, err } = await start(other.folder, ['sync', '--json'], {}, '', binWithShop).ended
  expect(code).not.toBe(0)
  expect((JSON.parse(out) as { pipeline: string; status: string }[]).at(-1)).toMatchObject({
    pipeline: 'good',
    status: 'completed',
  })
  expect(err).toMatch(/^error: .*nowhere/m)
  await other.remove()
})

test('Ctrl-C cancels a run, says so, and the next one goes on', async () => {
  const release = shop.hold()
  const before = shop.seen.length
  const { child, ended } = start(folder, ['sync', 'customers-to-files'], {}, '', binWithShop)
  await until(() => (shop.seen.length > before ? true : undefined))
  child.kill('SIGINT')
  const { code, err } = await ended
  release()
  expect([code, err]).toEqual([1, expect.stringContaining('customers-to-files cancelled after ')])
  expect(err).toContain('Run it again to go on from where it stopped')
  expect(await json('run', 'latest')).toMatchObject({ status: 'cancelled' })
  expect((await ecokit('sync', 'customers-to-files')).code).toBe(0)
})
