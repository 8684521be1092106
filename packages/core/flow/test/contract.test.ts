import { type AnyRecord, type Discovered } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import {
  acceptChanges,
  listContracts,
  listQuarantine,
  runLineage,
  type Pipeline,
  type SchemaContract,
} from '../src/index.ts'
import { discovering, memorySink, newDisk, rowsOn } from './memory.ts'
import { only, run, testStore } from './support.ts'

const text = { type: 'string' }
const whole = { type: 'integer' }
type Properties = Readonly<Record<string, unknown>>
const tableOf = (properties: Properties, primaryKey: readonly string[] = ['id'], name = 'items'): Discovered => ({
  name,
  schema: { type: 'object', properties },
  ...(primaryKey.length > 0 && { primaryKey }),
})

/** A source whose one table is `found.tables` as long as nobody changes it. */
const setUp = async (
  contract?: SchemaContract,
  about: Partial<Pipeline> = {},
  sinkIs: Parameters<typeof memorySink>[1] = {},
) => {
  const disk = newDisk()
  const found = {
    tables: [tableOf({ id: whole, name: text })] as Discovered[],
    rows: [{ id: 1, name: 'one' }] as AnyRecord[],
  }
  const source = discovering(
    () => found.tables,
    async function* (_name, { columns }) {
      const pick = (row: AnyRecord): AnyRecord =>
        columns === undefined ? row : Object.fromEntries(Object.entries(row).filter(([key]) => columns.includes(key)))
      yield await Promise.resolve({ encoding: 'records' as const, records: found.rows.map(pick) })
    },
  )
  const pipeline: Pipeline = {
    name: 'p',
    source,
    sink: memorySink(disk, sinkIs),
    sinkName: 'rows',
    streams: [{ stream: 'items', disposition: 'merge', contract }],
    ...about,
  }
  const store = await testStore()
  return { disk, found, pipeline, store }
}
const schemaOf = (disk: ReturnType<typeof newDisk>): object => disk.opened.at(-1)?.table.schema['properties'] ?? {}

test('the first run agrees to what it finds, and the same again changes nothing', async () => {
  const { pipeline, store } = await setUp({ columns: 'freeze', types: 'freeze', tables: 'freeze' })
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', drift: [] })
  const [contract] = await listContracts(store)
  expect(contract).toMatchObject({ pipeline: 'p', stream: 'items', version: 1, primaryKey: ['id'], paused: undefined })
  expect(contract?.schema['properties']).toEqual({ id: whole, name: text })
  await run({ pipeline, store })
  expect(await listContracts(store, { pipeline: 'p' })).toEqual([contract])
  expect(await listContracts(store, { pipeline: 'q' })).toEqual([])
})

test('what may be null or missing, what may be chosen and how large a number may be is no change', async () => {
  const { found, pipeline, store } = await setUp({ columns: 'freeze', types: 'freeze' })
  found.tables = [
    tableOf({ id: whole, kind: { type: 'string', enum: ['a'] }, deep: { type: 'object', properties: { n: whole } } }),
  ]
  await run({ pipeline, store })
  const after = tableOf({
    id: { type: 'integer', minimum: 0 },
    kind: { anyOf: [{ type: 'string', enum: ['a', 'b'] }, { type: 'null' }] },
    deep: { type: ['object', 'null'], properties: { n: { $ref: '#/$defs/count' } } },
  })
  found.tables = [{ ...after, schema: { ...after.schema, $defs: { count: whole } } }]
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', drift: [] })
})

test('evolve follows: new columns, gone columns, wider types, and each is told', async () => {
  const { disk, found, pipeline, store } = await setUp()
  await run({ pipeline, store })
  found.tables = [tableOf({ id: { type: 'number' }, tags: { type: 'array', items: text } })]
  found.rows = [{ id: 2, tags: ['a'] }]
  const result = await run({ pipeline, store })
  expect(only(result)).toMatchObject({ status: 'completed', written: 1 })
  expect(only(result).drift).toEqual([
    { kind: 'type_changed', field: 'id', before: 'integer', after: 'number' },
    { kind: 'column_removed', field: 'name', before: 'string' },
    { kind: 'column_added', field: 'tags', after: 'list<string>' },
  ])
  expect(result.warnings).toEqual([
    'items: its schema has changed: id is number instead of integer; name (string) is gone; tags (list<string>) is new',
  ])
  expect(Object.keys(schemaOf(disk))).toEqual(['id', 'tags'])
  expect(await listContracts(store)).toMatchObject([{ version: 2 }])
  expect(only(await run({ pipeline, store })).drift).toEqual([])
})

test('a type that has become narrower changes nothing: the table keeps the wider one', async () => {
  const { disk, found, pipeline, store } = await setUp({ types: 'freeze' })
  found.tables = [tableOf({ id: whole, price: { type: 'number' } })]
  await run({ pipeline, store })
  const safe = { type: 'integer', minimum: -100, maximum: 100 }
  found.tables = [tableOf({ id: whole, price: safe })]
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', drift: [] })
  expect(schemaOf(disk)).toEqual({ id: whole, price: { type: 'number' } })
  // Whole numbers beyond 2^53 are more than a column of doubles can hold.
  found.tables = [tableOf({ id: whole, price: { type: 'integer', format: 'int64' } })]
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'failed' })
})

test('what the sink cannot change is told with the next step, and nothing is written', async () => {
  const { disk, found, pipeline, store } = await setUp(undefined, {}, { changes: ['add_column'] })
  await run({ pipeline, store })
  const before = rowsOn(disk, 'items')
  found.tables = [tableOf({ id: whole, name: whole, more: text })]
  const result = only(await run({ pipeline, store }))
  expect(result).toMatchObject({ status: 'failed', error: { code: 'unsupported' } })
  expect(result.error?.message).toBe(
    'lake: table items cannot follow items: name is integer instead of string. Choose columns, cast name back to string, name another table, or overwrite this one with mode full_refresh. If you have changed the table yourself, `ecokit contract accept p items`',
  )
  expect(rowsOn(disk, 'items')).toBe(before)
  const cast = [{ stream: 'items', disposition: 'merge', cast: { name: 'string' } }] as const
  found.rows = [{ id: 1, name: 7, more: 'm' }]
  expect(only(await run({ pipeline: { ...pipeline, streams: cast }, store }))).toMatchObject({ status: 'completed' })
  expect(rowsOn(disk, 'items')).toEqual([{ id: 1, name: '7', more: 'm' }])
  const overwrite = [{ stream: 'items', disposition: 'overwrite' }] as const
  expect(only(await run({ pipeline: { ...pipeline, streams: overwrite }, store }))).toMatchObject({
    status: 'completed',
  })
})

test('freeze stops the stream and no other, until the change is accepted; what is accepted holds from the next run on', async () => {
  const { disk, found, pipeline, store } = await setUp()
  const other = tableOf({ id: whole }, ['id'], 'other')
  found.tables.push(other)
  const frozen: Pipeline = { ...pipeline, streams: undefined, contract: { columns: 'freeze' } }
  await run({ pipeline: frozen, store })
  found.tables = [tableOf({ id: whole, name: text, more: text }), other]
  found.rows = [{ id: 1, name: 'one', more: 'm' }]
  const stopped = await run({ pipeline: frozen, store })
  expect(stopped.streams).toMatchObject([
    {
      stream: 'items',
      status: 'failed',
      error: { code: 'invalid_data' },
      drift: [{ kind: 'column_added', field: 'more', after: 'string' }],
    },
    { stream: 'other', status: 'completed', drift: [] },
  ])
  expect(stopped.streams[0]?.error?.message).toBe(
    "base: items is not what p has agreed to hold, and waits: more (string) is new. Accept it with `ecokit contract accept p items`, or say otherwise in the stream's contract",
  )
  expect(await listContracts(store)).toMatchObject([
    { stream: 'items', version: 1, paused: [{ kind: 'column_added', field: 'more' }] },
    { stream: 'other', paused: undefined },
  ])
  expect(await acceptChanges(store, 'p', 'other')).toBe(0)
  await expect(acceptChanges(store, 'p', 'prices')).rejects.toMatchObject({ code: 'not_found' })
  expect(await acceptChanges(store, 'p')).toBe(1)
  expect(await listContracts(store)).toMatchObject([{ stream: 'items', version: 2, paused: undefined }, {}])
  expect((await run({ pipeline: frozen, store })).status).toBe('completed')
  expect(rowsOn(disk, 'items')).toEqual(found.rows)
})

test('a change that goes away by itself ends the wait', async () => {
  const { found, pipeline, store } = await setUp({ types: 'freeze' })
  await run({ pipeline, store })
  const before = found.tables
  found.tables = [tableOf({ id: whole, name: whole })]
  expect((await run({ pipeline, store })).status).toBe('failed')
  found.tables = before
  expect((await run({ pipeline, store })).status).toBe('completed')
  expect(await listContracts(store)).toMatchObject([{ version: 1, paused: undefined }])
})

const plain = { id: 1, name: 'one', deep: { a: 1 }, list: [{ x: 1 }] }
test.each([
  {
    mode: 'discard_row',
    counts: { read: 6, written: 2, quarantined: 4 },
    rows: [plain, { ...plain, id: 3 }],
    reasons: [
      ['more', 'the contract takes no new field more'],
      ['name', 'the contract takes no integer | string for name'],
      ['deep.b', 'the contract takes no new field deep.b'],
      ['list[].x', 'the contract takes no string for list[].x'],
    ],
  },
  {
    mode: 'discard_value',
    counts: { read: 6, written: 6, quarantined: 0 },
    rows: [
      plain,
      { ...plain, id: 2 },
      { ...plain, id: 3 },
      { id: 4, deep: { a: 1 }, list: [{ x: 1 }] },
      { ...plain, id: 5 },
      { ...plain, id: 6, list: [{ x: 1 }, {}] },
    ],
    reasons: [],
  },
] as const)('$mode: what is new does not reach the table', async ({ mode, counts, rows, reasons }) => {
  const deep = (properties: Properties) => ({ type: 'object', properties })
  const items = (properties: Properties) => ({ type: 'array', items: deep(properties) })
  const { disk, found, pipeline, store } = await setUp({ columns: mode, types: mode })
  found.tables = [tableOf({ id: whole, name: text, deep: deep({ a: whole }), list: items({ x: whole }) })]
  found.rows = []
  await run({ pipeline, store })
  const agreed = schemaOf(disk)
  const name = { anyOf: [whole, text] }
  const nested = { deep: deep({ a: whole, b: whole }), list: items({ x: text }) }
  found.tables = [tableOf({ id: whole, name, ...nested, more: text })]
  found.rows = [
    plain,
    { ...plain, id: 2, more: 'm' },
    { ...plain, id: 3, more: null },
    { ...plain, id: 4, name: 4 },
    { ...plain, id: 5, deep: { a: 1, b: 2 } },
    { ...plain, id: 6, list: [{ x: 1 }, { x: 'six' }] },
  ]
  const result = only(await run({ pipeline, store }))
  expect(schemaOf(disk)).toEqual(agreed)
  expect(result.drift.map(({ kind, field }) => `${kind} ${field}`)).toEqual([
    'type_changed name',
    'column_added deep.b',
    'type_changed list[].x',
    'column_added more',
  ])
  expect(result).toMatchObject({ status: 'completed', ...counts })
  expect(rowsOn(disk, 'items')).toEqual(rows)
  const aside = await listQuarantine(store)
  expect(aside.map(({ field, reason }) => [field, reason]).toReversed()).toEqual(reasons)
  // What is not taken stays new, run after run, and the contract stays as it is.
  expect(await listContracts(store)).toMatchObject([{ version: 1 }])
  expect(only(await run({ pipeline, store })).drift).toHaveLength(4)
})

test('a lost key stops the stream whatever its contract says, also where no plan is possible without it', async () => {
  const { found, pipeline, store } = await setUp()
  for (const disposition of ['merge', undefined] as const) {
    const name = `p-${disposition ?? 'default'}`
    const own: Pipeline = { ...pipeline, name, streams: [{ stream: 'items', disposition }] }
    found.tables = [tableOf({ id: whole, name: text })]
    await run({ pipeline: own, store })
    found.tables = [tableOf({ name: text }, [])]
    const result = only(await run({ pipeline: own, store }))
    expect(result).toMatchObject({ status: 'failed', error: { code: 'invalid_data' } })
    expect(result.drift).toContainEqual({ kind: 'key_lost', field: 'id', before: 'id' })
    expect(result.error?.message).toMatch(/its primary key \(id\) is gone.*--full$/)
    found.tables = [tableOf({ id: whole, name: text }, ['id', 'name'])]
    expect(only(await run({ pipeline: own, store })).drift).toEqual([
      { kind: 'key_lost', field: 'id', before: 'id', after: 'id, name' },
    ])
    expect(await acceptChanges(store, name)).toBe(1)
    expect(await run({ pipeline: own, store })).toMatchObject({ status: 'completed' })
  }
})

test('a column that the pipeline names and the source has lost stops the stream, not the run', async () => {
  const { found, pipeline, store } = await setUp()
  const own: Pipeline = { ...pipeline, streams: [{ stream: 'items', columns: ['name'] }] }
  await run({ pipeline: own, store })
  found.tables = [tableOf({ id: whole })]
  expect(only(await run({ pipeline: own, store }))).toMatchObject({
    status: 'failed',
    drift: [{ kind: 'column_removed', field: 'name' }],
  })
})

test.each([
  { mode: 'evolve', status: 'completed', read: 1, accepted: 0 },
  { mode: 'freeze', status: 'failed', read: 0, accepted: 1 },
  { mode: 'discard_row', status: 'completed', read: 0, accepted: 0 },
  { mode: 'discard_value', status: 'completed', read: 0, accepted: 0 },
] as const)('a stream that is new, where the pipeline names none: $mode', async ({ mode, status, read, accepted }) => {
  const { disk, found, pipeline, store } = await setUp()
  const own: Pipeline = { ...pipeline, streams: undefined, contract: { tables: mode } }
  await run({ pipeline: own, store })
  found.tables.push(tableOf({ id: whole }, ['id'], 'fresh'))
  const { id, streams } = await run({ pipeline: own, store })
  const told = (await runLineage(store, id)).filter(({ job }) => job.name === 'p.fresh')
  // Of a table that is left out nothing is told, least of all that it was replaced.
  expect(told.length > 0).toBe(read > 0)
  const drift = [{ kind: 'table_added', field: 'fresh' }]
  expect(streams).toMatchObject([{ status: 'completed' }, { stream: 'fresh', status, read, drift }])
  expect(disk.tables.has('fresh')).toBe(read > 0)
  expect(await acceptChanges(store, 'p')).toBe(accepted)
  expect((await run({ pipeline: own, store })).status).toBe('completed')
})

test.each(['freeze', 'discard_row'] as const)(
  'a first run that is cut off makes no stream a new one: %s',
  async (mode) => {
    const { disk, found, pipeline, store } = await setUp()
    found.tables.push(tableOf({ id: whole }, ['id'], 'second'))
    const own: Pipeline = { ...pipeline, streams: undefined, contract: { tables: mode } }
    const controller = new AbortController()
    disk.onStep = (step) => {
      if (step === 'committed') controller.abort()
    }
    expect((await run({ pipeline: own, store, signal: controller.signal })).status).toBe('cancelled')
    expect(disk.tables.has('second')).toBe(false)
    disk.onStep = () => {}
    const next = await run({ pipeline: own, store })
    expect(next).toMatchObject({ status: 'completed', streams: [{ drift: [] }, { stream: 'second', drift: [] }] })
    expect(disk.tables.has('second')).toBe(true)
    found.tables.push(tableOf({ id: whole }, ['id'], 'third'))
    expect((await run({ pipeline: own, store })).streams[2]).toMatchObject({ drift: [{ kind: 'table_added' }] })
    expect(disk.tables.has('third')).toBe(false)
  },
)
