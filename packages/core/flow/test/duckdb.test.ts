import path from 'node:path'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import type { AnyConnection, AnyRecord } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import type { Pipeline } from '../src/index.ts'
import { items, newTable, only, run, sourceOf, temporaryFolder, testStore, type Table } from './support.ts'

const lakeIn = (folder: string, name = 'lake'): AnyConnection => {
  const lake = connect(local, { name, config: { database: path.join(folder, `${name}.duckdb`), folder } })
  onTestFinished(() => lake.close())
  return lake
}
const rowsOf = async (lake: AnyConnection, table: string): Promise<readonly AnyRecord[]> => {
  const records: AnyRecord[] = []
  for await (const batch of lake.read!(table)) if (batch.encoding === 'records') records.push(...batch.records)
  return records.toSorted((one, other) => Number(one['id']) - Number(other['id']))
}
const exact = (table: Table) =>
  table.items.map((row) => ({ ...row, id: BigInt(row.id), at: BigInt(row.at), big: BigInt(row.big) }))
const widened = (rows: readonly AnyRecord[]) =>
  rows.map((row) => ({
    ...row,
    id: BigInt(row['id'] as number),
    at: BigInt(row['at'] as number),
    big: BigInt(row['big'] as number),
  }))

const setUp = async (more: Partial<Pipeline> = {}) => {
  const folder = await temporaryFolder()
  const lake = lakeIn(folder)
  const table = newTable(items(500), 50)
  const store = await testStore()
  const pipeline: Pipeline = { name: 'shop-to-lake', source: sourceOf(table), sink: lake, sinkName: 'tables', ...more }
  return { folder, lake, table, store, pipeline }
}

test('a real lake: incremental merge, resume, reconcile and overwrite, each value exact', async () => {
  const { lake, table, store, pipeline } = await setUp()
  table.onPage = ({ page }) => {
    if (page === 4) throw new Error('cut')
  }
  const cut = await run({ pipeline, store, commitBytes: 0 })
  expect(cut.streams.map(({ status, written }) => [status, written])).toEqual([
    ['failed', 200],
    ['failed', 0],
  ])
  table.onPage = () => {}
  const whole = await run({ pipeline, store, commitBytes: 0 })
  expect(whole.streams.map(({ status, read }) => [status, read])).toEqual([
    ['completed', 300],
    ['completed', 500],
  ])
  expect(widened(await rowsOf(lake, 'items'))).toEqual(exact(table))
  table.items.splice(10, 40)
  table.items[0] = { ...table.items[0]!, name: 'edited' }
  table.items.push(...items(5, 500))
  expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 5 })
  expect(await rowsOf(lake, 'items')).toHaveLength(505)
  expect(only(await run({ pipeline, store, full: true }))).toMatchObject({ mode: 'reconcile', read: 465 })
  expect(widened(await rowsOf(lake, 'items'))).toEqual(exact(table))
  expect(widened(await rowsOf(lake, 'plain'))).toEqual(exact(table))
})

test('a lake is a source too: its tables are discovered and copied to files', async () => {
  const { folder, lake, table, store, pipeline } = await setUp({ streams: ['items'] })
  await run({ pipeline, store })
  const files = connect(local, { name: 'files', config: { folder: path.join(folder, 'files') } }) as AnyConnection
  onTestFinished(() => files.close())
  const copy: Pipeline = { name: 'copy', source: lake, sink: files, sinkName: 'parquet', streams: ['items'] }
  const result = await run({ pipeline: copy, store })
  expect(only(result)).toMatchObject({ mode: 'full_refresh', disposition: 'overwrite', written: 500 })
  expect(widened(await rowsOf(files, 'items'))).toEqual(exact(table))
})

test('what a record that is put aside once brought stays in the lake, and the checkpoint moves on', async () => {
  const { lake, table, store, pipeline } = await setUp({ streams: ['items'] })
  await run({ pipeline, store })
  table.items.splice(0, 10)
  table.items[0] = { ...table.items[0]!, name: 7 as never }
  expect(only(await run({ pipeline, store, full: true }))).toMatchObject({ status: 'completed', quarantined: 1 })
  expect(await rowsOf(lake, 'items')).toHaveLength(500)
  expect(only(await run({ pipeline, store }))).toMatchObject({ mode: 'incremental', read: 0 })
})
