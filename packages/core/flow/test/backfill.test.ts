import {
  int64,
  integrationError,
  isIntegrationError,
  type AnyRecord,
  type Batch,
  type ReadOptions,
} from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { getRun, listRuns, sync, type Pipeline, type PipelineStream, type RunResult } from '../src/index.ts'
import { lifeOf, storeOf, type Life } from './life.ts'
import { memorySink, newDisk, pagesOf, rowsOn, sourceOfShelves, type Disk } from './memory.ts'
import { only, run, testStore } from './support.ts'

const item = z.object({ id: z.int(), at: z.string(), name: z.string() })
const day = (id: number): string => `2026-01-${String(id + 1).padStart(2, '0')}`

/** A source that keeps to the bounds of what it is asked for, five records a page. */
const shopOn = (
  disk: Disk,
  wanted: Omit<PipelineStream, 'stream'> = {},
  sinkIs: Parameters<typeof memorySink>[1] = {},
) => {
  const table = {
    rows: Array.from({ length: 28 }, (_, id): AnyRecord => ({ id, at: day(id), name: `n${id}` })),
    asked: [] as ReadOptions[],
    onPage: (_page: number): void => {},
  }
  const read = async function* (options: ReadOptions): AsyncIterable<Batch<AnyRecord>> {
    table.asked.push(options)
    const { checkpoint, since = '', until = '9' } = options
    const after = typeof checkpoint?.['after'] === 'string' ? checkpoint['after'] : ''
    const found = table.rows.filter(({ at }) => String(at) > after && String(at) >= since && String(at) < until)
    for (let page = 0; page * 5 < found.length; page += 1) {
      await Promise.resolve()
      table.onPage(page)
      const records = found.slice(page * 5, page * 5 + 5)
      yield { encoding: 'records', records, checkpoint: { after: records.at(-1)?.['at'] } }
    }
  }
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOfShelves({
      items: { schema: item, primaryKey: ['id'], cursor: 'at', read },
      plain: { schema: item, read: pagesOf(() => []) },
    }),
    sink: memorySink(disk, sinkIs),
    sinkName: 'rows',
    streams: [{ stream: 'items', ...wanted }],
  }
  return { disk, table, pipeline }
}
const setUp = async (...about: Parameters<typeof shopOn> extends [Disk, ...infer Rest] ? Rest : never) => ({
  ...shopOn(newDisk(), ...about),
  store: await testStore(),
})
const window = { since: day(5), until: day(20) }

test.each([['transaction'], ['idempotent']] as const)(
  'a window is read again and merged; the checkpoint stays where it is (%s)',
  async (commit) => {
    const { disk, table, pipeline, store } = await setUp({}, { commit })
    await run({ pipeline, store })
    const before = await store.db.selectFrom('flow_state').selectAll().execute()
    for (const row of table.rows) Object.assign(row, { name: 'edited' })
    const result = await run({ pipeline, store, backfill: window })
    expect(result.backfill).toEqual(window)
    expect(only(result)).toMatchObject({
      status: 'completed',
      mode: 'backfill',
      disposition: 'merge',
      read: 15,
      written: 15,
    })
    expect(await getRun(store, result.id)).toEqual(result)
    const edited = rowsOn(disk, 'items').filter(({ name }) => name === 'edited')
    expect(edited.map(({ at }) => at)).toEqual(Array.from({ length: 15 }, (_, index) => day(index + 5)))
    expect(await store.db.selectFrom('flow_state').selectAll().execute()).toEqual(before)
    expect(disk.opened.map(({ key }) => key)).toEqual(['p/items', `p/items#backfill/${window.since}/${window.until}`])
    expect(table.asked.at(-1)).toMatchObject({ ...window, checkpoint: undefined })
    // The stream itself goes on where it was.
    table.rows.push({ id: 28, at: '2026-02-01', name: 'new' })
    expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 1 })
    // A window that is asked for again is read again, whole.
    expect(only(await run({ pipeline, store, backfill: window }))).toMatchObject({ read: 15 })
  },
)

test.each([['transaction'], ['idempotent']] as const)(
  'a backfill that is cut off goes on where it stopped, another window does not (%s)',
  async (commit) => {
    const { table, pipeline, store } = await setUp({}, { commit })
    await run({ pipeline, store })
    table.onPage = (page) => {
      if (page === 2) throw integrationError('unavailable', { partner: 'shop', what: 'gone', details: {} })
    }
    const cut = await run({ pipeline, store, backfill: window })
    expect(only(cut)).toMatchObject({ status: 'failed', mode: 'backfill', read: 10, written: 10 })
    table.onPage = () => {}
    expect(only(await run({ pipeline, store, backfill: { since: day(5) } }))).toMatchObject({ read: 23 })
    expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 0 })
    expect(only(await run({ pipeline, store, backfill: window }))).toMatchObject({ status: 'completed', read: 5 })
    expect(await store.db.selectFrom('flow_state').select('key').execute()).toEqual([{ key: 'p/items' }])
  },
)

test.each([['transaction'], ['idempotent']] as const)(
  'killed between any two steps, a backfill ends with the window corrected and nothing else (%s)',
  async (commit) => {
    const lives = fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(lives, fc.constantFrom(0, 400, 100_000), async (steps, commitBytes) => {
        const disk = newDisk()
        const { table, pipeline } = shopOn(disk, {}, { commit })
        const store = await openStore(':memory:')
        await sync({ pipeline, store })
        const kept = await store.db.selectFrom('flow_state').selectAll().execute()
        for (const row of table.rows) Object.assign(row, { name: 'edited' })
        const backfill = async (life: Life): Promise<RunResult | undefined> => {
          disk.onStep = life.step
          table.onPage = life.step
          try {
            return await sync({ pipeline, store: storeOf(store, life), backfill: window, commitBytes })
          } catch (error) {
            if (!life.isOver()) throw error
            return undefined
          }
        }
        for (const left of steps) await backfill(lifeOf(left))
        const last = await backfill(lifeOf(Infinity))
        expect(last).toMatchObject({ status: 'completed', backfill: window })
        const names = rowsOn(disk, 'items').map(({ at, name }) => [at, name === 'edited'])
        expect(names).toEqual(table.rows.map(({ at }) => [at, String(at) >= window.since && String(at) < window.until]))
        expect(await store.db.selectFrom('flow_state').selectAll().execute()).toEqual(kept)
        expect((await listRuns(store)).filter(({ status }) => status === 'running')).toEqual([])
        await store.close()
      }),
      { numRuns: 40 },
    )
  },
)

test('a backfill removes nothing, not even of a pipeline that has never run, and a first run reads everything after it', async () => {
  const { disk, table, pipeline, store } = await setUp()
  expect(only(await run({ pipeline, store, backfill: { until: day(3) } }))).toMatchObject({ read: 3, deleted: 0 })
  table.rows.shift()
  expect(only(await run({ pipeline, store, backfill: { until: day(3) } }))).toMatchObject({ read: 2, deleted: 0 })
  expect(rowsOn(disk, 'items')).toHaveLength(3)
  expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 27 })
})

test('append takes a backfill only where doubled rows are accepted', async () => {
  const append = { disposition: 'append' } as const
  const refused = await setUp(append)
  await expect(sync({ ...refused, backfill: { ...window, streams: ['items'] } })).rejects.toMatchObject({
    code: 'invalid_config',
    message: expect.stringMatching(
      /items appends, and the rows of the window would be there twice.*allow_duplicates/,
    ) as string,
  })
  const { disk, pipeline, store } = await setUp({ ...append, allowDuplicates: true })
  await run({ pipeline, store })
  expect(only(await run({ pipeline, store, backfill: window }))).toMatchObject({ disposition: 'append', written: 15 })
  expect(rowsOn(disk, 'items')).toHaveLength(28 + 15)
})

test.each([
  ['a stream without a cursor', { ...window, streams: ['plain'] }, /plain has no cursor/],
  ['a stream that there is not', { ...window, streams: ['prices'] }, /no stream prices.*items, plain/],
  ['a window without bounds', {}, /a beginning or an end/],
  ['an empty window', { since: day(1), until: day(1) }, /the window is empty/],
] as const)('refused: %s', async (_name, backfill, message) => {
  const { pipeline, store } = await setUp()
  await expect(sync({ pipeline: { ...pipeline, streams: ['items', 'plain'] }, store, backfill })).rejects.toMatchObject(
    {
      code: 'invalid_config',
      message: expect.stringMatching(message) as string,
    },
  )
})

test('streams that cannot be read in part are left out of a backfill that names none, and the run says so', async () => {
  const { pipeline, store } = await setUp()
  const result = await run({ pipeline: { ...pipeline, streams: undefined }, store, backfill: window })
  expect(result.streams.map(({ stream }) => stream)).toEqual(['items'])
  expect(result.warnings).toEqual(['plain has no cursor, so there is no window of it: left out of the backfill'])
})

test.each([
  [day(20), day(5)],
  ['2026-01-02T01:00:00+02:00', '2026-01-01T22:00:00Z'],
  ['2026-01-02T01:00:00', '2026-01-01T22:00:00'],
])('a window that ends before it begins is refused, rather than to bring nothing: %s to %s', async (since, until) => {
  const { table, pipeline, store } = await setUp()
  await expect(run({ pipeline, store, backfill: { since, until } })).rejects.toMatchObject({ code: 'invalid_config' })
  expect(table.asked).toEqual([])
})

describe.each([
  ['integer', z.int()],
  ['int64 that has another name', int64()],
  ['number', z.number()],
  ['text', z.string()],
])('a window of a cursor that is a %s', (type, at) => {
  const isText = type === 'text'
  test.each([
    // Only the source knows how it sorts texts.
    ['20', '10', !isText],
    ['10', '9', !isText],
    ['9', '10', false],
    ['9223372036854775807', '9223372036854775806', !isText],
    ['10', '1e1', !isText],
    ['7', '7', true],
    ['-3', '2', false],
  ])('from %s to %s', async (since, until, isRefused) => {
    const asked: ReadOptions[] = []
    const source = sourceOfShelves({
      items: {
        schema: z.object({ id: z.int(), at }),
        primaryKey: ['id'],
        cursor: 'at',
        read: (options) => {
          asked.push(options)
          return pagesOf(() => [])(options)
        },
      },
    })
    const streams = [{ stream: 'items', ...(type.startsWith('int64') && { rename: { at: 'changed' } }) }]
    const pipeline = { name: 'p', source, sink: memorySink(newDisk()), sinkName: 'rows', streams }
    const store = await testStore()
    const ended = await sync({ pipeline, store, backfill: { since, until } }).then(
      ({ status }) => status,
      (error: unknown) => (isIntegrationError(error, 'invalid_config') ? error.message : error),
    )
    expect(ended).toMatch(isRefused ? /the window (ends before it begins|is empty)/ : /^completed$/)
    expect(asked).toHaveLength(isRefused ? 0 : 1)
  })
})
