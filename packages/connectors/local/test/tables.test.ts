import { expect, test } from 'vitest'
import { discoverAll, open, openLake, openWriter, put, readAll, records, table, writing } from './support.ts'

const runs = table({ id: { type: 'string' }, value: { type: 'number' } }, ['id'])

test('what is committed can be read back, with its schema and key', async () => {
  const { connection, database } = await openLake()
  expect(
    await put(connection, writing(runs), [
      { id: 'a', value: 1 },
      { id: 'b', value: NaN },
    ]),
  ).toEqual([])
  await connection.close()
  const again = open({ database })
  expect(await readAll(again)).toEqual([
    { id: 'a', value: 1 },
    { id: 'b', value: NaN },
  ])
  expect(await discoverAll(again)).toEqual([
    {
      name: 't',
      schema: { type: 'object', properties: { id: { type: ['string', 'null'] }, value: { type: ['number', 'null'] } } },
      primaryKey: ['id'],
    },
  ])
})

test('the check reports the version of DuckDB', async () => {
  const { connection } = await openLake()
  expect(await connection.check()).toMatchObject({ status: 'healthy', version: 'DuckDB v1.5.6' })
})

test('an empty table is read as no records, an unknown one is not found', async () => {
  const { connection } = await openLake()
  await put(connection, writing(runs), [])
  expect(await readAll(connection)).toEqual([])
  await expect(readAll(connection, 'nothing')).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('nothing') as string,
  })
})

test('merge: the last record of a key wins, within a batch, over batches and over runs', async () => {
  const { connection } = await openLake()
  const merge = writing(runs, { disposition: 'merge' })
  const writer = await openWriter(connection, merge)
  await writer.write(records({ id: 'a', value: 1 }, { id: 'a', value: 2 }))
  await writer.write(records({ id: 'a', value: 3 }, { id: 'b', value: 1 }))
  await writer.commit({ page: 1 })
  await writer.write({ ...records({ id: 'c', value: 1 }), deleted: [{ id: 'b' }] })
  await writer.commit({ page: 2 })
  await writer[Symbol.asyncDispose]()
  expect(await readAll(connection)).toEqual([
    { id: 'a', value: 3 },
    { id: 'c', value: 1 },
  ])
  const next = await openWriter(connection, merge)
  expect(await next.resumesFrom()).toEqual({ page: 2 })
})

test('nothing is visible before the commit, nor after a dispose without one', async () => {
  const { connection } = await openLake()
  const writer = await openWriter(connection, writing(runs))
  await writer.write(records({ id: 'a', value: 1 }))
  expect(await discoverAll(connection)).toEqual([])
  await writer.commit({ page: 1 })
  await writer.write(records({ id: 'b', value: 1 }))
  expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
  await writer[Symbol.asyncDispose]()
  expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
  expect(await (await openWriter(connection, writing(runs))).resumesFrom()).toEqual({ page: 1 })
})

test('overwrite: readers see the old rows until the pass is complete', async () => {
  const { connection } = await openLake()
  await put(connection, writing(runs), [{ id: 'old', value: 0 }])
  const overwrite = writing(runs, { disposition: 'overwrite' })
  const writer = await openWriter(connection, overwrite)
  expect(await writer.resumesFrom()).toBeUndefined()
  await writer.write(records({ id: 'a', value: 1 }))
  await writer.commit({ page: 1 })
  expect(await readAll(connection)).toEqual([{ id: 'old', value: 0 }])
  await writer[Symbol.asyncDispose]()
  const resumed = await openWriter(connection, overwrite)
  expect(await resumed.resumesFrom()).toEqual({ page: 1 })
  await resumed.write(records({ id: 'b', value: 1 }))
  await resumed.commit({ page: 2 }, { final: true })
  await resumed[Symbol.asyncDispose]()
  expect(await readAll(connection)).toEqual([
    { id: 'a', value: 1 },
    { id: 'b', value: 1 },
  ])
  expect(await (await openWriter(connection, overwrite)).resumesFrom()).toBeUndefined()
})

test('prune: at the end of a complete pass the rows that it did not bring are gone', async () => {
  const { connection } = await openLake()
  await put(connection, writing(runs, { disposition: 'merge' }), [
    { id: 'a', value: 1 },
    { id: 'b', value: 1 },
    { id: 'c', value: 1 },
  ])
  const pass = writing(runs, { disposition: 'merge', prune: true })
  const writer = await openWriter(connection, pass)
  expect(await writer.resumesFrom()).toBeUndefined()
  await writer.write(records({ id: 'a', value: 2 }))
  await writer.commit({ page: 1 })
  await writer[Symbol.asyncDispose]()
  const resumed = await openWriter(connection, pass)
  expect(await resumed.resumesFrom()).toEqual({ page: 1 })
  await resumed.write(records({ id: 'b', value: 2 }))
  await resumed.commit({ page: 2 }, { final: true })
  await resumed[Symbol.asyncDispose]()
  expect(await readAll(connection)).toEqual([
    { id: 'a', value: 2 },
    { id: 'b', value: 2 },
  ])
})
