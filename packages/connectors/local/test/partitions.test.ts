import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { AnyRecord, Batch } from '@ecokit/contracts'
import { connect, local } from '../src/index.ts'
import { openWriter, readAll, records, table, temporaryFolder, writing } from './support.ts'

const runs = table({ id: { type: 'integer' }, day: { type: 'string' }, good: { type: 'boolean' } })
const rows = [
  { id: 1, day: '2024-01-01', good: true },
  { id: 2, day: 'a/b', good: true },
  { id: 3, day: '..', good: false },
  { id: 4, day: null, good: null },
  { id: 5, day: '', good: null },
  { id: 6, day: 'é %=*[?', good: true },
  { id: 7, day: '2024-01-01', good: true },
]
const lines = (given: readonly AnyRecord[]): Batch<AnyRecord> => ({
  encoding: 'ndjson',
  proven: true,
  bytes: Buffer.from(given.map((row) => `${JSON.stringify(row)}\n`).join('')),
  count: given.length,
})
const open = (folder: string, partitionBy: Record<string, string[]>) => {
  const connection = connect(local, { name: 'lake', config: { folder, partitionBy } })
  onTestFinished(() => connection.close())
  return connection
}
const sorted = (given: readonly AnyRecord[]) => given.toSorted((one, other) => Number(one['id']) - Number(other['id']))
const files = async (folder: string) =>
  (await readdir(path.join(folder, 't'), { recursive: true })).filter((name) => name.endsWith('.parquet')).toSorted()

test('Parquet is written into folders by value, committed and replaced in one step, and read as it was', async () => {
  const folder = await temporaryFolder()
  const connection = open(folder, { t: ['day', 'good'] })
  const writer = await openWriter(connection, writing(runs), 'parquet')
  await writer.write(records(...rows.slice(0, 3)))
  await writer.commit({ page: 1 })
  await writer.write(lines(rows.slice(3)))
  expect(sorted(await readAll(connection))).toEqual(rows.slice(0, 3))
  await writer.commit({ page: 2 })
  expect(sorted(await readAll(connection))).toEqual(rows)
  expect(await writer.query?.('SELECT count(DISTINCT id) AS n FROM {table}')).toEqual([{ n: 7 }])
  await writer[Symbol.asyncDispose]()
  expect(sorted(await readAll(connection))).toEqual(rows)
  const first = await files(folder)
  expect(first).toHaveLength(7)
  expect(first).toContain('day=2024-01-01/good=true/part-000002-0.parquet')
  expect(first.every((name) => !name.startsWith('_staged'))).toBe(true)
  const overwrite = await openWriter(connection, writing(runs, { disposition: 'overwrite' }), 'parquet')
  await overwrite.write(lines(rows.slice(0, 2)))
  await overwrite.commit(undefined, { final: true })
  expect(sorted(await readAll(connection))).toEqual(rows.slice(0, 2))
  await overwrite[Symbol.asyncDispose]()
  expect(await files(folder)).toHaveLength(2)
  // Folders of values that no row has any more are gone with their files.
  const folders = async () =>
    (await readdir(path.join(folder, 't'), { recursive: true })).filter((name) => name.includes('='))
  expect((await folders()).filter((name) => !name.endsWith('.parquet')).toSorted()).toEqual([
    'day=2024-01-01',
    'day=2024-01-01/good=true',
    'day=a%2Fb',
    'day=a%2Fb/good=true',
  ])
  // What is not committed leaves nothing.
  const lost = await openWriter(connection, writing(runs), 'parquet')
  await lost.write(records(...rows))
  await lost.query?.('SELECT 1')
  await lost[Symbol.asyncDispose]()
  expect(await files(folder)).toHaveLength(2)
  await rm(path.join(folder, 't', '_staged'), { recursive: true })
})

test('what cannot be partitioned is refused by name', async () => {
  const folder = await temporaryFolder()
  const refused = { code: 'invalid_config' }
  await expect(openWriter(open(folder, { t: ['nothing'] }), writing(runs), 'parquet')).rejects.toMatchObject(refused)
  await expect(openWriter(open(folder, { t: ['day'] }), writing(runs), 'csv')).rejects.toMatchObject(refused)
  const real = table({ id: { type: 'integer' }, value: { type: 'number' } })
  await expect(openWriter(open(folder, { t: ['value'] }), writing(real), 'parquet')).rejects.toMatchObject(refused)
  await openWriter(open(folder, { other: ['day'] }), writing(runs), 'csv')
})
