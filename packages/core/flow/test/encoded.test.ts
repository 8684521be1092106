import path from 'node:path'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { int64, type AnyConnection, type AnyRecord } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { listQuarantine, type Pipeline, type Progress } from '../src/index.ts'
import { memorySink, ndjson, newDisk, rowsOn, sourceOfShelves, type Disk, type Shelf } from './memory.ts'
import { only, run, temporaryFolder, testStore } from './support.ts'

const item = z.object({ id: z.int(), name: z.string(), big: int64() })
const line = (id: number, name = `item ${id}`): string =>
  `{"id":${id},"name":${JSON.stringify(name)},"big":${2n ** 62n + BigInt(id)}}`

const shelf = (batches: readonly ReturnType<typeof ndjson>[]): Shelf => ({
  schema: item,
  primaryKey: ['id'],
  cursor: 'id',
  read: async function* () {
    await Promise.resolve()
    yield* batches
  },
})
const setUp = async (disk: Disk, batches: readonly ReturnType<typeof ndjson>[], more: Partial<Pipeline> = {}) => {
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOfShelves({ items: shelf(batches) }, { raw: true }),
    sink: memorySink(disk),
    sinkName: 'rows',
    ...more,
  }
  return { pipeline, store: await testStore() }
}

test('proven bytes reach the sink as they are, and are counted exactly', async () => {
  const disk = newDisk()
  const batches = [ndjson([line(1), line(2, 'Grüße 💡')], { page: 1 }), ndjson([line(3)], { page: 2 })]
  const { pipeline, store } = await setUp(disk, batches)
  const result = await run({ pipeline, store })
  expect(disk.batches).toEqual(batches)
  for (const [index, batch] of batches.entries()) expect(disk.batches[index]).toBe(batch)
  const bytes = batches.reduce((sum, batch) => sum + (batch.encoding === 'ndjson' ? batch.bytes.byteLength : 0), 0)
  expect(only(result)).toMatchObject({ read: 3, written: 3, bytes })
})

test('lines that the sink refuses are put aside with their own text', async () => {
  const disk = newDisk()
  disk.refuses = (record) => (Number(record['id']) % 3 === 0 ? 'thirds are not taken' : undefined)
  const lines = Array.from({ length: 10 }, (_, id) => line(id, `"${id}"`))
  const spaced = ndjson([...lines.slice(0, 5), '', '  ', ...lines.slice(5)], { page: 1 })
  const { pipeline, store } = await setUp(disk, [{ ...spaced, count: 10 } as typeof spaced])
  expect(only(await run({ pipeline, store }))).toMatchObject({ read: 10, written: 6, quarantined: 4 })
  const found = await listQuarantine(store)
  expect(found.map(({ record }) => record).toSorted()).toEqual([0, 3, 6, 9].map((id) => lines[id]))
  expect(found[0]).toMatchObject({ reason: 'thirds are not taken', field: '' })
})

test('thousands of refused lines are kept, each under its own reason and in order', async () => {
  const disk = newDisk()
  disk.refuses = ({ id }) => (Number(id) % 2 === 0 ? `${Number(id)} is even` : undefined)
  const batches = [0, 1, 2].map((page) =>
    ndjson(
      Array.from({ length: 1_700 }, (_, index) => line(page * 1_700 + index)),
      { page: page + 1 },
    ),
  )
  const { pipeline, store } = await setUp(disk, batches)
  const result = await run({ pipeline, store })
  expect(only(result)).toMatchObject({ read: 5_100, written: 2_550, quarantined: 2_550 })
  const found = (await listQuarantine(store, { limit: 10_000 })).toReversed()
  expect(found.map(({ record, reason }) => [record, reason])).toEqual(
    Array.from({ length: 2_550 }, (_, index) => [line(2 * index), `${2 * index} is even`]),
  )
  expect(
    found.every(({ stream, pipeline: name, run: id }) => stream === 'items' && name === 'p' && id === result.id),
  ).toBe(true)
})

test('a sink that takes no bytes gets the same values as objects', async () => {
  const disk = newDisk()
  const batches = [ndjson([line(1), line(2)], { page: 1 })]
  const { pipeline, store } = await setUp(disk, batches, { sink: memorySink(disk, { accepts: ['records'] }) })
  expect(only(await run({ pipeline, store }))).toMatchObject({ read: 2, written: 2 })
  expect(disk.batches).toMatchObject([{ encoding: 'records', checkpoint: { page: 1 } }])
  expect(rowsOn(disk, 'items')).toEqual([1, 2].map((id) => ({ id, name: `item ${id}`, big: 2n ** 62n + BigInt(id) })))
})

test('lines that are no records are put aside where they must be read, and none is lost', async () => {
  const disk = newDisk()
  const bytes = Buffer.concat([
    Buffer.from(`${line(1)}\n{"id":\n[2]\n`),
    Buffer.from([0x22, 0xff, 0x22, 10]),
    Buffer.from(line(2)),
  ])
  const batch = { encoding: 'ndjson', bytes, count: 5, checkpoint: { page: 1 } } as const
  const { pipeline, store } = await setUp(disk, [batch], { sink: memorySink(disk, { accepts: ['records'] }) })
  expect(only(await run({ pipeline, store }))).toMatchObject({ read: 5, written: 2, quarantined: 3 })
  expect((await listQuarantine(store)).map(({ reason }) => reason)).toEqual(['not UTF-8', 'not an object', 'not JSON'])
})

test('a sink that does not account for every line fails the stream', async () => {
  const disk = newDisk()
  const wrong = { ...ndjson([line(1), line(2)], { page: 1 }), count: 3 } as ReturnType<typeof ndjson>
  const { pipeline, store } = await setUp(disk, [wrong], { streams: [{ stream: 'items', disposition: 'append' }] })
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'failed', error: { code: 'internal' } })
  expect(rowsOn(disk, 'items')).toEqual([])
})

test('a real lake holds the values of the bytes, each exact', async () => {
  const folder = await temporaryFolder()
  const lake = connect(local, { name: 'lake', config: { database: path.join(folder, 'lake.duckdb') } }) as AnyConnection
  onTestFinished(() => lake.close())
  const batches = [ndjson([line(1), line(2, 'Grüße 💡')], { page: 1 }), ndjson([line(1, 'again')], { page: 2 })]
  const { pipeline, store } = await setUp(newDisk(), batches, { sink: lake, sinkName: 'tables' })
  expect(only(await run({ pipeline, store }))).toMatchObject({ status: 'completed', read: 3 })
  const rows: AnyRecord[] = []
  const { recordsOf } = await import('../src/lines.ts')
  for await (const batch of lake.read!('items')) rows.push(...(recordsOf(batch)?.records ?? []))
  expect(rows.map(({ name, big }) => [name, String(big)]).toSorted()).toEqual([
    ['Grüße 💡', String(2n ** 62n + 2n)],
    ['again', String(2n ** 62n + 1n)],
  ])
})

test('progress and the store are told by time, not by batch', async () => {
  const disk = newDisk()
  const batches = Array.from({ length: 500 }, (_, id) => ndjson([line(id)], { page: id + 1 }))
  const { pipeline, store } = await setUp(disk, batches)
  let clock = 1_000_000
  let told: Progress[] = []
  const counted = { updates: 0 }
  const watched = {
    ...store,
    db: store.db.withPlugin({
      transformQuery: ({ node }) => {
        if (node.kind === 'UpdateQueryNode') counted.updates += 1
        return node
      },
      transformResult: ({ result }) => Promise.resolve(result),
    }),
  }
  const count = async (name: string, perBatchMs: number) => {
    disk.onStep = (step) => {
      if (step === 'write') clock += perBatchMs
    }
    told = []
    counted.updates = 0
    const onProgress = (progress: Progress) => told.push(progress)
    await run({ pipeline: { ...pipeline, name }, store: watched, commitBytes: 0, now: () => clock, onProgress })
    return { told: told.length, updates: counted.updates }
  }
  const fast = await count('fast', 0)
  const slow = await count('slow', 50)
  // 25 s of batches, all of them committed: about four a second are told, whatever the number of batches.
  expect(fast.told).toBeLessThan(5)
  expect(fast.updates).toBeLessThan(30)
  expect(slow.told).toBeGreaterThan(50)
  expect(slow.told).toBeLessThanOrEqual(25 * 4 + 3)
  expect(slow.updates).toBeLessThan(500)
})
