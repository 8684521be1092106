import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
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
      dataset: { namespace: 'file', name: `${database}/t` },
      schema: { type: 'object', properties: { id: { type: ['string', 'null'] }, value: { type: ['number', 'null'] } } },
      primaryKey: ['id'],
    },
  ])
})

test('nothing is left beside the file when proven lines have been written', async () => {
  const { connection, database } = await openLake()
  const writer = await openWriter(connection, writing(runs))
  await writer.write({ encoding: 'ndjson', proven: true, count: 1, bytes: Buffer.from('{"id":"a","value":1}\n') })
  await writer.commit(undefined, { final: true })
  await writer[Symbol.asyncDispose]()
  await connection.close()
  expect(await readdir(path.dirname(database))).toEqual(['lake.duckdb'])
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
  expect(await (await openWriter(connection, overwrite)).resumesFrom()).toEqual({ page: 2 })
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
  expect(await resumed.commit({ page: 2 }, { final: true })).toEqual({ pruned: 1 })
  await resumed[Symbol.asyncDispose]()
  expect(await readAll(connection)).toEqual([
    { id: 'a', value: 2 },
    { id: 'b', value: 2 },
  ])
})

test('keys are compared null-safe and NaN equals NaN', async () => {
  const { connection } = await openLake()
  const numbers = table({ a: { type: 'number' }, b: { type: 'string' }, value: { type: 'integer' } }, ['a', 'b'])
  const merge = writing(numbers, { disposition: 'merge' })
  const rows = (value: number) => [
    { a: NaN, b: 'x', value },
    { a: null, b: null, value },
    { a: 0, b: null, value },
    { a: Infinity, b: '', value },
  ]
  await put(connection, merge, rows(1))
  await put(connection, merge, [...rows(2), ...rows(3)])
  expect(await readAll(connection)).toEqual(rows(3))
  const writer = await openWriter(connection, merge)
  await writer.write({
    ...records(),
    deleted: [
      { a: NaN, b: 'x' },
      { a: null, b: null },
    ],
  })
  await writer.commit(undefined)
  expect(await readAll(connection)).toEqual(rows(3).slice(2))
})

test('deletes take what came before them and spare what comes after, in every disposition', async () => {
  const { connection } = await openLake()
  for (const disposition of ['append', 'overwrite', 'merge'] as const) {
    const described = { ...runs, name: disposition }
    const writer = await openWriter(connection, writing(described, { disposition }))
    await writer.write(records({ id: 'a', value: 1 }, { id: 'b', value: 1 }))
    await writer.commit({ page: 1 })
    await writer.write(records({ id: 'c', value: 1 }))
    await writer.write({ ...records({ id: 'd', value: 1 }), deleted: [{ id: 'a' }, { id: 'c' }, { id: 'nobody' }] })
    await writer.write(records({ id: 'a', value: 2 }))
    await writer.commit({ page: 2 }, { final: true })
    expect(
      (await readAll(connection, disposition)).map(({ id, value }) => `${String(id)}${String(value)}`).toSorted(),
    ).toEqual(['a2', 'b1', 'd1'])
  }
  const writer = await openWriter(connection, writing(table({ id: {} }, undefined, 'keyless')))
  await expect(writer.write({ ...records(), deleted: [{ id: 1 }] })).rejects.toMatchObject({ code: 'unsupported' })
})

test('a new column is added, a changed type is refused before anything is read, overwrite changes it', async () => {
  const { connection } = await openLake()
  await put(connection, writing(runs), [{ id: 'a', value: 1 }])
  const more = table({ id: { type: 'string' }, tags: { type: 'object', additionalProperties: { type: 'string' } } }, [
    'id',
  ])
  await put(connection, writing(more, { disposition: 'merge' }), [{ id: 'b', tags: { x: 'y' } }])
  expect(await readAll(connection)).toEqual([
    { id: 'a', value: 1, tags: null },
    { id: 'b', value: null, tags: { x: 'y' } },
  ])
  const changed = table({ id: { type: 'integer' } }, ['id'])
  for (const disposition of ['append', 'merge'] as const)
    await expect(openWriter(connection, writing(changed, { disposition }))).rejects.toMatchObject({
      code: 'invalid_data',
      details: { stream: 't', field: 'id' },
      message: expect.stringContaining('table t: column id holds VARCHAR, and the stream brings BIGINT') as string,
    })
  await put(connection, writing(changed, { disposition: 'overwrite' }), [{ id: 1 }])
  expect(await readAll(connection)).toEqual([{ id: 1 }])
})

for (const pass of [{ disposition: 'overwrite' }, { disposition: 'merge', prune: true }] as const)
  test(`an unfinished pass (${pass.disposition}) starts anew when it is not asked, when another wrote, or when its columns changed`, async () => {
    const { connection } = await openLake()
    const broken = async () => {
      const writer = await openWriter(connection, writing(runs, pass))
      await writer.write(records({ id: 'lost', value: 1 }))
      await writer.commit({ page: 1 })
      await writer[Symbol.asyncDispose]()
    }
    await broken()
    // Not asked where it stopped.
    await put(connection, writing(runs, pass), [{ id: 'a', value: 1 }])
    expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
    // Another flow wrote into the table.
    await broken()
    await put(connection, writing(runs, { disposition: 'merge', key: 'other/t' }), [{ id: 'b', value: 1 }])
    const second = await openWriter(connection, writing(runs, pass))
    expect(await second.resumesFrom()).toBeUndefined()
    await second[Symbol.asyncDispose]()
    // Another flow's pass is not this one's.
    await broken()
    const other = await openWriter(connection, writing(runs, { ...pass, key: 'other/t' }))
    expect(await other.resumesFrom()).toBeUndefined()
    await other[Symbol.asyncDispose]()
    // Other columns.
    const wider = table(
      { id: { type: 'string' }, more: { type: 'string' } },
      pass.disposition === 'overwrite' ? ['id'] : ['id', 'more'],
    )
    const third = await openWriter(connection, writing(wider, pass))
    expect(await third.resumesFrom()).toBeUndefined()
    await third.write(records({ id: 'z', more: 'x' }))
    await third.commit({ page: 1 }, { final: true })
    await third[Symbol.asyncDispose]()
    expect((await readAll(connection)).map(({ id }) => id)).toEqual(['z'])
  })

test('checkpoints belong to a flow and a table, and a pass leaves the last one alone until it ends', async () => {
  const { connection } = await openLake()
  const merge = writing(runs, { disposition: 'merge' })
  const at = async (options = merge) => {
    const writer = await openWriter(connection, options)
    const checkpoint = await writer.resumesFrom()
    await writer[Symbol.asyncDispose]()
    return checkpoint
  }
  const commit = async (options: typeof merge, checkpoint: Record<string, unknown> | undefined, final = false) => {
    const writer = await openWriter(connection, options)
    await writer.commit(checkpoint, { final })
    await writer[Symbol.asyncDispose]()
  }
  expect(await at()).toBeUndefined()
  await commit(merge, { cursor: 2n ** 60n, text: "it's" })
  expect(await at()).toEqual({ cursor: 2n ** 60n, text: "it's" })
  expect(await at({ ...merge, key: 'other/t' })).toBeUndefined()
  expect(await at({ ...merge, table: { ...runs, name: 'u' } })).toBeUndefined()
  const prune = { ...merge, prune: true }
  await commit(prune, { page: 1 })
  expect(await at()).toEqual({ cursor: 2n ** 60n, text: "it's" })
  expect(await at(prune)).toEqual({ page: 1 })
  await commit(merge, undefined)
  expect(await at()).toEqual({ cursor: 2n ** 60n, text: "it's" })
  await commit(prune, { page: 2 }, true)
  expect(await at()).toEqual({ page: 2 })
  expect(await at(prune)).toEqual({ page: 2 })
})

test('what a table of somebody else refuses is refused, and its writer ends', async () => {
  const { connection, database } = await openLake()
  await connection.check()
  await connection.close()
  const instance = await DuckDBInstance.create(database)
  const theirs = await instance.connect()
  await theirs.run('CREATE TABLE t (id VARCHAR, value DOUBLE CHECK (value > 0)); CREATE VIEW seen AS FROM t')
  theirs.closeSync()
  instance.closeSync()
  const again = open({ database })
  const writer = await openWriter(again, writing(runs))
  await writer.write(records({ id: 'a', value: -1 }))
  await expect(writer.commit({ page: 1 })).rejects.toMatchObject({
    code: 'rejected',
    message: expect.stringContaining('CHECK') as string,
  })
  await expect(writer.commit({ page: 1 })).rejects.toMatchObject({ code: 'rejected' })
  await writer[Symbol.asyncDispose]()
  expect(await readAll(again)).toEqual([])
  expect(await (await openWriter(again, writing(runs))).resumesFrom()).toBeUndefined()
  await expect(put(again, writing({ ...runs, name: 'seen' }), [{ id: 'a', value: 1 }])).rejects.toMatchObject({
    code: 'rejected',
  })
})

test('a refused writer leaves no lock behind: another process opens the file', async () => {
  const { connection, database } = await openLake()
  await put(connection, writing(runs), [{ id: 'a', value: 1 }])
  const changed = table({ id: { type: 'string' }, value: { type: 'boolean' } }, ['id'])
  await expect(openWriter(connection, writing(changed))).rejects.toMatchObject({ code: 'invalid_data' })
  await connection.close()
  const script =
    "import('@duckdb/node-api').then(async (duck) => (await duck.DuckDBInstance.create(process.argv[1])).closeSync())"
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  expect(spawnSync(process.execPath, ['-e', script, database], { cwd, encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  })
})

test('a table whose name differs only by case is refused, and the other keeps its rows', async () => {
  const { connection } = await openLake()
  const named = (name: string) => writing(table({ a: { type: 'integer' } }, ['a'], name), { disposition: 'overwrite' })
  await put(connection, named('Runs'), [{ a: 1 }])
  for (const disposition of ['append', 'overwrite', 'merge'] as const)
    await expect(openWriter(connection, { ...named('runs'), disposition })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('table runs: the file has a table Runs') as string,
    })
  await put(connection, named('Runs'), [{ a: 1 }, { a: 2 }])
  expect(await readAll(connection, 'Runs')).toEqual([{ a: 1 }, { a: 2 }])
})
