import { deletedAt, integrationError, type AnyRecord, type Deletes } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { sync, type Pipeline, type PipelineStream } from '../src/index.ts'
import { memorySink, newDisk, pagesOf, rowsOn, sourceOfShelves, type Disk, type Shelf } from './memory.ts'
import { only, run, testStore } from './support.ts'

const item = z.object({ id: z.int(), at: z.int(), name: z.string() })
const records = (count: number): AnyRecord[] =>
  Array.from({ length: count }, (_, id) => ({ id, at: id, name: `n${id}` }))
const inPages = (all: readonly AnyRecord[]): readonly AnyRecord[][] =>
  Array.from({ length: Math.ceil(all.length / 10) }, (_, page) => all.slice(page * 10, page * 10 + 10))

const shelf = (read: Shelf['read']): Shelf => ({ schema: item, primaryKey: ['id'], cursor: 'at', read })
const setUp = async (wanted: Omit<PipelineStream, 'stream'> = {}, sinkIs: Parameters<typeof memorySink>[1] = {}) => {
  const disk = newDisk()
  const table = { rows: records(30) }
  const read = pagesOf(() => inPages(table.rows))
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOfShelves({ items: shelf(read) }),
    sink: memorySink(disk, sinkIs),
    sinkName: 'rows',
    streams: [{ stream: 'items', ...wanted }],
  }
  return { disk, table, pipeline, store: await testStore() }
}
const live = (disk: Disk): readonly number[] =>
  rowsOn(disk, 'items')
    .filter((row) => row[deletedAt] == null)
    .map(({ id }) => Number(id))

test('hard deletes remove what is gone, soft ones mark it, ignored ones leave it; a record that comes back is there again', async () => {
  const ways: readonly (Deletes | 'ignore')[] = ['hard', 'soft', 'ignore']
  for (const deletes of ways) {
    const { disk, table, pipeline, store } = await setUp({ deletes })
    await run({ pipeline, store })
    const gone = table.rows.splice(5, 2)
    const result = await run({ pipeline, store, full: true })
    expect(only(result)).toMatchObject({ mode: 'reconcile', read: 28, written: 28 })
    expect([deletes, rowsOn(disk, 'items').length, live(disk).length]).toEqual(
      { hard: [deletes, 28, 28], soft: [deletes, 30, 28], ignore: [deletes, 30, 30] }[deletes],
    )
    expect(disk.opened.at(-1)).toMatchObject(deletes === 'soft' ? { deletes: 'soft', prune: true } : {})
    expect(disk.opened.at(-1)?.prune).toBe(deletes === 'ignore' ? undefined : true)
    expect(result.warnings).toEqual([])
    table.rows.push(...gone)
    await run({ pipeline, store, full: true })
    expect([...live(disk)].toSorted((one, other) => one - other)).toEqual(records(30).map(({ id }) => id))
  }
})

test('deletes that the source tells are passed on, or not where they are ignored', async () => {
  for (const deletes of ['hard', 'soft', 'ignore'] as const) {
    const { disk, pipeline, store } = await setUp({ deletes })
    await run({ pipeline, store })
    const read: Shelf['read'] = async function* () {
      yield await Promise.resolve({
        encoding: 'records' as const,
        records: [],
        deleted: [{ id: 3 }],
        checkpoint: { page: 9 },
      })
    }
    const told = { ...pipeline, source: sourceOfShelves({ items: shelf(read) }) }
    expect(only(await run({ pipeline: told, store }))).toMatchObject({ read: 0, deleted: deletes === 'ignore' ? 0 : 1 })
    expect(live(disk).includes(3)).toBe(deletes === 'ignore')
  }
})

test('a sink without deletes keeps what is gone, and the run says so', async () => {
  const { disk, table, pipeline, store } = await setUp({}, { deletes: [] })
  await run({ pipeline, store })
  table.rows.splice(0, 3)
  const result = await run({ pipeline, store, full: true })
  expect(result.warnings).toEqual(['items: rows that the source no longer has stay: lake cannot find them'])
  expect(rowsOn(disk, 'items')).toHaveLength(30)
})

/** What a pass brings that does not bring everything, with the run that makes it. */
const partial: Record<string, (all: readonly AnyRecord[]) => { readonly read: Shelf['read']; readonly run: object }> = {
  'an incremental read': (all) => ({ read: pagesOf(() => inPages(all.slice(20))), run: {} }),
  'a backfill': (all) => ({
    read: pagesOf(() => inPages(all.slice(10, 20))),
    run: { backfill: { since: '10', until: '20' } },
  }),
  'a full read that fails on its way': (all) => ({
    read: async function* (options) {
      yield* pagesOf(() => inPages(all).slice(0, 2))(options)
      throw integrationError('unavailable', { partner: 'shop', what: 'gone', details: {} })
    },
    run: { full: true },
  }),
  'a full read with a record that breaks the schema': (all) => ({
    read: pagesOf(() => inPages(all.map((row, index) => (index === 4 ? { ...row, name: 4 } : row)))),
    run: { full: true },
  }),
  'a full read with a record that the sink refuses': (all) => ({
    read: pagesOf(() => inPages(all.map((row, index) => (index === 4 ? { ...row, name: 'refused' } : row)))),
    run: { full: true },
  }),
  'a full read that is cancelled, whose source ends without a word': (all) => {
    const controller = new AbortController()
    return {
      read: async function* (options) {
        yield* pagesOf(() => inPages(all).slice(0, 1))(options)
        controller.abort()
      },
      run: { full: true, signal: controller.signal },
    }
  },
}
test.each(Object.keys(partial))('no row is removed or marked because of %s', async (name) => {
  for (const deletes of ['hard', 'soft'] as const) {
    const { disk, table, pipeline, store } = await setUp({ deletes })
    disk.refuses = ({ name: called }) => (called === 'refused' ? 'no' : undefined)
    await run({ pipeline, store })
    table.rows.splice(0, 5)
    const part = partial[name]!(table.rows)
    const source = sourceOfShelves({ items: shelf(part.read) })
    const result = await sync({ pipeline: { ...pipeline, source }, store, commitBytes: 0, ...part.run })
    expect(result.status).toBe(
      name.includes('fails') ? 'failed' : name.includes('cancelled') ? 'cancelled' : 'completed',
    )
    expect(live(disk)).toHaveLength(30)
    // And the next whole pass finds them.
    await run({ pipeline, store, full: true })
    expect(live(disk)).toHaveLength(25)
  }
})
