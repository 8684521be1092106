import { afterAll, expect, test } from 'vitest'
import { requirePeer } from '@ecokit/peers/vitest'
import type { Checkpoint } from '@ecokit/contracts'
import { discoverAll, endServer, open, readAll, server } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)

peer.describe('source', () => {
  test('every type of PostgreSQL is read without loss', async () => {
    const running = await server()
    await running.sql(`CREATE TYPE choice AS ENUM ('a', 'b'); CREATE DOMAIN positive AS numeric(10,2) CHECK (value > 0); CREATE TYPE pair AS (x int, y text);
      CREATE TABLE every AS SELECT true AS bool, (-5)::smallint AS small, 7::int AS whole, 9007199254740993::bigint AS big, 12::bigint AS small_big,
        0.1::real AS single, 'NaN'::float8 AS not_a_number, '-Infinity'::float8 AS least, '-0'::float8 AS minus,
        1234567890123456.7891::numeric(20,4) AS exact, 1.500::numeric AS any_exact, 'NaN'::numeric AS no_exact, 3.5::positive AS domain,
        E'a\\u00e9\\t\\n\\r\\\\N' AS txt, 'ab'::char(4) AS padded, '\\xAA00'::bytea AS bytes, '0044-03-15 BC'::date AS ides, 'infinity'::date AS never,
        '23:59:59.000001'::time AS clock, '2024-02-29 12:00:00.123456'::timestamp AS local_time, '-infinity'::timestamp AS always,
        '2024-02-29 12:00:00.5+02'::timestamptz AS zoned, '294276-12-31 23:59:59.999999Z'::timestamptz AS far, 'b'::choice AS choice,
        'F47AC10B-58CC-4372-A567-0E02B2C3D479'::uuid AS id, interval '1 day 02:00' AS wait, '{1,NULL}'::bigint[] AS list, '{{1.5,2},{3,NULL}}'::numeric[] AS grid,
        ARRAY['a"b', E'c\\\\', NULL, 'NULL'] AS words, '{2024-01-01 00:00Z}'::timestamptz[] AS times, '{a,b}'::choice[] AS choices, '{}'::float4[] AS none,
        '{"n":12345678901234567890,"f":1.0,"d":0.1}'::jsonb AS doc, '[1, 2]'::json AS text_doc, ARRAY['{"a":[1]}'::jsonb] AS docs, ROW(1, 'x')::pair AS composite,
        '[1,5)'::int4range AS span, '10.0.0.0/8'::cidr AS net, NULL::int AS nothing;
      GRANT SELECT ON every TO writer`)
    const connection = await open()
    expect(await readAll(connection, 'every')).toStrictEqual([
      {
        bool: true,
        small: -5,
        whole: 7,
        big: 9007199254740993n,
        small_big: 12,
        single: Math.fround(0.1),
        not_a_number: NaN,
        least: -Infinity,
        minus: -0,
        exact: '1234567890123456.7891',
        any_exact: '1.500',
        no_exact: 'NaN',
        domain: '3.50',
        txt: 'aé\t\n\r\\N',
        padded: 'ab  ',
        bytes: 'qgA=',
        ides: '-000043-03-15',
        never: 'infinity',
        clock: '23:59:59.000001',
        local_time: '2024-02-29T12:00:00.123456',
        always: '-infinity',
        zoned: '2024-02-29T10:00:00.500Z',
        far: '+294276-12-31T23:59:59.999999Z',
        choice: 'b',
        id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
        wait: '1 day 02:00:00',
        list: [1, null],
        grid: [
          ['1.5', '2'],
          ['3', null],
        ],
        words: ['a"b', 'c\\', null, 'NULL'],
        times: ['2024-01-01T00:00:00Z'],
        choices: ['a', 'b'],
        none: [],
        doc: { n: 12345678901234567890n, f: 1, d: 0.1 },
        text_doc: [1, 2],
        docs: [{ a: [1] }],
        composite: '(1,x)',
        span: '[1,5)',
        net: '10.0.0.0/8',
        nothing: null,
      },
    ])
    const described = (await discoverAll(connection)).find(({ name }) => name === 'every')
    expect(described?.schema['properties']).toMatchObject({
      big: { type: ['integer', 'null'], format: 'int64' },
      exact: { type: ['string', 'null'], format: 'decimal', precision: 20, scale: 4 },
      domain: { format: 'decimal', precision: 10, scale: 2 },
      bytes: { contentEncoding: 'base64' },
      choice: { anyOf: [{ type: 'string', enum: ['a', 'b'] }, { type: 'null' }] },
      list: { type: ['array', 'null'], items: { type: ['integer', 'null'] } },
      zoned: { format: 'date-time' },
      id: { format: 'uuid' },
      doc: {},
    })
  })

  test('tables and views that the user may read are discovered, with keys; bookkeeping and others are not', async () => {
    const running = await server()
    await running.sql(`CREATE TABLE keyed (b text, a int NOT NULL, c text UNIQUE, PRIMARY KEY (b, a)); CREATE VIEW seen AS SELECT a + 1 AS z FROM keyed;
      CREATE TABLE hidden (x int); CREATE TABLE partly (x int, secret text); CREATE SCHEMA other; CREATE TABLE other.keyed (y int);
      CREATE TABLE _ecokit_mine (x int); CREATE TABLE parted (id int, day date) PARTITION BY RANGE (day); CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      INSERT INTO keyed VALUES ('x', 1, NULL); INSERT INTO other.keyed VALUES (5); INSERT INTO parted VALUES (1, '2024-05-05'); INSERT INTO partly VALUES (1, 'no');
      GRANT SELECT ON keyed, seen, parted TO reader; GRANT SELECT (x) ON partly TO reader; GRANT USAGE ON SCHEMA other TO reader; GRANT SELECT ON other.keyed TO reader`)
    const connection = await open('reader')
    const found = await discoverAll(connection)
    expect(found.map(({ name }) => name)).toEqual(['keyed', 'parted', 'partly', 'seen', 'other.keyed'])
    expect(found[0]).toMatchObject({
      primaryKey: ['b', 'a'],
      schema: { properties: { a: { type: 'integer' }, c: { type: ['string', 'null'] } } },
    })
    expect(found[4]?.dataset).toEqual({ namespace: `postgres://127.0.0.1:${running.port}`, name: 'ecokit.other.keyed' })
    expect(await readAll(connection, 'seen')).toEqual([{ z: 2 }])
    expect(await readAll(connection, 'partly')).toEqual([{ x: 1 }])
    expect(await readAll(connection, 'parted')).toEqual([{ id: 1, day: '2024-05-05' }])
    expect(await readAll(connection, 'other.keyed')).toEqual([{ y: 5 }])
    expect(connection.dataset?.('keyed', 'tables')).toEqual({
      namespace: `postgres://127.0.0.1:${running.port}`,
      name: 'ecokit.public.keyed',
    })
    await expect(readAll(connection, 'hidden')).rejects.toMatchObject({ code: 'not_found' })
    await expect(readAll(connection, 'partly', ['secret'])).rejects.toMatchObject({
      code: 'invalid_input',
      details: { field: 'columns' },
    })
    const there = await connection
      .write?.('tables', {
        table: { name: 'x', schema: { type: 'object', properties: { a: {} } } },
        disposition: 'append',
        run: 'r',
        key: 'k',
      })
      .catch((error: unknown) => error)
    expect(there).toMatchObject({ code: 'forbidden' })
  })

  test('a read goes on behind its checkpoint, in the order of the key, and sees the table as it was at one moment', async () => {
    const running = await server()
    await running.sql(`CREATE TABLE many (kind text COLLATE "C", n int, body text, PRIMARY KEY (kind, n));
      INSERT INTO many SELECT CASE n % 2 WHEN 0 THEN E'b\\t\\'' ELSE 'a' END, n, repeat('x', 2000) FROM generate_series(1, 5000) n; GRANT SELECT ON many TO reader`)
    const connection = await open('reader')
    const seen: number[] = []
    let checkpoint: Checkpoint | undefined
    let batches = 0
    for await (const batch of connection.read?.('many', { columns: ['n'] }) ?? []) {
      if (batches === 0) await running.sql("DELETE FROM many WHERE n > 4990; INSERT INTO many VALUES ('a', 0, 'new')")
      if (batch.encoding === 'records') seen.push(...batch.records.map((row) => Number(row['n'])))
      batches += 1
      checkpoint = batch.checkpoint
    }
    expect(seen.length).toBe(5000)
    await running.sql(
      "TRUNCATE many; INSERT INTO many SELECT 'a', n, repeat('x', 2000) FROM generate_series(1, 5000) n",
    )
    const rows: number[] = []
    batches = 0
    for await (const batch of connection.read?.('many') ?? []) {
      if (batch.encoding === 'records') rows.push(...batch.records.map((row) => Number(row['n'])))
      checkpoint = batch.checkpoint
      if ((batches += 1) === 2) break
    }
    const before = rows.length
    for await (const batch of connection.read?.('many', { checkpoint }) ?? [])
      if (batch.encoding === 'records') rows.push(...batch.records.map((row) => Number(row['n'])))
    expect(before).toBeLessThan(5000)
    expect(rows).toEqual(Array.from({ length: 5000 }, (_, index) => index + 1))
    const wrong = async () => {
      for await (const batch of connection.read?.('many', { checkpoint: { page: 1 } }) ?? [])
        expect(batch).toBeUndefined()
    }
    await expect(wrong()).rejects.toMatchObject({ code: 'invalid_input' })
  })

  test('a row of 20 MB is read whole, and batches are bounded by bytes', async () => {
    const running = await server()
    await running.sql(
      `CREATE TABLE wide AS SELECT n, repeat('é', CASE n WHEN 50 THEN 10000000 ELSE 50000 END) AS body FROM generate_series(1, 100) n; GRANT SELECT ON wide TO reader`,
    )
    const connection = await open('reader')
    let count = 0
    let batches = 0
    for await (const batch of connection.read?.('wide') ?? []) {
      if (batch.encoding !== 'records') continue
      batches += 1
      count += batch.records.length
      for (const { n, body } of batch.records) expect(String(body).length).toBe(n === 50 ? 10_000_000 : 50_000)
    }
    expect(count).toBe(100)
    expect(batches).toBeGreaterThan(3)
  })

  test('a read that is cancelled ends with cancelled, and its session is gone', async () => {
    const running = await server()
    await running.sql(`CREATE TABLE endless AS SELECT n, repeat('x', 1000) AS body FROM generate_series(1, 100000) n; GRANT SELECT ON endless TO reader;
      CREATE VIEW slow AS SELECT pg_sleep(60)::text; GRANT SELECT ON slow TO reader`)
    const connection = await open('reader')
    const controller = new AbortController()
    const reading = (async () => {
      for await (const batch of connection.read?.('endless', { signal: controller.signal }) ?? []) {
        expect(batch.encoding).toBe('records')
        controller.abort()
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' })
    const other = new AbortController()
    const waiting = (async () => {
      for await (const batch of connection.read?.('slow', { signal: other.signal }) ?? []) expect(batch).toBeUndefined()
    })()
    const running60 = () =>
      running.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%slow%' AND usename = 'reader'")
    await expect.poll(async () => (await running60()).length).toBe(1)
    other.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    await expect.poll(async () => (await running60()).length, { timeout: 10_000 }).toBe(0)
  })

  test('a read by a cursor is refused: tables have none', async () => {
    const connection = await open('reader')
    const read = async () => {
      for await (const batch of connection.read?.('keyed', { since: '1' }) ?? []) expect(batch).toBeUndefined()
    }
    await expect(read()).rejects.toMatchObject({ code: 'unsupported' })
  })
})
