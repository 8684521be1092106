import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { AnyRecord, Batch, Discovered } from '@ecokit/contracts'
import { connect, local } from '../src/index.ts'
import { discoverAll, openWriter, put, readAll, records, table, temporaryFolder, writing } from './support.ts'

const formats = ['parquet', 'csv', 'ndjson'] as const
const runs = table({ id: { type: 'integer' }, day: { type: 'string' }, good: { type: 'boolean' } })
const odd = `${'long '.repeat(100)}é`
const rows = [
  { id: 1, day: '2024-01-01', good: true },
  { id: 2, day: 'a/b', good: true },
  { id: 3, day: '..', good: false },
  { id: 4, day: null, good: null },
  { id: 5, day: '', good: null },
  { id: 6, day: 'é %=*[?\u0000\n"\\', good: true },
  { id: 7, day: '2024-01-01', good: true },
  { id: 8, day: '__HIVE_DEFAULT_PARTITION__', good: null },
  { id: 9, day: odd, good: true },
  { id: 10, day: `${odd}!`, good: true },
  { id: 11, day: 'A', good: true },
  { id: 12, day: 'a', good: true },
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
const under = async (folder: string) =>
  (await readdir(path.join(folder, 't'), { recursive: true }))
    .filter((name) => name.includes('='))
    .map((name) => name.replaceAll(path.sep, '/'))
    .toSorted()
const isPart = (name: string) => /part-\d{6}-\d+\.\w+$/.test(name)
const files = async (folder: string) => (await under(folder)).filter(isPart)
const folders = async (folder: string) => [...new Set((await files(folder)).map((name) => path.posix.dirname(name)))]
/** What DuckDB makes of the same files by itself. */
const ask = async (sql: string): Promise<unknown> => {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

for (const format of formats) {
  test(`${format} is written into folders by value, committed and replaced in one step, and read as it was`, async () => {
    const folder = await temporaryFolder()
    const connection = open(folder, { t: ['day', 'good'] })
    const writer = await openWriter(connection, writing(runs), format)
    await writer.write(records(...rows.slice(0, 3)))
    await writer.commit({ page: 1 })
    await writer.write(lines(rows.slice(3)))
    expect(sorted(await readAll(connection))).toEqual(rows.slice(0, 3))
    await writer.commit({ page: 2 })
    expect(sorted(await readAll(connection))).toEqual(rows)
    expect(await writer.query?.('SELECT count(DISTINCT id) AS n FROM {table}')).toEqual([{ n: 12 }])
    await writer[Symbol.asyncDispose]()
    expect(sorted(await readAll(connection))).toEqual(rows)
    const first = await folders(folder)
    expect(first).toHaveLength(11)
    expect(first).toEqual(
      expect.arrayContaining([
        'day=/good=__HIVE_DEFAULT_PARTITION__',
        'day=.%2E/good=false',
        'day=%5F_HIVE_DEFAULT_PARTITION__/good=__HIVE_DEFAULT_PARTITION__',
        'day=2024-01-01/good=true',
        'day=A/good=true',
        'day=__HIVE_DEFAULT_PARTITION__/good=__HIVE_DEFAULT_PARTITION__',
        'day=a%2Fb/good=true',
      ]),
    )
    // A file system that does not tell A from a must not lose one of them.
    expect(new Set((await files(folder)).map((name) => name.toLowerCase())).size).toBe((await files(folder)).length)
    const overwrite = await openWriter(connection, writing(runs, { disposition: 'overwrite' }), format)
    await overwrite.write(lines(rows.slice(0, 2)))
    await overwrite.commit({ page: 1 })
    expect(sorted(await readAll(connection))).toEqual(rows)
    await overwrite.commit(undefined, { final: true })
    expect(sorted(await readAll(connection))).toEqual(rows.slice(0, 2))
    await overwrite[Symbol.asyncDispose]()
    expect(await files(folder)).toHaveLength(2)
    // Folders of values that no row has any more are gone with their files.
    expect((await under(folder)).filter((name) => !isPart(name))).toEqual([
      'day=2024-01-01',
      'day=2024-01-01/good=true',
      'day=a%2Fb',
      'day=a%2Fb/good=true',
    ])
    // What is not committed leaves nothing.
    const lost = await openWriter(connection, writing(runs), format)
    await lost.write(records(...rows))
    await lost.query?.('SELECT 1')
    await lost[Symbol.asyncDispose]()
    expect(await files(folder)).toHaveLength(2)
    await rm(path.join(folder, 't', '_staged'), { recursive: true })
  })

  test(`${format}: a part with one changed byte is refused, and parts of another layout stay readable`, async () => {
    const folder = await temporaryFolder()
    await put(open(folder, {}), writing(runs), rows.slice(0, 2), format)
    await put(open(folder, { t: ['good'] }), writing(runs), rows.slice(2, 5), format)
    const more = {
      ...runs,
      schema: { ...runs.schema, properties: { ...(runs.schema['properties'] as object), zone: { type: 'string' } } },
    }
    await put(open(folder, { t: ['zone'] }), writing(more), [{ id: 6, zone: 'x' }], format)
    const connection = open(folder, {})
    expect(sorted(await readAll(connection))).toEqual([
      ...rows.slice(0, 5).map((row) => ({ ...row, zone: null })),
      { id: 6, day: null, good: null, zone: 'x' },
    ])
    const [file = ''] = await files(folder)
    const whole = await readFile(path.join(folder, 't', file))
    whole[whole.length - 5] = (whole[whole.length - 5] ?? 0) ^ 1
    await writeFile(path.join(folder, 't', file), whole)
    await expect(readAll(connection)).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining(`${file} is damaged`) as string,
    })
  })

  test(`${format}: lines that a writer left are folded by the next, whatever it partitions by`, async () => {
    const folder = await temporaryFolder()
    const left = await openWriter(open(folder, { t: ['day'] }), writing(runs), format)
    await left.write(lines(rows))
    await left.commit({ page: 1 })
    // As a process that died leaves it: committed, and still in the staging folder.
    const copy = await temporaryFolder()
    await cp(folder, copy, { recursive: true, filter: (name) => !name.includes('_lock') })
    await left[Symbol.asyncDispose]()
    expect((await readdir(path.join(copy, 't', '_staged'))).filter((name) => name.endsWith('.lines'))).toHaveLength(1)
    expect(sorted(await readAll(open(copy, {})))).toEqual(rows)
    const next = await openWriter(open(copy, { t: ['good'] }), writing(runs), format)
    expect(await next.resumesFrom()).toEqual({ page: 1 })
    await next[Symbol.asyncDispose]()
    expect((await folders(copy)).toSorted()).toEqual(['good=__HIVE_DEFAULT_PARTITION__', 'good=false', 'good=true'])
    expect(sorted(await readAll(open(copy, {})))).toEqual(rows)
  })

  test(`${format}: folders of a time are cut at its year, month, day or hour in UTC`, async () => {
    const times = table({
      id: { type: 'integer' },
      at: { type: 'string', format: 'date-time' },
      here: { type: 'string', format: 'local-date-time' },
      on: { type: 'string', format: 'date' },
    })
    const given = [
      { id: 1, at: '2026-12-31T23:30:00-05:00', here: '2026-12-31T23:30:00', on: '2026-02-28' },
      { id: 2, at: '2027-01-01T04:59:59.999999Z', here: '1969-12-31T23:59:59.999999', on: '0044-01-01' },
      { id: 3, at: '1969-12-31T23:59:59Z', here: null, on: null },
      { id: 4, at: 'infinity', here: '-infinity', on: 'infinity' },
      { id: 5, at: null, here: '+010000-01-01T00:00:00', on: '+010000-05-01' },
      { id: 6, at: '-infinity', here: '-000043-03-15T12:00:00', on: '-000043-03-15' },
    ]
    const expected: Record<string, readonly string[]> = {
      'year(at)': ['-infinity', '1969', '2027', '__HIVE_DEFAULT_PARTITION__', 'infinity'],
      'month(at)': ['-infinity', '1969-12', '2027-01', '__HIVE_DEFAULT_PARTITION__', 'infinity'],
      'day(at)': ['-infinity', '1969-12-31', '2027-01-01', '__HIVE_DEFAULT_PARTITION__', 'infinity'],
      'hour(at)': ['-infinity', '1969-12-31-23', '2027-01-01-04', '__HIVE_DEFAULT_PARTITION__', 'infinity'],
      'hour(here)': [
        '%2B010000-01-01-00',
        '-000043-03-15-12',
        '-infinity',
        '1969-12-31-23',
        '2026-12-31-23',
        '__HIVE_DEFAULT_PARTITION__',
      ],
      'month(on)': ['%2B010000-05', '-000043-03', '0044-01', '2026-02', '__HIVE_DEFAULT_PARTITION__', 'infinity'],
      'day(on)': [
        '%2B010000-05-01',
        '-000043-03-15',
        '0044-01-01',
        '2026-02-28',
        '__HIVE_DEFAULT_PARTITION__',
        'infinity',
      ],
    }
    for (const [by, names] of Object.entries(expected)) {
      const folder = await temporaryFolder()
      const connection = open(folder, { t: [by] })
      await put(connection, writing(times), given, format)
      const column = by.replace(/^(\w+)\((\w+)\)$/, '$2_$1')
      expect((await folders(folder)).toSorted()).toEqual(names.map((name) => `${column}=${name}`).toSorted())
      expect(sorted(await readAll(connection)).map(({ at }) => at)).toEqual([
        '2027-01-01T04:30:00Z',
        '2027-01-01T04:59:59.999999Z',
        '1969-12-31T23:59:59Z',
        'infinity',
        null,
        '-infinity',
      ])
    }
  })

  test(`${format}: as many files as there are values, for records and for lines, with the same rows in each`, async () => {
    const described = table({
      id: { type: 'integer' },
      at: { type: 'string', format: 'date-time', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' },
      name: { type: 'string' },
      whole: { type: 'integer' },
    })
    const row = fc.record({
      at: fc
        .date({ min: new Date('1960-01-01T00:00:00Z'), max: new Date('2040-01-01T00:00:00Z'), noInvalidDate: true })
        .map((date) => `${date.toISOString().slice(0, 19)}Z`),
      name: fc.option(fc.oneof(fc.constantFrom('', '.', '/', '__HIVE_DEFAULT_PARTITION__', '%'), fc.string())),
      whole: fc.option(fc.integer({ min: -3, max: 3 })),
    })
    const connections = async (by: string[]) => {
      const folder = await temporaryFolder()
      return { folder, connection: open(folder, { t: by }) }
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 10 }),
        fc.constantFrom('year', 'month', 'day', 'hour'),
        async (found, unit) => {
          const all = found.map((one, id) => ({ id, ...one }))
          const by = [`${unit}(at)`, 'name', 'whole']
          const [byRecords, byLines] = [await connections(by), await connections(by)]
          const batchOf = { records: (given: readonly AnyRecord[]) => records(...given), lines }
          for (const [way, { connection }] of [
            ['records', byRecords],
            ['lines', byLines],
          ] as const) {
            const writer = await openWriter(connection, writing(described), format)
            // A commit for each, as for slow pages.
            for (const one of all) {
              await writer.write(batchOf[way]([one]))
              await writer.commit({ page: one.id })
            }
            await writer.commit(undefined, { final: true })
            await writer[Symbol.asyncDispose]()
          }
          expect(sorted(await readAll(byLines.connection))).toEqual(all)
          expect(sorted(await readAll(byRecords.connection))).toEqual(all)
          expect((await folders(byLines.folder)).toSorted()).toEqual((await folders(byRecords.folder)).toSorted())
          const length = { year: 4, month: 7, day: 10, hour: 13 }[unit]
          const values = all.map(({ at, name, whole }) => JSON.stringify([at.slice(0, length), name, whole]))
          for (const { folder } of [byRecords, byLines]) expect(await files(folder)).toHaveLength(new Set(values).size)
        },
      ),
      { numRuns: 4, seed: 20_261_122 },
    )
  })
}

test('parquet: rows that a writer left are parted by a column that they do not have', async () => {
  const folder = await temporaryFolder()
  await put(open(folder, {}), writing(runs), rows.slice(0, 2), 'parquet')
  const bare = table({ id: { type: 'integer' } })
  const left = await openWriter(open(folder, {}), writing(bare), 'parquet')
  await left.write(records({ id: 20 }, { id: 21 }))
  await left.commit({ page: 1 })
  const died = await temporaryFolder()
  await cp(folder, died, { recursive: true, filter: (name) => !name.includes('_lock') })
  await left[Symbol.asyncDispose]()
  const connection = open(died, { t: ['day'] })
  await put(connection, writing(runs), rows.slice(2, 3), 'parquet')
  expect(sorted(await readAll(connection))).toEqual([
    ...rows.slice(0, 3),
    { id: 20, day: null, good: null },
    { id: 21, day: null, good: null },
  ])
  expect(await folders(died)).toEqual(['day=.%2E', 'day=__HIVE_DEFAULT_PARTITION__'])
})

test('other tools read folders and files alike', async () => {
  const folder = await temporaryFolder()
  const connection = open(folder, { p: ['day', 'day(at)'], c: ['day', 'day(at)'], n: ['day', 'day(at)'] })
  const named = (name: string): Discovered =>
    table({ id: { type: 'integer' }, day: { type: 'string' }, at: { type: 'string', format: 'date-time' } }, [], name)
  const given = ['x', 'a/b', 'é %=*[?', null, 'last'].map((day, id) => ({ id, day, at: '2026-11-22T10:00:00Z' }))
  for (const [format, name] of [
    ['parquet', 'p'],
    ['csv', 'c'],
    ['ndjson', 'n'],
  ] as const) {
    await put(connection, writing(named(name)), given, format)
    const reader = { parquet: 'read_parquet', csv: 'read_csv', ndjson: 'read_json' }[format]
    const typed = format === 'parquet' ? '' : ", hive_types = {'day': VARCHAR}"
    const from = `${reader}('${folder}/${name}/**/*.${format}', hive_partitioning = true${typed})`
    const found = await ask(`SELECT id, day, CAST(at_day AS VARCHAR) AS at_day FROM ${from} ORDER BY id`)
    expect(found).toEqual(given.map(({ id, day }) => ({ id: String(id), day, at_day: '2026-11-22' })))
  }
  expect((await discoverAll(connection)).map(({ schema }) => Object.keys(schema['properties'] as object))).toEqual(
    Array.from({ length: 3 }, () => ['id', 'day', 'at']),
  )
})

test('what cannot be partitioned is refused by name', async () => {
  const folder = await temporaryFolder()
  const described = table({
    id: { type: 'integer' },
    day: { type: 'string' },
    value: { type: 'number' },
    at: { type: 'string', format: 'date-time' },
    on: { type: 'string', format: 'date' },
    AT_Year: { type: 'string' },
  })
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [['nothing'], /has no column nothing/],
    [['day(nothing)'], /has no column nothing/],
    [['value'], /value cannot be partitioned by/],
    [['at'], /write year\(at\), month\(at\), day\(at\) or hour\(at\)/],
    [['day(day)'], /day has no year, month, day or hour/],
    [['hour(on)'], /on has no hour/],
    [['year(at)'], /at_year.*AT_Year/],
    [['day', 'day'], /day stands there twice/],
  ]
  for (const format of formats) {
    for (const [by, message] of wrong)
      await expect(openWriter(open(folder, { t: by }), writing(described), format)).rejects.toMatchObject({
        code: 'invalid_config',
        message: expect.stringMatching(message) as string,
      })
    await openWriter(open(folder, { other: ['nothing'] }), writing({ ...described, name: format }), format)
  }
  for (const by of ['week(at)', 'a b', 'day()', '']) expect(() => open(folder, { t: [by] })).toThrow(/partitionBy/)
})
