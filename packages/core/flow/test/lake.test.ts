import path from 'node:path'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { deletedAt, int64, type AnyConnection, type AnyRecord, type Batch } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { listContracts, type Pipeline } from '../src/index.ts'
import { recordsOf } from '../src/lines.ts'
import { ndjson, pagesOf, sourceOfShelves, type Shelf } from './memory.ts'
import { only, run, temporaryFolder, testStore } from './support.ts'

const order = z.object({ id: z.int(), at: z.int(), name: z.string(), big: int64(), price: z.string() })
const orders = (count: number, name = 'n'): AnyRecord[] =>
  Array.from({ length: count }, (_, id) => ({
    id,
    at: id,
    name: `${name}${id}`,
    big: 2n ** 53n + BigInt(id),
    price: `${id}.50`,
  }))
const lineOf = ({ id, at, name, big, price }: AnyRecord): string =>
  `{"id":${id as number},"at":${at as number},"name":"${name as string}","big":${String(big)},"price":"${price as string}"}`

/** Everything as proven bytes, in pages, between the bounds that are asked for. */
const provenPages = (rows: () => readonly AnyRecord[]): Shelf['read'] =>
  async function* ({ checkpoint, since, until }) {
    const after = typeof checkpoint?.['after'] === 'number' ? checkpoint['after'] : -1
    const found = rows().filter(
      ({ at }) => Number(at) > after && Number(at) >= Number(since ?? -1) && Number(at) < Number(until ?? Infinity),
    )
    for (let from = 0; from < found.length; from += 10) {
      const page = found.slice(from, from + 10)
      yield await Promise.resolve(ndjson(page.map(lineOf), { after: page.at(-1)?.['at'] }))
    }
  }
const setUp = async (more: Partial<Pipeline> = {}) => {
  const folder = await temporaryFolder()
  const lake = connect(local, {
    name: 'lake',
    config: { database: path.join(folder, 'lake.duckdb'), folder: path.join(folder, 'files') },
  }) as AnyConnection
  onTestFinished(() => lake.close())
  const table = { rows: orders(45) }
  const shelf: Shelf = { schema: order, primaryKey: ['id'], cursor: 'at', read: provenPages(() => table.rows) }
  const source = sourceOfShelves({ orders: shelf }, { raw: true })
  const pipeline: Pipeline = { name: 'p', source, sink: lake, sinkName: 'tables', ...more }
  return { lake, table, pipeline, store: await testStore() }
}
const rowsOf = async (lake: AnyConnection, table = 'orders'): Promise<readonly AnyRecord[]> => {
  const rows: AnyRecord[] = []
  for await (const batch of lake.read?.(table) ?? []) rows.push(...(recordsOf(batch)?.records ?? []))
  return rows.toSorted((one, other) => Number(one['id']) - Number(other['id']))
}

test('soft deletes in DuckDB: what is gone is marked by a whole pass, and by no other; what comes back is cleared', async () => {
  const { lake, table, pipeline, store } = await setUp({ streams: [{ stream: 'orders', deletes: 'soft' }] })
  await run({ pipeline, store })
  const gone = table.rows.splice(3, 2)
  const marked = async () => (await rowsOf(lake)).filter((row) => row[deletedAt] != null).map(({ id }) => Number(id))
  await run({ pipeline, store })
  expect(await marked()).toEqual([])
  await run({ pipeline, store, backfill: { since: '0', until: '9' } })
  expect(await marked()).toEqual([])
  expect(only(await run({ pipeline, store, full: true }))).toMatchObject({ mode: 'reconcile', read: 43 })
  expect(await marked()).toEqual([3, 4])
  table.rows.push(...gone)
  await run({ pipeline, store, full: true })
  expect(await marked()).toEqual([])
  expect(await rowsOf(lake)).toHaveLength(45)
})

test('a backfill into DuckDB corrects a window and leaves the checkpoint that lies with the rows', async () => {
  const { lake, table, pipeline, store } = await setUp()
  await run({ pipeline, store })
  table.rows = orders(50, 'edited')
  expect(only(await run({ pipeline, store, backfill: { since: '10', until: '20' } }))).toMatchObject({
    mode: 'backfill',
    written: 10,
  })
  expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 5 })
  const edited = (await rowsOf(lake))
    .filter(({ name }) => String(name).startsWith('edited'))
    .map(({ id }) => Number(id))
  expect(edited).toEqual([...Array.from({ length: 10 }, (_, index) => index + 10), 45, 46, 47, 48, 49])
})

test.each(['tables', 'parquet', 'ndjson', 'csv'])(
  'columns, renames and casts keep every value exact in %s',
  async (sinkName) => {
    const { lake, table, pipeline, store } = await setUp({
      sinkName,
      streams: [
        {
          stream: 'orders',
          columns: ['id', 'big', 'price'],
          rename: { id: 'order', big: 'units' },
          cast: { price: 'decimal(10,2)' },
          disposition: 'overwrite',
        },
      ],
    })
    expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', written: 45 })
    const rows = (await rowsOf(lake)).toSorted((one, other) => Number(one['order']) - Number(other['order']))
    expect(
      rows.map((row) => [
        Number(row['order']),
        BigInt(row['units'] as bigint | number),
        Number(row['price']).toFixed(2),
      ]),
    ).toEqual(table.rows.map(({ id, big, price }) => [id, big, price]))
    expect(Object.keys(rows[0] ?? {})).toEqual(['order', 'at', 'units', 'price'])
  },
)

test.each(['tables', 'parquet'])(
  'a new column is followed by %s; a new type is refused with what to do, and a cast mends it',
  async (sinkName) => {
    const { lake, pipeline, store } = await setUp({ sinkName, streams: [{ stream: 'orders', disposition: 'append' }] })
    await run({ pipeline, store })
    const changed = (schema: z.ZodObject, row: AnyRecord): AnyConnection => {
      const read = async function* (): AsyncIterable<Batch<AnyRecord>> {
        yield await Promise.resolve({ encoding: 'records', records: [row], checkpoint: { after: 99 } })
      }
      return sourceOfShelves({ orders: { schema, primaryKey: ['id'], cursor: 'at', read } })
    }
    const [row = {}] = orders(1)
    const wider = changed(order.extend({ note: z.string().optional() }), { ...row, id: 100, note: 'new' })
    const result = only(await run({ pipeline: { ...pipeline, source: wider }, store }))
    expect(result).toMatchObject({
      status: 'completed',
      drift: [{ kind: 'column_added', field: 'note', after: 'string' }],
    })
    expect((await rowsOf(lake)).at(-1)).toMatchObject({ note: 'new' })
    expect(await listContracts(store)).toMatchObject([{ version: 2, paused: undefined }])
    const typed = {
      ...pipeline,
      source: changed(order.extend({ note: z.string(), name: z.int() }), { ...row, id: 101, note: 'x', name: 7 }),
    }
    expect(only(await run({ pipeline: typed, store }))).toMatchObject({
      status: 'failed',
      error: { code: 'unsupported' },
    })
    const cast = [{ stream: 'orders', disposition: 'append', cast: { name: 'string' } }] as const
    expect(only(await run({ pipeline: { ...typed, streams: cast }, store }))).toMatchObject({
      status: 'completed',
      drift: [],
    })
    expect((await rowsOf(lake)).at(-1)).toMatchObject({ name: '7' })
  },
)

test('a pass over everything that brings nothing empties the table, as the source says', async () => {
  const { lake, pipeline, store } = await setUp()
  await run({ pipeline, store })
  const empty = sourceOfShelves({
    orders: { schema: order, primaryKey: ['id'], cursor: 'at', read: pagesOf(() => []) },
  })
  expect(only(await run({ pipeline: { ...pipeline, source: empty }, store, full: true }))).toMatchObject({
    deleted: 45,
  })
  expect(await rowsOf(lake)).toEqual([])
})
