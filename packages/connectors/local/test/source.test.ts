import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { isIntegrationError } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { discoverAll, open, openLake, put, readAll, table, temporaryFolder, writing } from './support.ts'

/** A DuckDB file as somebody else makes it; closed again. */
const madeBySql = async (...statements: readonly string[]): Promise<string> => {
  const database = path.join(await temporaryFolder(), 'theirs.duckdb')
  const instance = await DuckDBInstance.create(database)
  const connection = await instance.connect()
  for (const statement of statements) await connection.run(statement)
  connection.closeSync()
  instance.closeSync()
  return database
}

test('every type of DuckDB is read without loss', async () => {
  const connection = open({
    database: await madeBySql(
      `CREATE TABLE t AS SELECT
        true AS bool, (-128)::TINYINT AS tiny, 65535::USMALLINT AS ushort, 4294967295::UINTEGER AS uint,
        9007199254740993::BIGINT AS big, 12::BIGINT AS small_big, 18446744073709551615::UBIGINT AS ubig,
        170141183460469231731687303715884105727::HUGEINT AS huge,
        0.1::FLOAT AS single, 'nan'::DOUBLE AS not_a_number, '-inf'::DOUBLE AS least,
        1234567890123456.7891::DECIMAL(20,4) AS exact, (-0.5)::DECIMAL(3,1) AS half,
        'a\u00e9' AS txt, '\\xAA\\x00'::BLOB AS bytes, DATE '0044-03-15 (BC)' AS ides, 'infinity'::DATE AS never,
        TIME '23:59:59.000001' AS clock, TIMESTAMP '2024-02-29 12:00:00.123456' AS local_time, '-infinity'::TIMESTAMP AS always,
        TIMESTAMPTZ '2024-02-29 12:00:00.5+02' AS zoned, TIMESTAMP_NS '2024-01-01 00:00:00.123456789' AS nanos,
        TIMESTAMP_S '2024-01-01 00:00:01' AS seconds, TIMESTAMP_MS '1969-12-31 23:59:59.999' AS millis,
        'b'::ENUM('a', 'b') AS choice, 'f47ac10b-58cc-4372-a567-0e02b2c3d479'::UUID AS id, INTERVAL 1 DAY AS wait,
        [1, NULL] AS list, [1.5, 2.5]::DOUBLE[2] AS pair, {'a': 1, 'b': {'c': [9223372036854775807]}} AS nested,
        map {'k': 1.5::DOUBLE} AS named, map {1: 'x'} AS numbered, union_value(num := 2) AS either,
        '{"n":12345678901234567890,"f":1.0}'::JSON AS doc, '101'::BIT AS bits, NULL::INTEGER AS nothing`,
    ),
  })
  expect(await readAll(connection)).toStrictEqual([
    {
      bool: true,
      tiny: -128,
      ushort: 65535,
      uint: 4294967295,
      big: 9007199254740993n,
      small_big: 12,
      ubig: 18446744073709551615n,
      huge: 170141183460469231731687303715884105727n,
      single: Math.fround(0.1),
      not_a_number: NaN,
      least: -Infinity,
      exact: '1234567890123456.7891',
      half: '-0.5',
      txt: 'aé',
      bytes: 'qgA=',
      ides: '-000043-03-15',
      never: 'infinity',
      clock: '23:59:59.000001',
      local_time: '2024-02-29T12:00:00.123456',
      always: '-infinity',
      zoned: '2024-02-29T10:00:00.500Z',
      nanos: '2024-01-01T00:00:00.123456789',
      seconds: '2024-01-01T00:00:01',
      millis: '1969-12-31T23:59:59.999',
      choice: 'b',
      id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
      wait: '1 day',
      list: [1, null],
      pair: [1.5, 2.5],
      nested: { a: 1, b: { c: [9223372036854775807n] } },
      named: { k: 1.5 },
      numbered: [{ key: 1, value: 'x' }],
      either: { num: 2 },
      doc: { n: 12345678901234567890n, f: 1 },
      bits: '101',
      nothing: null,
    },
  ])
  const [described] = await discoverAll(connection)
  expect(described?.schema['properties']).toMatchObject({
    big: { type: ['integer', 'null'], format: 'int64' },
    exact: { type: ['string', 'null'], format: 'decimal', precision: 20, scale: 4 },
    bytes: { contentEncoding: 'base64' },
    choice: { anyOf: [{ type: 'string', enum: ['a', 'b'] }, { type: 'null' }] },
    named: { type: ['object', 'null'], additionalProperties: { type: ['number', 'null'] } },
    nested: { properties: { b: { properties: { c: { type: ['array', 'null'] } } } } },
    zoned: { format: 'date-time' },
    doc: {},
  })
})

test('tables and views of every schema are discovered, bookkeeping is not', async () => {
  const connection = open({
    database: await madeBySql(
      'CREATE TABLE a (x INTEGER)',
      'CREATE SCHEMA other',
      'CREATE TABLE other.a (y INTEGER)',
      'INSERT INTO other.a VALUES (1)',
      'CREATE VIEW seen AS SELECT y + 1 AS z FROM other.a',
      'CREATE TABLE _ecokit_mine (x INTEGER)',
      'CREATE TABLE gone (x INTEGER)',
      'CREATE VIEW broken AS SELECT * FROM gone',
      'DROP TABLE gone',
    ),
  })
  const found = await discoverAll(connection)
  expect(found.flatMap(({ name, fault }) => (fault === undefined ? [name] : []))).toEqual(['a', 'seen', 'other.a'])
  expect(found.flatMap(({ name, fault }) => (fault === undefined ? [] : [[name, fault.code, fault.message]]))).toEqual([
    ['broken', 'rejected', expect.stringMatching(/cannot describe table broken.*gone/) as string],
  ])
  expect(await readAll(connection, 'seen')).toEqual([{ z: 2 }])
  expect(await readAll(connection, 'other.a')).toEqual([{ y: 1 }])
  await expect(readAll(connection, 'broken')).rejects.toMatchObject({
    message: expect.stringContaining('gone') as string,
  })
})

test('a table that cannot be described is told with its fault and hides no other', async () => {
  const folder = await temporaryFolder()
  const connection = open({ folder })
  for (const name of ['kept', 'a b'])
    await put(connection, writing(table({ x: {} }, undefined, name)), [{ x: 1 }], 'csv')
  const manifest = path.join(folder, 'a%20b', '_manifest.json')
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"rows": 1', '"rows": 2'))
  await mkdir(path.join(folder, 'many'))
  await writeFile(path.join(folder, 'many', 'one.csv'), 'a\n1\n')
  await writeFile(path.join(folder, 'many', 'two.csv'), '')
  await writeFile(path.join(folder, 'doubled.csv'), 'a,b,a\n')
  await writeFile(path.join(folder, 'no.parquet'), 'no Parquet')
  await writeFile(path.join(folder, 'good.csv'), 'a\n1\n')
  const found = await discoverAll(connection)
  const faults = Object.fromEntries(found.map(({ name, fault }) => [name, fault?.message]))
  expect(faults).toEqual({
    kept: undefined,
    good: undefined,
    'a b': expect.stringMatching(/_manifest\.json cannot be read: it is damaged/) as string,
    many: expect.stringMatching(/two\.csv:1:1: there is no header line/) as string,
    doubled: expect.stringMatching(/doubled\.csv:1:1: two columns have the same name/) as string,
    no: expect.stringMatching(/cannot describe table no /) as string,
  })
  const said = (name: string): Promise<unknown> =>
    readAll(connection, name).then(
      (rows) => rows.length,
      (error: unknown) => isIntegrationError(error),
    )
  const read = Object.fromEntries(await Promise.all(found.map(async ({ name }) => [name, await said(name)] as const)))
  expect(read).toEqual({ kept: 1, good: 1, 'a b': true, many: true, doubled: true, no: true })
})

test('the sign of zero in lines of others is not lost in a column of whole numbers', async () => {
  const folder = await temporaryFolder()
  await writeFile(path.join(folder, 'm.ndjson'), '{"x":1,"n":1}\n{"x":-0.0,"n":0}\n')
  const connection = open({ folder })
  expect((await discoverAll(connection))[0]?.schema['properties']).toEqual({
    x: { type: ['null', 'number'] },
    n: { type: ['integer', 'null'] },
  })
})

test('names that look like SQL are only names', async () => {
  const { connection } = await openLake()
  await put(connection, writing(table({ x: {} }, undefined, 'safe')), [{ x: 1 }])
  const nasty = [
    't"; DROP TABLE safe; --',
    "it's",
    'a.b',
    'select',
    ' ',
    '%',
    '\\',
    'x]y',
    '--',
    '$1',
    'ü\n',
    '__proto__',
  ]
  for (const name of nasty) {
    const described = table(Object.fromEntries(nasty.map((column) => [column, { type: 'string' }])), [name], name)
    const record = Object.fromEntries(nasty.map((column) => [column, `${column}'"`]))
    for (const disposition of ['append', 'merge', 'overwrite'] as const)
      expect(await put(connection, writing(described, { disposition }), [record, record])).toEqual([])
    expect(await readAll(connection, name, [name])).toEqual([
      Object.fromEntries([[name, `${name}'"`]]),
      Object.fromEntries([[name, `${name}'"`]]),
    ])
  }
  expect(await readAll(connection, 'safe')).toEqual([{ x: 1 }])
  await expect(readAll(connection, 'safe', ['x" FROM other; --'])).rejects.toMatchObject({ code: 'invalid_input' })
})

test('names that no table can have are refused with the field', async () => {
  const { connection } = await openLake()
  const refused = [
    [table({ '': {} }), 'table.schema.properties.'],
    [table({ Id: {}, id: {} }), 'table.schema.properties.id'],
    [table({ _ecokit_order: {} }), 'table.schema.properties._ecokit_order'],
    [table({ 'a\0': {} }), 'table.schema.properties.a\0'],
    [table({}), 'table.schema'],
    [table({ a: {} }, ['b']), 'table.primaryKey'],
    [table({ a: {} }, undefined, '_ecokit_tables'), 'table.name'],
    [table({ a: {} }, undefined, ''), 'table.name'],
  ] as const
  for (const [described, field] of refused)
    await expect(connection.write?.('tables', writing(described))).rejects.toMatchObject({
      code: 'invalid_input',
      details: { field },
    })
})

test('only the columns that are asked for are read', async () => {
  const { connection } = await openLake()
  await put(connection, writing(table({ a: {}, b: {} })), [{ a: 1, b: 2 }])
  expect(await readAll(connection, 't', ['b'])).toEqual([{ b: 2 }])
  await expect(readAll(connection, 't', ['c'])).rejects.toMatchObject({
    code: 'invalid_input',
    details: { field: 'columns' },
  })
})

test('batches are bounded by bytes', async () => {
  const { connection } = await openLake()
  const rows = Array.from({ length: 300 }, (_, id) => ({ id, text: 'x'.repeat(50_000) }))
  await put(connection, writing(table({ id: { type: 'integer' }, text: { type: 'string' } })), rows)
  let batches = 0
  let count = 0
  for await (const batch of connection.read?.('t') ?? []) {
    batches += 1
    const bytes = batch.encoding === 'records' ? JSON.stringify(batch.records).length : 0
    expect(bytes).toBeLessThan(4_000_000)
    count += batch.encoding === 'records' ? batch.records.length : 0
  }
  expect(count).toBe(300)
  expect(batches).toBeGreaterThan(4)
})

test('files of others: CSV gives texts, NDJSON what JSON says, Parquet its types', async () => {
  const folder = await temporaryFolder()
  await writeFile(path.join(folder, 'people.csv'), '\ufeffname,zip\r\n"Ann ""A""",007\r\n,""\r\n')
  await mkdir(path.join(folder, 'events'))
  await writeFile(
    path.join(folder, 'events', '1.jsonl'),
    '{"id":9007199254740993,"x":1}\n\n{"id":2,"x":1.5,"tags":["a"]}',
  )
  await writeFile(path.join(folder, 'events', '2.ndjson'), '{"id":null}\n')
  await madeBySql(
    `COPY (SELECT 1::BIGINT AS a, [{'b': 2}] AS c) TO '${path.join(folder, 'p.parquet')}' (FORMAT parquet)`,
  )
  const connection = open({ folder })
  expect(await discoverAll(connection)).toMatchObject([
    { name: 'events', schema: { properties: { id: { type: ['integer', 'null'] }, x: { type: ['null', 'number'] } } } },
    { name: 'p', schema: { properties: { a: { type: ['integer', 'null'], format: 'int64' } } } },
    {
      name: 'people',
      schema: { properties: { name: { type: ['string', 'null'] }, zip: { type: ['string', 'null'] } } },
    },
  ])
  expect(await readAll(connection, 'people')).toEqual([
    { name: 'Ann "A"', zip: '007' },
    { name: null, zip: '' },
  ])
  expect(await readAll(connection, 'events')).toEqual([
    { id: 9007199254740993n, x: 1 },
    { id: 2, x: 1.5, tags: ['a'] },
    { id: null },
  ])
  expect(await readAll(connection, 'p')).toEqual([{ a: 1, c: [{ b: 2 }] }])
})

test('one name in the database and in the folder, and two files of one name, are told apart', async () => {
  const base = await temporaryFolder()
  const connection = open({ database: path.join(base, 'x.duckdb'), folder: base })
  await put(connection, writing(table({ a: {} })), [{ a: 'database' }])
  await writeFile(path.join(base, 't.csv'), 'a\nfolder\n')
  await writeFile(path.join(base, 't.ndjson'), '{"a":"lines"}\n')
  expect((await discoverAll(connection)).map(({ name }) => name)).toEqual(['t', 'folder/t', 't.ndjson'])
  expect(await readAll(connection, 't')).toEqual([{ a: 'database' }])
  expect(await readAll(connection, 'folder/t')).toEqual([{ a: 'folder' }])
  expect(await readAll(connection, 't.ndjson')).toEqual([{ a: 'lines' }])
})

test('a read that is cancelled ends with cancelled', async () => {
  const { connection } = await openLake()
  await put(
    connection,
    writing(table({ a: {} })),
    Array.from({ length: 5000 }, (_, a) => ({ a: `${a}${'x'.repeat(2000)}` })),
  )
  const controller = new AbortController()
  const reading = (async () => {
    for await (const batch of connection.read?.('t', { signal: controller.signal }) ?? []) {
      expect(batch.encoding).toBe('records')
      controller.abort()
    }
  })()
  await expect(reading).rejects.toMatchObject({ code: 'cancelled' })
})

test('a read by a cursor is refused: tables have none', async () => {
  const { connection } = await openLake()
  await put(connection, writing(table({ a: {} })), [])
  const read = async () => {
    for await (const batch of connection.read?.('t', { since: '1' }) ?? []) expect(batch).toBeUndefined()
  }
  await expect(read()).rejects.toMatchObject({ code: 'unsupported' })
})

test('lineage calls tables by their absolute paths, the same ones for what is written and what is read', async () => {
  const folder = await temporaryFolder()
  const connection = open({ database: path.join(folder, 'lake.duckdb'), folder: path.join(folder, 'files') })
  await mkdir(path.join(folder, 'files', 'plain'), { recursive: true })
  await writeFile(path.join(folder, 'files', 'loose.csv'), 'id\n1\n')
  await writeFile(path.join(folder, 'files', 'plain', 'one.csv'), 'id\n1\n')
  const append = writing(table({ id: { type: 'integer' } }))
  await put(connection, append, [{ id: 1 }])
  await put(connection, append, [{ id: 1 }], 'parquet')
  const names = (await discoverAll(connection)).map(({ dataset }) => dataset?.name)
  expect(names.toSorted()).toEqual(
    ['files/loose.csv', 'files/plain', 'files/t', 'lake.duckdb/t'].map((name) => path.join(folder, name)),
  )
  expect(names).toContain(connection.dataset?.('t', 'tables')?.name)
  expect(names).toContain(connection.dataset?.('t', 'parquet')?.name)
})
