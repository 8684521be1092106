import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { AnyRecord } from '@ecokit/contracts'
import {
  discoverAll,
  open,
  openBoth,
  openWriter,
  put,
  readAll,
  records,
  table,
  temporaryFolder,
  writing,
} from './support.ts'

const runs = table({ id: { type: 'string' }, value: { type: 'number' } }, ['id'])
const formats = ['parquet', 'csv', 'ndjson'] as const
const parts = async (folder: string, name = 't') =>
  (await readdir(path.join(folder, name))).filter((file) => file.startsWith('part-'))

for (const format of formats) {
  test(`${format}: nothing is visible before the commit, nor after a dispose without one`, async () => {
    const { connection, folder } = await openBoth()
    const writer = await openWriter(connection, writing(runs), format)
    await writer.write(records({ id: 'a', value: 1 }))
    expect(await discoverAll(connection)).toEqual([])
    await writer.commit({ page: 1 })
    await writer.write(records({ id: 'b', value: 2 }))
    expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
    await writer[Symbol.asyncDispose]()
    expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
    expect(await parts(folder)).toHaveLength(1)
    expect(await readdir(path.join(folder, 't', '_staged'))).toEqual([])
    const next = await openWriter(connection, writing(runs), format)
    expect(await next.resumesFrom()).toEqual({ page: 1 })
  })

  test(`${format}: overwrite goes on after a break, and readers see the old rows until it is complete`, async () => {
    const { connection, folder } = await openBoth()
    await put(connection, writing(runs), [{ id: 'old', value: 0 }], format)
    const overwrite = writing(runs, { disposition: 'overwrite' })
    const writer = await openWriter(connection, overwrite, format)
    expect(await writer.resumesFrom()).toBeUndefined()
    await writer.write(records({ id: 'a', value: 1 }))
    await writer.commit({ page: 1 })
    await writer.write(records({ id: 'lost', value: 1 }))
    await writer[Symbol.asyncDispose]()
    expect(await readAll(connection)).toEqual([{ id: 'old', value: 0 }])
    expect(await parts(folder)).toHaveLength(1)
    const resumed = await openWriter(connection, overwrite, format)
    expect(await resumed.resumesFrom()).toEqual({ page: 1 })
    await resumed.write(records({ id: 'b', value: 1 }))
    await resumed.commit({ page: 2 }, { final: true })
    expect(await readAll(connection)).toEqual([
      { id: 'a', value: 1 },
      { id: 'b', value: 1 },
    ])
    expect(await parts(folder)).toHaveLength(2)
    await resumed[Symbol.asyncDispose]()
    expect(await (await openWriter(connection, overwrite, format)).resumesFrom()).toEqual({ page: 2 })
  })

  test(`${format}: an overwrite that is not asked where it stopped starts anew`, async () => {
    const { connection } = await openBoth()
    const overwrite = writing(runs, { disposition: 'overwrite' })
    const writer = await openWriter(connection, overwrite, format)
    await writer.write(records({ id: 'first', value: 1 }))
    await writer.commit({ page: 1 })
    await writer[Symbol.asyncDispose]()
    await put(connection, overwrite, [{ id: 'second', value: 1 }], format)
    expect(await readAll(connection)).toEqual([{ id: 'second', value: 1 }])
  })

  test(`${format}: parts are closed at their size, in the midst of a batch too, and read in order`, async () => {
    const folder = await temporaryFolder()
    const connection = open({ folder, partBytes: 1_000_000 })
    const rows = Array.from({ length: 24_000 }, (_, value): AnyRecord => ({
      id: `number ${value} ${'x'.repeat(99)}`,
      value,
    }))
    const lines = (given: readonly AnyRecord[]) => Buffer.from(given.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const writer = await openWriter(connection, writing(runs), format)
    await writer.write(records(...rows.slice(0, 12_000)))
    await writer.write({ encoding: 'ndjson', proven: true, bytes: lines(rows.slice(12_000)), count: 12_000 })
    await writer.commit({ page: 1 })
    expect(await readAll(connection)).toEqual(rows)
    await writer[Symbol.asyncDispose]()
    expect(await readAll(connection)).toEqual(rows)
    const found = await parts(folder)
    expect(found.length).toBeGreaterThanOrEqual(format === 'ndjson' ? 4 : 3)
    const manifest = JSON.parse(await readFile(path.join(folder, 't', '_manifest.json'), 'utf8')) as {
      readonly parts: readonly { readonly rows: number; readonly bytes: number }[]
    }
    // About 140 bytes a row as NDJSON.
    for (const part of manifest.parts) expect(part.rows).toBeLessThan(10_000)
    // Parquet is measured before its compression.
    const full = format === 'parquet' ? [] : manifest.parts.slice(0, -1)
    expect(full.filter(({ bytes }) => bytes < 1_000_000 || bytes > 1_001_000)).toEqual([])
  })

  test(`${format}: a new column is added, a changed type is refused, overwrite changes it`, async () => {
    const { connection } = await openBoth()
    await put(connection, writing(runs), [{ id: 'a', value: 1 }], format)
    const more = table({ id: { type: 'string' }, tags: { type: 'object', additionalProperties: { type: 'string' } } })
    await put(connection, writing(more), [{ id: 'b', tags: { x: 'y' } }], format)
    expect(await readAll(connection)).toEqual([
      { id: 'a', tags: null, value: 1 },
      { id: 'b', tags: { x: 'y' }, value: null },
    ])
    expect(await readAll(connection, 't', ['tags'])).toEqual([{ tags: null }, { tags: { x: 'y' } }])
    const changed = table({ id: { type: 'integer' } })
    await expect(openWriter(connection, writing(changed), format)).rejects.toMatchObject({
      code: 'invalid_data',
      details: { stream: 't', field: 'id' },
      message: expect.stringContaining('table t: column id holds VARCHAR, and the stream brings BIGINT') as string,
    })
    await put(connection, writing(changed, { disposition: 'overwrite' }), [{ id: 1 }], format)
    expect(await readAll(connection)).toEqual([{ id: 1 }])
  })

  test(`${format}: a table without rows has its columns`, async () => {
    const { connection } = await openBoth()
    await put(connection, writing(runs), [], format)
    expect(await readAll(connection)).toEqual([])
    expect((await discoverAll(connection)).map(({ name }) => name)).toEqual(['t'])
  })
}

test('parquet: records of many commits become one file, and each commit is read at once', async () => {
  const { connection, folder } = await openBoth()
  // A column that is JSON, so that there is no other way than through records.
  const loose = table({ id: { type: 'integer' }, extra: {} }, ['id'])
  const row = (id: number) => ({ id, extra: { [`n${id}`]: [id, 'é', null] } })
  const writer = await openWriter(connection, writing(loose), 'parquet')
  const staged = () => readdir(path.join(folder, 't', '_staged'))
  let expected: AnyRecord[] = []
  for (let page = 1; page <= 3; page += 1) {
    const rows = [row(page * 2), row(page * 2 + 1)]
    expected = [...expected, ...rows]
    await writer.write(records(...rows))
    await writer.commit({ page })
    expect(await readAll(connection)).toEqual(expected)
    expect(await writer.query?.('SELECT count(*)::INTEGER AS n FROM {table}')).toEqual([{ n: page * 2 }])
  }
  expect(await staged()).toEqual(['part-000001-0.rows', 'part-000001-1.rows', 'part-000001-2.rows'])
  expect(await parts(folder)).toEqual([])
  // As a process that died leaves it: the next writer makes a part of it.
  const died = await temporaryFolder()
  await cp(folder, died, { recursive: true, filter: (name) => !name.includes('_lock') })
  const after = open({ folder: died })
  expect(await readAll(after)).toEqual(expected)
  const next = await openWriter(after, writing(loose), 'parquet')
  expect(await next.resumesFrom()).toEqual({ page: 3 })
  expect(await parts(died)).toEqual(['part-000001.parquet'])
  await next.write(records(row(99)))
  await next.commit({ page: 4 }, { final: true })
  expect(await parts(died)).toEqual(['part-000001.parquet', 'part-000002.parquet'])
  expect(await readAll(after)).toEqual([...expected, row(99)])

  await writer.write(records(row(8)))
  await writer.commit({ page: 4 }, { final: true })
  expect(await staged()).toEqual([])
  expect(await parts(folder)).toEqual(['part-000001.parquet'])
  expect(await readAll(connection)).toEqual([...expected, row(8)])
})

test('parquet: an overwrite of many commits that was cut off goes on, into one file', async () => {
  const { connection, folder } = await openBoth()
  await put(connection, writing(runs), [{ id: 'old', value: 0 }], 'parquet')
  const overwrite = writing(runs, { disposition: 'overwrite' })
  const first = await openWriter(connection, overwrite, 'parquet')
  for (const page of [1, 2]) {
    await first.write(records({ id: `first ${page}`, value: page }))
    await first.commit({ page })
  }
  const died = await temporaryFolder()
  await cp(folder, died, { recursive: true, filter: (name) => !name.includes('_lock') })
  const after = open({ folder: died })
  const second = await openWriter(after, overwrite, 'parquet')
  expect(await second.resumesFrom()).toEqual({ page: 2 })
  for (const page of [3, 4]) {
    await second.write(records({ id: `second ${page}`, value: page }))
    await second.commit({ page })
    expect(await readAll(after)).toEqual([{ id: 'old', value: 0 }])
  }
  await second.commit({ page: 5 }, { final: true })
  expect((await readAll(after)).map(({ id }) => id)).toEqual(['first 1', 'first 2', 'second 3', 'second 4'])
  expect(await parts(died)).toHaveLength(2)
  expect(await readdir(path.join(died, 't', '_staged'))).toEqual([])
})

test('parquet: rows of a commit that the disk did not keep are told, by readers and by writers', async () => {
  const { connection, folder } = await openBoth()
  const writer = await openWriter(connection, writing(runs), 'parquet')
  for (const page of [1, 2]) {
    await writer.write(records({ id: `page ${page}`, value: page }))
    await writer.commit({ page })
  }
  const died = await temporaryFolder()
  await cp(folder, died, { recursive: true, filter: (name) => !name.includes('_lock') })
  const file = path.join(died, 't', '_staged', 'part-000001-0.rows')
  const bytes = await readFile(file)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  await writeFile(file, bytes)
  const damaged = { code: 'invalid_data', message: expect.stringContaining(`${file} is damaged`) as string }
  await expect(readAll(open({ folder: died }))).rejects.toMatchObject(damaged)
  await expect(openWriter(open({ folder: died }), writing(runs), 'parquet')).rejects.toMatchObject(damaged)
  await put(open({ folder: died }), writing(runs, { disposition: 'overwrite' }), [{ id: 'new', value: 1 }], 'parquet')
  expect(await readAll(open({ folder: died }))).toEqual([{ id: 'new', value: 1 }])
})

test('parquet: a part of very many small commits is closed before its readers have to open too many files', async () => {
  const { connection, folder } = await openBoth()
  const writer = await openWriter(connection, writing(runs), 'parquet')
  for (let page = 0; page < 300; page += 1) {
    await writer.write(records({ id: `page ${page}`, value: page }))
    await writer.commit({ page })
  }
  expect(await parts(folder)).toEqual(['part-000001.parquet'])
  expect((await readAll(connection)).map(({ value }) => value)).toEqual(Array.from({ length: 300 }, (_, page) => page))
  await writer[Symbol.asyncDispose]()
  expect(await parts(folder)).toEqual(['part-000001.parquet', 'part-000002.parquet'])
})

test('a size of parts that makes no sense is refused', async () => {
  const folder = await temporaryFolder()
  for (const partBytes of [0, 999_999, 1.5e6 + 0.5, 2e9]) expect(() => open({ folder, partBytes })).toThrow(/partBytes/)
})

test('a first column whose name begins with a byte order mark is read as it was written', async () => {
  const { connection } = await openBoth()
  await put(connection, writing(table({ '\ufeffid': { type: 'string' } })), [{ '\ufeffid': 'x' }], 'csv')
  expect(await readAll(connection)).toEqual([{ '\ufeffid': 'x' }])
})

test('a name never leaves the folder', async () => {
  const { connection, folder } = await openBoth()
  const names = ['../out', '/etc/passwd', '.hidden', 'a b*?[c]', 'Ä', "it's", '_manifest.json', 'CON', 'x'.repeat(60)]
  for (const format of formats)
    for (const name of names) {
      const named = `${name}${format}`
      await put(connection, writing({ ...runs, name: named }), [{ id: named, value: 1 }], format)
      expect(await readAll(connection, named)).toEqual([{ id: named, value: 1 }])
    }
  expect((await discoverAll(connection)).map(({ name }) => name).toSorted()).toEqual(
    names.flatMap((name) => formats.map((format) => name + format)).toSorted(),
  )
  expect((await readdir(path.dirname(folder))).toSorted()).toEqual(['files', 'lake.duckdb'])
})

test('a folder whose own name looks like a pattern is read as it is', async () => {
  const folder = path.join(await temporaryFolder(), 'a[b]*?')
  const connection = open({ folder })
  await put(connection, writing(runs), [{ id: 'a', value: 1 }], 'parquet')
  expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
})

test('files of others, another format and another table are not written into', async () => {
  const { connection, folder } = await openBoth()
  await mkdir(path.join(folder, 't'), { recursive: true })
  await writeFile(path.join(folder, 't', 'mine.csv'), 'id\n1\n')
  await expect(openWriter(connection, writing(runs), 'csv')).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('mine.csv') as string,
  })
  await put(connection, writing({ ...runs, name: 'u' }), [], 'csv')
  await expect(openWriter(connection, writing({ ...runs, name: 'u' }), 'ndjson')).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('as csv') as string,
  })
})

test('merge, prune and deletes are refused by files', async () => {
  const { connection } = await openBoth()
  await expect(openWriter(connection, writing(runs, { disposition: 'merge' }), 'csv')).rejects.toMatchObject({
    code: 'unsupported',
  })
  const writer = await openWriter(connection, writing(runs), 'csv')
  await expect(writer.write({ ...records(), deleted: [{ id: 'a' }] })).rejects.toMatchObject({ code: 'unsupported' })
})

test('a second writer of the same table waits for the first', async () => {
  const { connection } = await openBoth()
  const first = await openWriter(connection, writing(runs), 'ndjson')
  const second = put(connection, writing(runs), [{ id: 'b', value: 2 }], 'ndjson')
  await first.write(records({ id: 'a', value: 1 }))
  await first.commit({ page: 1 })
  await first[Symbol.asyncDispose]()
  await second
  expect(await readAll(connection)).toEqual([
    { id: 'a', value: 1 },
    { id: 'b', value: 2 },
  ])
})

test('a manifest that somebody broke is an error that names it', async () => {
  const { connection, folder } = await openBoth()
  await put(connection, writing(runs), [], 'csv')
  const file = path.join(folder, 't', '_manifest.json')
  const text = await readFile(file, 'utf8')
  for (const broken of [text.slice(0, 20), '{}', text.replace('"next"', '"what"')]) {
    await writeFile(file, broken)
    await expect(readAll(connection)).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining(file) as string,
    })
  }
})

test('a part that its manifest lists is found before it was moved out of the staging folder', async () => {
  const { connection, folder } = await openBoth()
  await put(connection, writing(runs), [{ id: 'a', value: 1 }], 'csv')
  const directory = path.join(folder, 't')
  const [part = ''] = await parts(folder)
  await mkdir(path.join(directory, '_staged'), { recursive: true })
  await writeFile(path.join(directory, '_staged', part), await readFile(path.join(directory, part)))
  await rm(path.join(directory, part))
  expect(await readAll(connection)).toEqual([{ id: 'a', value: 1 }])
  await put(connection, writing(runs), [{ id: 'b', value: 1 }], 'csv')
  expect(await parts(folder)).toHaveLength(2)
})

for (const format of formats)
  test(`${format}: a column in another case is refused before anything is written`, async () => {
    const { connection } = await openBoth()
    await put(
      connection,
      writing(table({ id: { type: 'string' }, Name: { type: 'string' } })),
      [{ id: 'a', Name: 'x' }],
      format,
    )
    const renamed = writing(table({ id: { type: 'string' }, name: { type: 'string' } }))
    await expect(openWriter(connection, renamed, format)).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining('Name') as string,
    })
    expect(await readAll(connection)).toEqual([{ id: 'a', Name: 'x' }])
  })
