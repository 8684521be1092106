import { int64 } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { castOf, isRefused } from '../src/casts.ts'
import { listQuarantine, planStreams, type CastType, type Pipeline, type PipelineStream } from '../src/index.ts'
import { memorySink, ndjson, newDisk, pagesOf, rowsOn, sourceOfShelves, type Disk, type Shelf } from './memory.ts'
import { only, run, testStore } from './support.ts'

const order = z.object({
  id: z.string(),
  at: z.iso.datetime(),
  price: z.number().nullable(),
  big: int64(),
  note: z.string().optional(),
})
const shelf = (read: Shelf['read']): Shelf => ({ schema: order, primaryKey: ['id'], cursor: 'at', read })
const at = '2026-01-02T03:04:05Z'
const lines = [
  `{"id":"1","at":"${at}","price":0.5,"big":9007199254740993,"note":"a"}`,
  `{"id":"2","at":"${at}","price":null,"big":-1}`,
  `{"id":"x","at":"${at}","price":2,"big":3}`,
]

const setUp = async (disk: Disk, orders: Omit<PipelineStream, 'stream'>) => {
  const read = async function* () {
    yield await Promise.resolve(ndjson(lines, { page: 1 }))
  }
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOfShelves({ orders: shelf(read) }, { raw: true }),
    sink: memorySink(disk),
    sinkName: 'rows',
    streams: [{ stream: 'orders', ...orders }],
  }
  return { pipeline, store: await testStore() }
}

test('columns, renames and casts: exact values under new names, and the rest of the plan follows', async () => {
  const disk = newDisk()
  const { pipeline, store } = await setUp(disk, {
    columns: ['big', 'price'],
    rename: { id: 'order_id', big: 'units' },
    cast: { price: 'decimal(10,2)', units: 'string' },
  })
  const result = await run({ pipeline, store })
  expect(only(result)).toMatchObject({ status: 'completed', read: 3, written: 3, disposition: 'merge' })
  expect(rowsOn(disk, 'orders')).toEqual([
    { order_id: '1', at, price: '0.5', units: '9007199254740993' },
    { order_id: '2', at, price: null, units: '-1' },
    { order_id: 'x', at, price: '2', units: '3' },
  ])
  const [{ table }] = disk.opened as [(typeof disk.opened)[0]]
  expect(table.primaryKey).toEqual(['order_id'])
  expect(table.schema['properties']).toEqual({
    order_id: { type: 'string' },
    at: expect.objectContaining({ format: 'date-time' }) as unknown,
    price: { anyOf: [{ type: 'string', format: 'decimal', precision: 10, scale: 2 }, { type: 'null' }] },
    units: { type: 'string' },
  })
  expect(table.schema['required']).toEqual(['order_id', 'at', 'price', 'units'])
})

test('a value that cannot be cast is put aside with the field and the reason, and deleted keys follow', async () => {
  const disk = newDisk()
  const { pipeline, store } = await setUp(disk, { rename: { id: 'key' }, cast: { key: 'integer' } })
  const result = await run({ pipeline, store })
  expect(only(result)).toMatchObject({ read: 3, written: 2, quarantined: 1 })
  expect(await listQuarantine(store)).toMatchObject([
    { field: 'id', reason: 'expected a whole number, got a text that is none', record: lines[2] },
  ])
  const read = async function* () {
    yield await Promise.resolve({ ...ndjson([], { page: 2 }), deleted: [{ id: '1' }, { id: 'x' }] })
  }
  const source = sourceOfShelves({ orders: shelf(read) }, { raw: true })
  expect(only(await run({ pipeline: { ...pipeline, source }, store }))).toMatchObject({ read: 0, deleted: 1 })
  expect(rowsOn(disk, 'orders').map((row) => row['key'])).toEqual([2])
})

test('a number with more digits than a double keeps is rounded as without a rename; a cast has all of its digits', async () => {
  const sent = [`{"id":"1","at":"${at}","price":9007199254740993,"big":9007199254740993}`]
  const read = async function* () {
    yield await Promise.resolve(ndjson(sent, { page: 1 }))
  }
  const ways = [
    [{ rename: { price: 'cost' } }, ['records', 'ndjson'], { cost: 9007199254740992 }],
    [{ cast: { price: 'decimal(20,0)' } }, ['records', 'ndjson'], { price: '9007199254740993' }],
    [{}, ['records'], { price: 9007199254740992 }],
  ] as const
  for (const [wanted, accepts, expected] of ways) {
    const disk = newDisk()
    const { pipeline, store } = await setUp(disk, wanted)
    const source = sourceOfShelves({ orders: shelf(read) }, { raw: true })
    await run({ pipeline: { ...pipeline, source, sink: memorySink(disk, { accepts }) }, store })
    expect(rowsOn(disk, 'orders')).toMatchObject([{ ...expected, big: 9007199254740993n }])
  }
})

test('Arrow, which only a sink can read, is refused where columns would have to be renamed', async () => {
  const disk = newDisk()
  const { pipeline, store } = await setUp(disk, { rename: { note: 'remark' } })
  const arrow = async function* () {
    yield await Promise.resolve({ encoding: 'arrow' as const, bytes: new Uint8Array(8), count: 3 })
  }
  const result = await run({
    pipeline: {
      ...pipeline,
      source: sourceOfShelves({ orders: shelf(arrow) }, { raw: true }),
      sink: memorySink(disk, { accepts: ['arrow'] }),
    },
    store,
  })
  expect(only(result)).toMatchObject({ status: 'failed', error: { code: 'unsupported' } })
  expect(disk.batches).toEqual([])
})

test('columns alone are left to the source: bytes pass as they are', async () => {
  const disk = newDisk()
  const asked: unknown[] = []
  const { pipeline, store } = await setUp(disk, { columns: ['price'] })
  const batch = ndjson([`{"id":"1","at":"${at}","price":1}`], { page: 1 })
  const read: Shelf['read'] = async function* ({ columns }) {
    asked.push(columns)
    yield await Promise.resolve(batch)
  }
  const source = sourceOfShelves({ orders: shelf(read) }, { raw: true })
  await run({ pipeline: { ...pipeline, source }, store })
  expect(asked).toEqual([['id', 'at', 'price']])
  expect(disk.batches[0]).toBe(batch)
  expect(Object.keys(disk.opened[0]!.table.schema['properties'] as object)).toEqual(['id', 'at', 'price'])
})

const source = sourceOfShelves({ orders: shelf(pagesOf(() => [])) })
test.each([
  ['an unknown column', { columns: ['prize'] }, /columns: orders has no field prize.*id, at, price/],
  ['no column', { columns: [] }, /columns: no column is left/],
  ['an unknown field', { rename: { prize: 'p' } }, /rename: orders has no field prize/],
  ['a field that is not read', { columns: ['price'], rename: { note: 'n' } }, /no field note.*id, at, price$/],
  ['two columns of one name', { rename: { price: 'big' } }, /price and big would both be the column big/],
  ['a column without a name', { rename: { price: '' } }, /price would have no name/],
  ['a cast of an unknown column', { rename: { id: 'key' }, cast: { id: 'string' } }, /cast: orders has no field id/],
  ['an unknown type', { cast: { price: 'money' } }, /cast\.price: there is no type money/],
  ['a decimal that no table holds', { cast: { price: 'decimal(39,2)' } }, /no type decimal/],
  ['a type of every object', { cast: { price: 'toString' } }, /no type toString/],
  ['a key that could become another', { cast: { id: 'boolean' } }, /two different primary keys could become one/],
  ['a kept name with soft deletes', { deletes: 'soft', rename: { note: '_deleted_at' } }, /kept for soft deletes/],
  ['soft deletes without a merge', { deletes: 'soft', disposition: 'append' }, /only a merge/],
] as const)('refused before anything is read: %s', async (_name, wanted, message) => {
  const streams = [{ stream: 'orders', ...wanted } as never]
  await expect(planStreams(source, memorySink(newDisk()), 'rows', streams)).rejects.toMatchObject({
    code: 'invalid_config',
    message: expect.stringMatching(message) as string,
  })
})

test('deletes that a sink has not are refused, and left out by default', async () => {
  const disk = newDisk()
  const sink = memorySink(disk, { deletes: ['hard'] })
  const plan = (deletes: 'soft' | 'ignore') => planStreams(source, sink, 'rows', [{ stream: 'orders', deletes }])
  await expect(plan('soft')).rejects.toMatchObject({
    code: 'unsupported',
    message: 'lake: streams.orders.deletes: the sink has no soft deletes. Choose one of: hard, ignore',
  })
  expect(await plan('ignore')).toMatchObject([{ deletes: 'ignore' }])
})

const refused = (reason: RegExp) => ({ refused: expect.stringMatching(reason) as string })
test.each<[CastType, unknown, unknown]>([
  ['string', 12n ** 20n, String(12n ** 20n)],
  ['string', 1.5, '1.5'],
  ['string', -0, '-0'],
  ['string', true, 'true'],
  ['string', { a: [1n] }, '{"a":[1]}'],
  ['integer', '12', 12],
  ['integer', '9223372036854775807', 9223372036854775807n],
  ['integer', '9223372036854775808', refused(/64 bits/)],
  ['integer', 1.5, refused(/whole/)],
  ['integer', '007', refused(/whole/)],
  ['integer', '1.0', refused(/whole/)],
  ['integer', '-0', refused(/whole/)],
  ['integer', true, refused(/got a boolean/)],
  ['number', '1e3', 1000],
  ['number', '1e999', refused(/largest/)],
  ['number', 9007199254740993n, refused(/more digits/)],
  ['number', '9007199254740993.5', refused(/more digits/)],
  ['number', '0.12345678901234567890', refused(/more digits/)],
  ['number', '1e-400', refused(/more digits/)],
  ['number', '0.1000', 0.1],
  ['number', '-0.0', -0],
  ['number', '1234.50e-2', 12.345],
  ['number', '1152921504606846976', 2 ** 60],
  ['number', 'NaN', refused(/number/)],
  ['boolean', 'false', false],
  ['boolean', 1, true],
  ['boolean', 'yes', refused(/true or false/)],
  ['timestamp', '2026-02-30T00:00:00Z', refused(/calendar/)],
  ['timestamp', '2026-02-28T00:00:00', refused(/zone/)],
  ['timestamp', 1700000000, refused(/unit/)],
  ['timestamp', '2026-02-28T00:00:00+01:00', '2026-02-28T00:00:00+01:00'],
  ['date', '2026-02-28', '2026-02-28'],
  ['date', '2026-02-28T00:30:00+01:00', '2026-02-27'],
  ['date', '2026-13-01', refused(/calendar/)],
  ['json', { a: 1 }, { a: 1 }],
  ['decimal(5,2)', '123.45', '123.45'],
  ['decimal(5,2)', 123.456, refused(/digits behind/)],
  ['decimal(5,2)', '1234', refused(/digits before/)],
  ['decimal(38,0)', '12345678901234567890123456789012345678', '12345678901234567890123456789012345678'],
])('cast %# to %s', (type, value, expected) => {
  const made = castOf(type)(value)
  expect(made).toEqual(expected)
  expect(isRefused(made)).toBe(typeof expected === 'object' && expected !== null && 'refused' in expected)
})
