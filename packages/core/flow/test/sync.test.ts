import path from 'node:path'
import { integrationError, type AnyConnection } from '@ecokit/contracts'
import { describe, expect, test } from 'vitest'
import {
  cancelRun,
  changedRuns,
  getRun,
  listQuarantine,
  listRuns,
  recoverRuns,
  sync,
  type Pipeline,
  type Progress,
} from '../src/index.ts'
import {
  items,
  newTable,
  only,
  rowsIn,
  run,
  sinkOf,
  sourceOf,
  temporaryFolder,
  testStore,
  type Table,
} from './support.ts'

const day = 24 * 3_600_000

const setUp = async (table: Table, more: Partial<Pipeline> = {}) => {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'sink.db')
  const store = await testStore(path.join(folder, 'state.db'))
  const pipeline: Pipeline = {
    name: 'shop-to-lake',
    source: sourceOf(table),
    sink: sinkOf(file),
    sinkName: 'tables',
    streams: ['items'],
    ...more,
  }
  return { file, store, pipeline, folder }
}

test('the first run reads everything, the next only what is new', async () => {
  const table = newTable(items(105))
  const { file, store, pipeline } = await setUp(table)
  const first = await run({ pipeline, store })
  expect(first).toMatchObject({ status: 'completed', source: 'shop', sink: 'lake.tables', trigger: 'manual' })
  expect(only(first)).toMatchObject({ mode: 'incremental', disposition: 'merge', read: 105, written: 105 })
  table.items.push(...items(7, 105))
  expect(only(await run({ pipeline, store }))).toMatchObject({ read: 7, written: 7, quarantined: 0, deleted: 0 })
  expect(rowsIn(file)).toEqual(table.items)
  expect(table.reads).toEqual([undefined, { after: 104 }])
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', read: 0, written: 0 })
})

test('a checkpoint of another source is refused; a full run makes the table that of the new one', async () => {
  const old = newTable(items(20, 100))
  const { file, store, pipeline } = await setUp(old, { origin: 'shop http://old' })
  await run({ pipeline, store })
  const moved = { ...pipeline, source: sourceOf(newTable(items(5))), origin: 'shop http://new' }
  const refused = await run({ pipeline: moved, store })
  expect(refused).toMatchObject({ status: 'failed', error: { code: 'invalid_config' } })
  expect(refused.error?.message).toMatch(/made on shop http:\/\/old.*now shop http:\/\/new.*--full/)
  expect(rowsIn(file)).toEqual(old.items)
  expect(await run({ pipeline: moved, store, full: true })).toMatchObject({ status: 'completed' })
  expect(rowsIn(file)).toEqual(items(5))
  expect(only(await run({ pipeline: moved, store }))).toMatchObject({ status: 'completed', read: 0 })
})

test('without streams in the pipeline all of the source are synced', async () => {
  const { store, pipeline, file } = await setUp(newTable(items(3)), { streams: undefined })
  const { streams } = await run({ pipeline, store })
  expect(streams.map(({ stream, mode, disposition }) => [stream, mode, disposition])).toEqual([
    ['items', 'incremental', 'merge'],
    ['plain', 'full_refresh', 'overwrite'],
  ])
  expect(rowsIn(file, 'plain')).toHaveLength(3)
})

test('a full refresh with overwrite replaces the table, and only at its end', async () => {
  const table = newTable(items(30))
  const { file, store, pipeline } = await setUp(table, { streams: ['plain'] })
  await run({ pipeline, store })
  const before = rowsIn(file, 'plain')
  table.items = items(25, 100)
  table.onPage = ({ page }) => {
    expect(rowsIn(file, 'plain')).toEqual(before)
    if (page === 2) throw integrationError('unavailable', { partner: 'shop', what: 'gone', details: {} })
  }
  expect(only(await run({ pipeline, store, commitBytes: 0 }))).toMatchObject({ status: 'failed', written: 0 })
  expect(rowsIn(file, 'plain')).toEqual(before)
  table.onPage = () => {}
  await run({ pipeline, store })
  expect(rowsIn(file, 'plain')).toEqual(table.items)
})

test('late edits and deletes are missed by incremental runs and found by the reconciling pass when it is due', async () => {
  const table = newTable(items(40))
  const { file, store, pipeline } = await setUp(table, { reconcileEveryMs: day })
  let clock = Date.now()
  const now = () => clock
  await run({ pipeline, store, now })
  table.items.splice(5, 3)
  table.items[0] = { ...table.items[0]!, name: 'edited' }
  clock += day / 2
  expect(only(await run({ pipeline, store, now }))).toMatchObject({ mode: 'incremental', read: 0 })
  expect(rowsIn(file)).toHaveLength(40)
  clock += day / 2
  expect(only(await run({ pipeline, store, now }))).toMatchObject({ mode: 'reconcile', read: 37, deleted: 3 })
  expect(rowsIn(file)).toEqual(table.items)
  clock += day / 2
  expect(only(await run({ pipeline, store, now }))).toMatchObject({ mode: 'incremental', read: 0 })
  table.items.pop()
  expect(only(await run({ pipeline, store, now, full: true }))).toMatchObject({ mode: 'reconcile', deleted: 1 })
  expect(rowsIn(file)).toEqual(table.items)
})

test('a reconciling pass that is cut off removes nothing and starts over', async () => {
  const table = newTable(items(40))
  const { file, store, pipeline } = await setUp(table)
  await run({ pipeline, store })
  table.items.splice(0, 20)
  table.onPage = ({ page }) => {
    if (page === 1) throw integrationError('timeout', { partner: 'shop', what: 'slow', details: { timeoutMs: 1 } })
  }
  const cut = await run({ pipeline, store, full: true, commitBytes: 0 })
  expect(only(cut)).toMatchObject({ status: 'failed', mode: 'reconcile', written: 10, error: { code: 'timeout' } })
  expect(cut).toMatchObject({ status: 'failed', error: { code: 'timeout' } })
  expect(rowsIn(file)).toHaveLength(40)
  table.onPage = () => {}
  expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'reconcile', read: 20, deleted: 20 })
  expect(rowsIn(file)).toEqual(table.items)
})

test('a first load that is cut off goes on at its checkpoint', async () => {
  const table = newTable(items(50))
  const { file, store, pipeline } = await setUp(table)
  table.onPage = ({ page }) => {
    if (page === 3) throw new Error('out of memory')
  }
  expect(only(await run({ pipeline, store, commitBytes: 0 }))).toMatchObject({
    status: 'failed',
    read: 30,
    written: 30,
  })
  table.onPage = () => {}
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', read: 20 })
  expect(table.reads).toEqual([undefined, { after: 29 }])
  expect(rowsIn(file)).toEqual(table.items)
})

test('records that break the schema, and those that the sink refuses, are put aside with the reason', async () => {
  const table = newTable(items(30))
  const wrong = { ...items(1, 12)[0]!, name: 7, note: 'x'.repeat(100_000) } as never
  table.items[12] = wrong
  table.items[29] = { ...table.items[29]!, name: 'refused by the sink' }
  const { file, store, pipeline } = await setUp(table)
  const result = await run({ pipeline, store })
  expect(only(result)).toMatchObject({ status: 'completed', read: 30, written: 28, quarantined: 2 })
  expect(rowsIn(file)).toHaveLength(28)
  const [last, first] = await listQuarantine(store, { run: result.id })
  expect(last).toMatchObject({ stream: 'items', field: '', reason: 'the sink does not want it', run: result.id })
  expect(JSON.parse(last?.record ?? '')).toMatchObject({ id: 29 })
  expect(first).toMatchObject({ field: 'name', pipeline: 'shop-to-lake' })
  expect(first?.reason).toMatch(/expected string/)
  expect(first?.record).toHaveLength(64 * 1024)
  expect(await listQuarantine(store, { stream: 'plain' })).toEqual([])
  expect(await listQuarantine(store, { pipeline: 'shop-to-lake', limit: 1 })).toHaveLength(1)
})

test('a reconciling pass with records put aside removes nothing and says so', async () => {
  const table = newTable(items(30))
  const { file, store, pipeline } = await setUp(table)
  await run({ pipeline, store })
  table.items.splice(0, 10)
  table.items[3] = { ...table.items[3]!, name: 7 as never }
  const result = await run({ pipeline, store, full: true })
  expect(only(result)).toMatchObject({ status: 'completed', mode: 'reconcile', quarantined: 1, deleted: 0 })
  expect(result.warnings).toEqual([expect.stringMatching(/^items: rows .* were not looked for/)])
  expect(rowsIn(file)).toHaveLength(30)
  expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 0 })
})

test('two records with one key in a batch are one row, and counted', async () => {
  const table = newTable([...items(5), { ...items(1)[0]!, at: 5, name: 'again' }])
  const { file, store, pipeline } = await setUp(table)
  expect(only(await run({ pipeline, store }))).toMatchObject({ read: 6, written: 5, deduplicated: 1 })
  expect(rowsIn(file)[0]).toMatchObject({ id: 0, name: 'again' })
})

describe('a source that no longer knows its checkpoint', () => {
  const forgetting = (source: AnyConnection): AnyConnection => ({
    ...source,
    read: (name, options) => {
      if (options?.checkpoint === undefined || 'version' in options.checkpoint) return source.read!(name, options)
      throw integrationError('invalid_input', {
        partner: 'shop',
        what: `${name}: the checkpoint is not one of this stream`,
        details: { field: 'checkpoint' },
      })
    },
  })
  test('is read from its beginning where rows are merged', async () => {
    const table = newTable(items(20))
    const { file, store, pipeline } = await setUp(table)
    await run({ pipeline, store })
    table.items.splice(0, 3)
    table.items.push(...items(5, 20))
    const result = await run({ pipeline: { ...pipeline, source: forgetting(pipeline.source) }, store })
    expect(only(result)).toMatchObject({ status: 'completed', mode: 'reconcile', read: 22 })
    expect(result.warnings).toEqual([expect.stringMatching(/^items: its source no longer knows the checkpoint/)])
    expect(rowsIn(file)).toEqual(table.items)
  })
  test('fails where rows would be doubled, and says what to do', async () => {
    const table = newTable(items(20))
    const streams = [{ stream: 'items', disposition: 'append', table: 'log' }] as const
    const { file, store, pipeline } = await setUp(table, { streams })
    await run({ pipeline, store })
    const source = forgetting(pipeline.source)
    const failed = await run({ pipeline: { ...pipeline, source }, store })
    expect(failed.error?.message).toMatch(
      /^shop: items: its source no longer knows the checkpoint, .*would double rows\. Give the stream another table than log/,
    )
    expect(rowsIn(file, 'log')).toEqual(table.items)
    const moved = [{ ...streams[0], table: 'log_2' }]
    expect(await run({ pipeline: { ...pipeline, source, streams: moved }, store })).toMatchObject({
      status: 'completed',
    })
    expect(rowsIn(file, 'log_2')).toEqual(table.items)
  })
})

test('append adds what is new; a full run says that it did not start over', async () => {
  const table = newTable(items(20))
  const { file, store, pipeline } = await setUp(table, {
    streams: [{ stream: 'items', disposition: 'append', table: 'log' }],
  })
  await run({ pipeline, store })
  table.items.push(...items(5, 20))
  const result = await run({ pipeline, store, full: true })
  expect(only(result)).toMatchObject({ table: 'log', disposition: 'append', read: 5 })
  expect(result.warnings).toEqual([expect.stringMatching(/^items: read on from its checkpoint/)])
  expect(rowsIn(file, 'log')).toEqual(table.items)
})

test('an append whose source gives no checkpoint for its last records is refused before it doubles them', async () => {
  const { file, store, pipeline } = await setUp(newTable(items(20)), {
    streams: [{ stream: 'items', disposition: 'append' }],
  })
  const { source } = pipeline
  const forgetful: AnyConnection = {
    ...source,
    read: async function* (...call) {
      for await (const { checkpoint: _checkpoint, ...batch } of source.read!(...call)) yield batch
    },
  }
  const result = await run({ pipeline: { ...pipeline, source: forgetful }, store, commitBytes: 0 })
  expect(only(result)).toMatchObject({ status: 'failed', written: 0, error: { code: 'invalid_reply' } })
  expect(rowsIn(file)).toEqual([])
})

test('a sink that does not account for every record fails the stream, and nothing is committed', async () => {
  const { file, store, pipeline } = await setUp(newTable(items(20)), { streams: ['plain'] })
  const { sink } = pipeline
  const careless: AnyConnection = {
    ...sink,
    write: async (...call) => {
      const writer = await sink.write!(...call)
      return { ...writer, write: async (batch) => ({ ...(await writer.write(batch)), rows: 9 }) }
    },
  }
  const result = await run({ pipeline: { ...pipeline, sink: careless }, store })
  expect(only(result)).toMatchObject({ status: 'failed', error: { code: 'internal' } })
  expect(only(result).error?.message).toMatch(/^lake: the sink was given 10 records and says that it stored 9/)
  expect(rowsIn(file, 'plain')).toEqual([])
})

test('a sink without transactions goes on from the checkpoint in the store', async () => {
  const table = newTable(items(30))
  const { file, store, pipeline } = await setUp(table, { sinkName: 'again' })
  await run({ pipeline, store })
  table.items.push(...items(5, 30))
  expect(only(await run({ pipeline, store }))).toMatchObject({ read: 5 })
  expect(rowsIn(file)).toEqual(table.items)
})

test('another table starts anew', async () => {
  const { file, store, pipeline } = await setUp(newTable(items(12)))
  await run({ pipeline, store })
  const streams = [{ stream: 'items', table: 'other' }]
  expect(only(await run({ pipeline: { ...pipeline, streams }, store }))).toMatchObject({ read: 12, table: 'other' })
  expect(rowsIn(file, 'other')).toHaveLength(12)
})

test('a stream that fails does not stop the others', async () => {
  const table = newTable(items(12))
  const { file, store, pipeline } = await setUp(table, { streams: ['items', 'plain'] })
  let reads = 0
  table.onPage = () => {
    reads += 1
    if (reads === 1)
      throw integrationError('forbidden', { partner: 'shop', what: 'not yours', details: { status: 403 } })
  }
  const result = await run({ pipeline, store })
  expect(result).toMatchObject({ status: 'failed', error: { code: 'forbidden', message: 'shop: not yours' } })
  expect(result.streams.map(({ status }) => status)).toEqual(['failed', 'completed'])
  expect(rowsIn(file, 'plain')).toHaveLength(12)
})

test('a signal cancels the run; what was committed stays', async () => {
  const table = newTable(items(50))
  const { file, store, pipeline } = await setUp(table, { streams: ['items', 'plain'] })
  const controller = new AbortController()
  table.onPage = ({ page }) => {
    if (page === 3) controller.abort()
  }
  const result = await run({ pipeline, store, signal: controller.signal, commitBytes: 0 })
  expect(result).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } })
  expect(result.streams.map(({ status }) => status)).toEqual(['cancelled', 'cancelled'])
  expect(rowsIn(file)).toEqual(table.items.slice(0, only(result).written))
  await expect(sync({ pipeline, store, signal: controller.signal })).rejects.toMatchObject({ code: 'cancelled' })
  table.onPage = () => {}
  await run({ pipeline, store })
  expect(rowsIn(file)).toEqual(table.items)
})

test('another process cancels a run through the store', async () => {
  const table = newTable(items(50))
  const { store, pipeline, folder } = await setUp(table)
  const other = await testStore(path.join(folder, 'state.db'))
  let id = ''
  table.onPage = async ({ page, signal }) => {
    if (page !== 2) return
    expect(await cancelRun(other, id)).toBe(true)
    await expect.poll(() => signal?.aborted, { timeout: 10_000 }).toBe(true)
  }
  const result = await run({ pipeline, store, commitBytes: 0, onStart: (started) => (id = started.id) })
  expect(result).toMatchObject({ id, status: 'cancelled' })
  expect(await cancelRun(other, id)).toBe(false)
})

test('one pipeline runs once at a time, and the refusal names the holder', async () => {
  const table = newTable(items(30))
  const { store, pipeline, folder } = await setUp(table)
  const other = await testStore(path.join(folder, 'state.db'))
  table.onPage = async ({ page }) => {
    if (page !== 1) return
    const second = sync({ pipeline, store: other })
    await expect(second).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(`process ${process.pid} `) as string,
    })
  }
  expect(await run({ pipeline, store })).toMatchObject({ status: 'completed' })
  table.onPage = () => {}
  expect(await run({ pipeline, store: other })).toMatchObject({ status: 'completed' })
  expect(await listRuns(store)).toHaveLength(2)
})

test('a run whose lease went to another process ends with conflict', async () => {
  const table = newTable(items(30))
  const { store, pipeline } = await setUp(table)
  table.onPage = async ({ page, signal }) => {
    if (page !== 1) return
    await store.db.updateTable('leases').set({ holder: 'lab/1/71/x' }).execute()
    await expect.poll(() => signal?.aborted, { timeout: 10_000 }).toBe(true)
  }
  const result = await run({ pipeline, store })
  expect(result).toMatchObject({ status: 'failed', error: { code: 'conflict' } })
  expect(result.error?.message).toMatch(/process 71 on host lab/)
})

test.each([
  ['after it told the store of its last commit', true],
  ['before it could tell the store of its last commit', false],
])(
  'a run that died %s is marked failed by the next one, which takes its lease and its checkpoint',
  async (_when, told) => {
    const table = newTable(items(50))
    const { file, store, pipeline } = await setUp(table)
    table.onPage = ({ page }) => {
      if (page === 3) throw new Error('cut')
    }
    const cut = await run({ pipeline, store, commitBytes: 0 })
    const at = Date.now()
    // As a killed process leaves it: running, its lease not given back, its counts ahead of its last commit.
    const holder = `another-host/1/1/${cut.id}`
    await store.db.updateTable('runs').set({ status: 'running', ended_at: null, holder }).execute()
    await store.db
      .updateTable('run_streams')
      .set({ status: 'running', ended_at: null, read: 49, written: 49 })
      .execute()
    await store.db
      .insertInto('leases')
      .values({ name: 'pipeline/shop-to-lake', holder, expires_at: at - 1 })
      .execute()
    if (!told) await store.db.deleteFrom('flow_state').execute()
    table.onPage = () => {}
    expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', read: 20 })
    expect(await getRun(store, cut.id)).toMatchObject({
      status: 'failed',
      error: { code: 'internal', message: 'the process ended before the run did' },
      streams: [{ status: 'failed', read: 30, written: 30 }],
    })
    expect(rowsIn(file)).toEqual(table.items)
  },
)

test('a host that starts marks the runs of processes that are gone, and no others', async () => {
  const { store, pipeline } = await setUp(newTable(items(5)))
  const gone = await run({ pipeline, store })
  const elsewhere = await run({ pipeline, store })
  await store.db.updateTable('runs').set({ status: 'running' }).execute()
  await store.db.updateTable('runs').set({ holder: 'another-host/1/1/x' }).where('id', '=', elsewhere.id).execute()
  expect(await recoverRuns(store)).toEqual([gone.id])
  expect(await getRun(store, elsewhere.id)).toMatchObject({ status: 'running' })
})

test('progress is told and stands in the store, and a watcher that throws does no harm', async () => {
  const table = newTable(items(40))
  const { store, pipeline, folder } = await setUp(table)
  const other = await testStore(path.join(folder, 'state.db'))
  let clock = 1_000_000
  const seen: Progress[] = []
  let requests = 7
  const live: unknown[] = []
  table.onPage = async () => {
    clock += 300
    requests += 1
    live.push(
      ...(await changedRuns(other, 0)).map(({ status, streams }) => [status, streams[0]?.status, streams[0]?.read]),
    )
  }
  const onProgress = (progress: Progress) => {
    seen.push(progress)
    throw new Error('a careless watcher')
  }
  const result = await run({
    pipeline: { ...pipeline, requests: () => requests },
    store,
    onProgress,
    onStart: onProgress as never,
    now: () => clock,
  })
  expect(only(result)).toMatchObject({ status: 'completed', requests: 4, durationMs: 1_200 })
  expect(seen.map(({ status, read }) => [status, read])).toEqual(
    expect.arrayContaining([
      ['running', 10],
      ['completed', 40],
    ]),
  )
  expect(live).toContainEqual(['running', 'running', 10])
  expect(await changedRuns(store, clock)).toEqual([result])
  expect(await changedRuns(store, clock + 1)).toEqual([])
  const { streams, ...summary } = result
  expect(streams.map(({ read }) => read)).toEqual([summary.totals.read])
  expect(await listRuns(store, { startsWith: result.id.slice(0, 9), pipeline: 'shop-to-lake' })).toEqual([summary])
  expect(await listRuns(store, { startsWith: `${result.id}x` })).toEqual([])
  expect(await listRuns(store, { pipeline: 'another' })).toEqual([])
})

test('what is wrong with the pipeline is thrown, and what is wrong with the source is in the run', async () => {
  const { store, pipeline } = await setUp(newTable([]))
  await expect(sync({ pipeline: { ...pipeline, streams: ['prices'] }, store })).rejects.toMatchObject({
    code: 'unsupported',
    message: 'shop: there is no stream prices. Choose one of: items, plain',
  })
  const source: AnyConnection = {
    ...pipeline.source,
    discover: async function* () {
      await Promise.resolve()
      yield* []
      throw integrationError('unavailable', { partner: 'shop', what: 'not there', details: {} })
    },
  }
  const result = await run({ pipeline: { ...pipeline, source, streams: undefined }, store })
  expect(result).toMatchObject({ status: 'failed', error: { code: 'unavailable' }, streams: [] })
})
