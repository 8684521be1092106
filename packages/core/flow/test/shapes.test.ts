import { DatabaseSync } from 'node:sqlite'
import path from 'node:path'
import { integrationError, type AnyRecord, type Batch } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { listRuns, recoverRuns, sync, type Pipeline } from '../src/index.ts'
import { memorySink, ndjson, newDisk, pagesOf, rowsOn, sourceOfShelves, type Shelf } from './memory.ts'
import { items, newTable, only, rowsIn, run, sinkOf, sourceOf, temporaryFolder, testStore } from './support.ts'

const item = z.object({ id: z.int(), text: z.string().optional() })
const keyed = (read: Shelf['read']): Shelf => ({ schema: item, primaryKey: ['id'], cursor: 'id', read })
const newGate = () => {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}
const setUp = async (shelves: Readonly<Record<string, Shelf>>, more: Partial<Pipeline> = {}) => {
  const disk = newDisk()
  const source = sourceOfShelves(shelves)
  const pipeline: Pipeline = { name: 'p', source, sink: memorySink(disk), sinkName: 'rows', ...more }
  return { disk, pipeline, store: await testStore() }
}

test('so many streams at a time and no more, each with its own account', async () => {
  let running = 0
  let most = 0
  let requests = 0
  const meeting = newGate()
  const shelves = Object.fromEntries(
    Array.from({ length: 9 }, (_, index) => {
      const read: Shelf['read'] = async function* () {
        running += 1
        most = Math.max(most, running)
        requests += index + 1
        // Nobody goes on before three are there, which happens only where three may be.
        if (running === 3) meeting.open()
        await meeting.opened
        yield { encoding: 'records', records: Array.from({ length: index }, (_none, id) => ({ id })) }
        running -= 1
      }
      return [`s${index}`, keyed(read)]
    }),
  )
  const { disk, pipeline, store } = await setUp(shelves, { parallel: 3, requests: () => requests })
  const result = await run({ pipeline, store })
  expect(most).toBe(3)
  expect(result.status).toBe('completed')
  expect(result.streams.map(({ stream, written }) => [stream, written])).toEqual(
    Array.from({ length: 9 }, (_, index) => [`s${index}`, index]),
  )
  expect(result.streams.reduce((sum, stream) => sum + stream.requests, 0)).toBe(45)
  expect(rowsOn(disk, 's8')).toHaveLength(8)
})

test('streams side by side fail alone and are cancelled together', async () => {
  const controller = new AbortController()
  const waits: Shelf['read'] = async function* ({ signal }) {
    yield { encoding: 'records', records: [{ id: 1 }], checkpoint: { id: 1 } }
    await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))))
  }
  const fails: Shelf['read'] = async function* () {
    yield await Promise.reject(integrationError('forbidden', { partner: 'shop', what: 'not yours', details: {} }))
  }
  const committed = newGate()
  const ends: Shelf['read'] = async function* () {
    await committed.opened
    controller.abort()
    yield { encoding: 'records', records: [{ id: 1 }] }
  }
  const { disk, pipeline, store } = await setUp(
    { a: keyed(waits), b: keyed(fails), c: keyed(waits), d: keyed(ends), e: keyed(ends) },
    { parallel: 4 },
  )
  let commits = 0
  disk.onStep = (step) => {
    commits += step === 'committed' ? 1 : 0
    if (commits === 2) committed.open()
  }
  const result = await run({ pipeline, store, signal: controller.signal, commitBytes: 0 })
  expect(result.status).toBe('cancelled')
  expect(result.streams.map(({ status, written }) => [status, written])).toEqual([
    ['cancelled', 1],
    ['failed', 0],
    ['cancelled', 1],
    ['cancelled', 0],
    ['cancelled', 0],
  ])
  const refused = sync({ pipeline: { ...pipeline, parallel: 0 }, store })
  await expect(refused).rejects.toMatchObject({ code: 'invalid_config' })
})

test('a source that does not listen holds up no cancelled run', async () => {
  const controller = new AbortController()
  const read: Shelf['read'] = async function* () {
    yield { encoding: 'records', records: [{ id: 1 }], checkpoint: { id: 1 } }
    controller.abort()
    await new Promise(() => {})
  }
  const { pipeline, store } = await setUp({ items: keyed(read) })
  expect(await run({ pipeline, store, signal: controller.signal })).toMatchObject({ status: 'cancelled' })
})

test('a pipeline of a thousand streams', async () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `s${index}`)
  const read = pagesOf(() => [[{ id: 1 }], [{ id: 2 }]])
  const { disk, pipeline, store } = await setUp(Object.fromEntries(names.map((name) => [name, keyed(read)])), {
    parallel: 8,
  })
  const result = await sync({ pipeline, store })
  expect(result.status).toBe('completed')
  expect(result.streams.map(({ stream }) => stream)).toEqual(names)
  expect(result.streams.every(({ read: count, written }) => count === 2 && written === 2)).toBe(true)
  expect(disk.tables.size).toBe(1_000)
}, 60_000)

test('a record of 20 MB, as bytes and as an object, written and put aside', async () => {
  const text = 'x'.repeat(20_000_000)
  const lines = [`{"id":1,"text":"${text}"}`, `{"id":2,"text":"${text}"}`]
  const read: Shelf['read'] = async function* () {
    yield await Promise.resolve(ndjson(lines, { page: 1 }))
    yield {
      encoding: 'records',
      records: [
        { id: 3, text },
        { id: 4, text },
      ],
      checkpoint: { page: 2 },
    }
  }
  const { disk, pipeline, store } = await setUp({})
  disk.refuses = ({ id }) => (Number(id) % 2 === 0 ? 'even' : undefined)
  const source = sourceOfShelves({ items: keyed(read) }, { raw: true })
  expect(only(await run({ pipeline: { ...pipeline, source }, store }))).toMatchObject({ written: 2, quarantined: 2 })
  expect(rowsOn(disk, 'items')).toEqual([1, 3].map((id) => ({ id, text })))
  const kept = await store.db.selectFrom('quarantine').select('record').execute()
  expect(kept.map(({ record }) => record.length)).toEqual([65_536, 65_536])
})

test('an empty stream, a page of one record, and pages without records', async () => {
  const { disk, pipeline, store } = await setUp({
    empty: keyed(pagesOf(() => [])),
    one: keyed(pagesOf(() => [[{ id: 1 }]])),
    gaps: keyed(pagesOf(() => [[], [{ id: 1 }], [], [], [{ id: 2 }], []])),
    whole: { schema: item, read: pagesOf(() => []) },
  })
  disk.tables.set('whole', [{ id: 7 }])
  const result = await run({ pipeline, store })
  expect(result.streams.map(({ status, read }) => [status, read])).toEqual([
    ['completed', 0],
    ['completed', 1],
    ['completed', 2],
    ['completed', 0],
  ])
  // Everything was read, and there is nothing: that is what the table now says.
  expect(rowsOn(disk, 'whole')).toEqual([])
})

test.each([
  ['one page', 1, true],
  ['three pages in turn', 3, true],
  ['one page without a key', 1, false],
] as const)('a source that gives %s for ever is ended', async (_name, length, hasKey) => {
  let pages = 0
  const read: Shelf['read'] = async function* () {
    for (;;) {
      pages += 1
      const id = pages % length
      yield await Promise.resolve<Batch<AnyRecord>>({ encoding: 'records', records: [{ id }], checkpoint: { id } })
    }
  }
  const shelf = hasKey ? keyed(read) : { schema: item, read }
  const { pipeline, store } = await setUp({ items: shelf })
  expect(only(await run({ pipeline, store }))).toMatchObject({
    status: 'failed',
    error: { code: 'invalid_reply', message: expect.stringMatching(/^shop: items: .*goes in circles/) as string },
  })
  expect(pages).toBeLessThan(hasKey ? 300 : 3_000)
})

test('a source that gives nothing for ever is ended, and one that gives nothing for long is not', async () => {
  const nothing: Shelf['read'] = async function* () {
    for (;;) yield await Promise.resolve<Batch<AnyRecord>>({ encoding: 'records', records: [], checkpoint: { at: 1 } })
  }
  const patient: Shelf['read'] = async function* () {
    for (let page = 0; page < 3_000; page += 1)
      yield await Promise.resolve<Batch<AnyRecord>>({ encoding: 'records', records: page === 2_999 ? [{ id: 1 }] : [] })
  }
  const { pipeline, store } = await setUp({ nothing: keyed(nothing), patient: keyed(patient) })
  expect((await run({ pipeline, store })).streams).toMatchObject([
    { status: 'failed', error: { code: 'invalid_reply' } },
    { status: 'completed', written: 1 },
  ])
})

test('records that look alike are no circle: checkpoints that move, values that differ, a few repeats', async () => {
  const same = Array.from({ length: 600 }, () => [{ id: 1 }])
  const differ: Shelf['read'] = async function* () {
    for (let id = 0; id < 600; id += 1)
      yield await Promise.resolve<Batch<AnyRecord>>({
        encoding: 'records',
        records: [{ id: id % 2, text: String(1_000 + id) }],
        checkpoint: { still: true },
      })
  }
  const { pipeline, store } = await setUp({
    moving: keyed(pagesOf(() => same)),
    differing: keyed(differ),
    keyless: {
      schema: item,
      read: async function* () {
        for (const records of same) yield await Promise.resolve({ encoding: 'records' as const, records })
      },
    },
  })
  expect((await run({ pipeline, store })).streams.map(({ status, read }) => [status, read])).toEqual(
    Array.from({ length: 3 }, () => ['completed', 600]),
  )
})

test('a clock that jumps an hour forth and back neither ends a run nor keeps it from committing', async () => {
  const hour = 3_600_000
  const table = newTable(items(60))
  const folder = await temporaryFolder()
  const file = path.join(folder, 'sink.db')
  const store = await testStore()
  let clock = 1_800_000_000_000
  const reads: number[] = []
  table.onPage = ({ page }) => {
    clock += [0, hour, -2 * hour, hour][page % 4] ?? 0
    reads.push(rowsIn(file).length)
  }
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOf(table),
    sink: sinkOf(file),
    sinkName: 'tables',
    streams: ['items'],
    reconcileEveryMs: 24 * hour,
  }
  const result = only(await run({ pipeline, store, now: () => clock }))
  expect(result).toMatchObject({ status: 'completed', written: 60 })
  expect(result.durationMs).toBeGreaterThanOrEqual(0)
  // Rows became visible on the way, whatever the clock said.
  expect(reads.some((count) => count > 0)).toBe(true)
  clock -= hour
  expect(only(await run({ pipeline, store, now: () => clock }))).toMatchObject({ status: 'completed' })
})

test('a run of a process that is there is not taken for dead because the clock was put forward', async () => {
  const store = await testStore()
  const { pipeline } = await setUp({ items: keyed(pagesOf(() => [[{ id: 1 }]])) })
  let recovered: readonly string[] = ['never asked']
  const disk = newDisk()
  disk.onStep = () => {}
  const read: Shelf['read'] = async function* () {
    recovered = await recoverRuns(store, { now: () => Date.now() + 3_600_000 })
    yield { encoding: 'records', records: [{ id: 1 }], checkpoint: { id: 1 } }
  }
  const source = sourceOfShelves({ items: keyed(read) })
  expect(await run({ pipeline: { ...pipeline, source }, store })).toMatchObject({ status: 'completed' })
  expect(recovered).toEqual([])
})

test('a store that is locked for a while is waited for', async () => {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'state.db')
  const store = await testStore(file)
  const other = new DatabaseSync(file)
  const table = newTable(items(50))
  table.onPage = ({ page }) => {
    if (page !== 1) return
    other.exec('BEGIN IMMEDIATE')
    setTimeout(() => other.exec('COMMIT'), 300)
  }
  const sink = path.join(folder, 'sink.db')
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOf(table),
    sink: sinkOf(sink),
    sinkName: 'again',
    streams: ['items'],
  }
  expect(only(await run({ pipeline, store, commitBytes: 0 }))).toMatchObject({ status: 'completed', written: 50 })
  other.close()
  expect(rowsIn(sink)).toEqual(table.items)
})

test('a store that is lost on the way ends the run with a typed error, and the next one goes on', async () => {
  const store = await testStore()
  const disk = newDisk()
  const pages = Array.from({ length: 6 }, (_, page) => [{ id: page }])
  const source = sourceOfShelves({ items: keyed(pagesOf(() => pages)) })
  const pipeline: Pipeline = { name: 'p', source, sink: memorySink(disk, { commit: 'idempotent' }), sinkName: 'rows' }
  let lost = false
  disk.onStep = (step) => {
    if (step === 'committed') lost = true
  }
  const failing = {
    ...store,
    db: store.db.withPlugin({
      transformQuery: ({ node }) => {
        if (lost) throw integrationError('unavailable', { what: 'the state database is gone', details: {} })
        return node
      },
      transformResult: ({ result }) => Promise.resolve(result),
    }),
  }
  await expect(sync({ pipeline, store: failing, commitBytes: 0 })).rejects.toMatchObject({ code: 'unavailable' })
  expect(rowsOn(disk, 'items')).toHaveLength(1)
  disk.onStep = () => {}
  expect(await run({ pipeline, store })).toMatchObject({ status: 'completed' })
  expect(rowsOn(disk, 'items')).toHaveLength(6)
  expect((await listRuns(store)).map(({ status }) => status)).toEqual(['completed', 'failed'])
})
