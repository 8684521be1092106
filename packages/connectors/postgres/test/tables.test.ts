import { afterAll, expect, test } from 'vitest'
import { requirePeer } from '@ecokit/peers/vitest'
import { discoverAll, endServer, open, openWriter, put, readAll, records, server, table, writing } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)

peer.describe('tables', () => {
  const idAndValue = () => table({ id: { type: 'string' }, value: { type: 'integer' } }, ['id'])

  test('append adds, and nothing is seen before the commit', async () => {
    const connection = await open()
    const t = idAndValue()
    await put(connection, writing(t), [{ id: 'a', value: 1 }])
    const writer = await openWriter(connection, writing(t))
    await writer.write(records({ id: 'b', value: 2 }))
    expect(await readAll(connection, t.name)).toEqual([{ id: 'a', value: 1 }])
    await writer.commit({ page: 1 })
    expect(await readAll(connection, t.name)).toEqual([
      { id: 'a', value: 1 },
      { id: 'b', value: 2 },
    ])
    expect(await writer.resumesFrom()).toEqual({ page: 1 })
    await writer.write(records({ id: 'c', value: 3 }))
    await writer[Symbol.asyncDispose]()
    expect(await readAll(connection, t.name)).toHaveLength(2)
  })

  test('merge: the last record of a key wins, parts of a key may be null, and NaN equals NaN', async () => {
    const connection = await open()
    const t = table({ a: { type: 'string' }, b: { type: 'number' }, v: { type: 'integer' } }, ['a', 'b'])
    await put(connection, writing(t, { disposition: 'merge' }), [
      { a: 'x', b: null, v: 1 },
      { a: null, b: 1, v: 2 },
      { a: 'x', b: NaN, v: 3 },
      { a: 'x', b: null, v: 4 },
    ])
    await put(connection, writing(t, { disposition: 'merge' }), [
      { a: null, b: 1, v: 5 },
      { a: 'x', b: NaN, v: 6 },
      { a: 'y', b: 0, v: 7 },
    ])
    const rows = await readAll(connection, t.name)
    expect(rows.toSorted((one, other) => Number(one['v']) - Number(other['v']))).toEqual([
      { a: 'x', b: null, v: 4 },
      { a: null, b: 1, v: 5 },
      { a: 'x', b: NaN, v: 6 },
      { a: 'y', b: 0, v: 7 },
    ])
  })

  test("merge into somebody else's table without a unique index updates in place", async () => {
    const connection = await open()
    const running = await server()
    await running.sql(`CREATE TABLE theirs (id text, part int, value bigint, more text DEFAULT 'kept');
      INSERT INTO theirs VALUES ('a', NULL, 1, 'mine'), ('b', 1, 2, 'mine'), ('c', 1, 3, 'mine');
      GRANT SELECT, INSERT, UPDATE, DELETE ON theirs TO writer`)
    const t = table(
      { id: { type: 'string' }, part: { type: 'integer' }, value: { type: 'integer' } },
      ['id', 'part'],
      'theirs',
    )
    await running.sql('ALTER TABLE theirs ALTER part TYPE bigint')
    const writer = await openWriter(connection, writing(t, { disposition: 'merge' }))
    await writer.write({
      ...records(
        { id: 'a', part: null, value: 10 },
        { id: 'b', part: 1, value: 20 },
        { id: 'd', part: null, value: 30 },
      ),
      deleted: [{ id: 'c', part: 1 }],
    })
    await writer.commit(undefined, { final: true })
    expect(await running.sql('SELECT * FROM theirs ORDER BY id')).toEqual([
      { id: 'a', part: null, value: '10', more: 'mine' },
      { id: 'b', part: '1', value: '20', more: 'mine' },
      { id: 'd', part: null, value: '30', more: 'kept' },
    ])
  })

  test('deletes take what came before them, in the order of the batches', async () => {
    const connection = await open()
    for (const disposition of ['merge', 'append'] as const) {
      const t = idAndValue()
      const writer = await openWriter(connection, writing(t, { disposition }))
      await writer.write(records({ id: 'a', value: 1 }, { id: 'b', value: 1 }))
      await writer.commit({ page: 1 })
      await writer.write({ ...records({ id: 'c', value: 2 }), deleted: [{ id: 'a' }, { id: 'c' }] })
      await writer.write(records({ id: 'c', value: 3 }))
      await writer.commit({ page: 2 })
      expect(await readAll(connection, t.name)).toEqual([
        { id: 'b', value: 1 },
        { id: 'c', value: 3 },
      ])
    }
  })

  test('soft deletes keep the row with its time, and a record that comes back clears it', async () => {
    const connection = await open()
    for (const disposition of ['merge', 'append'] as const) {
      const t = idAndValue()
      const options = writing(t, { disposition, deletes: 'soft' })
      await put(connection, options, [
        { id: 'a', value: 1 },
        { id: 'b', value: 1 },
      ])
      const writer = await openWriter(connection, options)
      await writer.write({ ...records({ id: 'x', value: 9 }), deleted: [{ id: 'a' }, { id: 'x' }] })
      await writer.commit(undefined)
      const byId = async () =>
        (await readAll(connection, t.name)).toSorted((p, q) => (String(p['id']) < String(q['id']) ? -1 : 1))
      const time = expect.stringMatching(/Z$/) as string
      expect(await byId()).toEqual([
        { id: 'a', value: 1, _deleted_at: time },
        { id: 'b', value: 1, _deleted_at: null },
        { id: 'x', value: 9, _deleted_at: time },
      ])
      if (disposition === 'append') continue
      await writer.write(records({ id: 'a', value: 2 }))
      await writer.commit(undefined)
      expect((await byId())[0]).toEqual({ id: 'a', value: 2, _deleted_at: null })
    }
  })

  test('a pass with prune ends with what it brought, hard and soft, and says how many went', async () => {
    const connection = await open()
    for (const deletes of ['hard', 'soft'] as const) {
      const t = idAndValue()
      await put(connection, writing(t, { disposition: 'merge', deletes }), [
        { id: 'a', value: 1 },
        { id: 'b', value: 1 },
        { id: 'c', value: 1 },
      ])
      const options = writing(t, { disposition: 'merge', prune: true, deletes })
      const first = await openWriter(connection, options)
      await first.write(records({ id: 'a', value: 2 }))
      await first.commit({ page: 1 })
      await first[Symbol.asyncDispose]()
      const second = await openWriter(connection, options)
      expect(await second.resumesFrom()).toEqual({ page: 1 })
      await second.write(records({ id: 'b', value: 2 }))
      expect(await second.commit({ page: 2 }, { final: true })).toEqual({ pruned: 1 })
      const rows = await readAll(connection, t.name)
      const gone = rows.filter((row) => (row['_deleted_at'] ?? null) !== null).map((row) => row['id'])
      expect([rows.length, gone]).toEqual(deletes === 'hard' ? [2, []] : [3, ['c']])
    }
  })

  test('overwrite: readers see the old rows until the end; an unfinished pass goes on, or starts anew', async () => {
    const connection = await open()
    const t = idAndValue()
    await put(connection, writing(t), [{ id: 'old', value: 1 }])
    const options = writing(t, { disposition: 'overwrite' })
    const first = await openWriter(connection, options)
    await first.write(records({ id: 'a', value: 1 }))
    await first.commit({ page: 1 })
    expect(await readAll(connection, t.name)).toEqual([{ id: 'old', value: 1 }])
    await first[Symbol.asyncDispose]()
    const second = await openWriter(connection, options)
    expect(await second.resumesFrom()).toEqual({ page: 1 })
    await second.write(records({ id: 'b', value: 1 }))
    expect(await second.query?.('SELECT count(*) AS n FROM {table}')).toEqual([{ n: 2 }])
    await second.commit({ page: 2 }, { final: true })
    expect(await readAll(connection, t.name)).toHaveLength(2)
    await second[Symbol.asyncDispose]()
    const third = await openWriter(connection, options)
    await third.write(records({ id: 'c', value: 1 }))
    await third.commit({ page: 3 }, { final: true })
    expect(await readAll(connection, t.name)).toEqual([{ id: 'c', value: 1 }])
    const running = await server()
    expect(
      await running.sql("SELECT relname FROM pg_class WHERE relname ~ '^_ecokit_(rows|keys)' AND relkind = 'r'"),
    ).toEqual([])
  })

  test('overwrite keeps grants, views and indexes where the columns stay, and is refused where a view needs others', async () => {
    const connection = await open()
    const running = await server()
    const t = idAndValue()
    await put(connection, writing(t), [{ id: 'old', value: 1 }])
    await running.sql(
      `GRANT SELECT ON ${t.name} TO reader; CREATE VIEW v_${t.name} AS SELECT value FROM ${t.name}; CREATE INDEX i_${t.name} ON ${t.name} (value)`,
    )
    await put(connection, writing(t, { disposition: 'overwrite' }), [{ id: 'new', value: 2 }])
    expect(await running.sql(`SELECT * FROM v_${t.name}`)).toEqual([{ value: '2' }])
    const reader = await open('reader')
    expect(await readAll(reader, t.name)).toEqual([{ id: 'new', value: 2 }])
    expect(await running.sql(`SELECT indexname FROM pg_indexes WHERE tablename = '${t.name}'`)).toEqual([
      { indexname: `i_${t.name}` },
    ])
    const other = {
      ...t,
      schema: { type: 'object', properties: { id: { type: 'string' }, value: { type: 'string' } } },
    }
    const writer = await openWriter(connection, writing(other, { disposition: 'overwrite' }))
    await writer.write(records({ id: 'x', value: 'x' }))
    await expect(writer.commit(undefined, { final: true })).rejects.toMatchObject({ code: 'conflict' })
    expect(await readAll(connection, t.name)).toEqual([{ id: 'new', value: 2 }])
  })

  test('new columns are added, types widen where nothing can be lost, and other changes are refused', async () => {
    const connection = await open()
    const running = await server()
    const t = idAndValue()
    await put(connection, writing(t), [{ id: 'a', value: 1 }])
    await running.sql(`ALTER TABLE ${t.name} ALTER value TYPE integer, ADD exact numeric(5,2), ADD name varchar(3)`)
    const wider = table(
      {
        id: { type: 'string' },
        value: { type: 'integer' },
        exact: { type: 'string', format: 'decimal', precision: 10, scale: 4 },
        name: { type: 'string' },
        more: {},
      },
      ['id'],
      t.name,
    )
    const rejected = await put(connection, writing(wider), [
      { id: 'b', value: 2 ** 40, exact: '123456.0001', name: 'abc', more: { x: 1 } },
      { id: 'c', name: 'too long' },
      { id: 'd', name: 'ok' },
    ])
    expect(rejected).toEqual([{ index: 1, reason: expect.stringContaining('too long') as string }])
    expect(await readAll(connection, t.name)).toEqual([
      { id: 'a', value: 1, exact: null, name: null, more: null },
      { id: 'b', value: 2 ** 40, exact: '123456.0001', name: 'abc', more: { x: 1 } },
      { id: 'd', value: null, exact: null, name: 'ok', more: null },
    ])
    const narrower = table({ id: { type: 'integer' } }, ['id'], t.name)
    await expect(openWriter(connection, writing(narrower))).rejects.toMatchObject({
      code: 'invalid_data',
      details: { field: 'id' },
    })
  })

  test("what a constraint of somebody's table refuses is rejected by its index, and the rest is stored", async () => {
    const connection = await open()
    const running = await server()
    await running.sql(
      `CREATE TABLE strict (id text PRIMARY KEY, value bigint NOT NULL CHECK (value > 0)); GRANT ALL ON strict TO writer`,
    )
    const t = table({ id: { type: 'string' }, value: { type: 'integer' } }, ['id'], 'strict')
    const rows = Array.from({ length: 100 }, (_, index) => ({
      id: String(index),
      value: index === 50 ? -1 : index === 70 ? null : 5,
    }))
    const rejected = await put(connection, writing(t), [...rows, { id: '3', value: 1 }])
    expect(rejected.map(({ index }) => index)).toEqual([50, 70, 100])
    expect(rejected.map(({ reason }) => reason).join()).toMatch(
      /check constraint.*not-null constraint.*unique constraint/,
    )
    expect(await readAll(connection, 'strict')).toHaveLength(98)
  })

  test('a query sees the rows as after the commit, and can change nothing', async () => {
    const connection = await open()
    const running = await server()
    for (const disposition of ['append', 'merge'] as const) {
      const t = idAndValue()
      const other = idAndValue()
      await put(connection, writing(other), [{ id: 'a', value: 1 }])
      await put(connection, writing(t, { disposition }), [{ id: 'a', value: 1 }])
      const writer = await openWriter(connection, writing(t, { disposition }))
      await writer.write(records({ id: 'b', value: 2 ** 53 }))
      const ask = (sql: string) => writer.query?.(sql)
      expect(await ask('SELECT sum(value)::bigint AS s, count(*) AS n FROM {table} -- all')).toEqual([
        { s: 9007199254740993n, n: 2 },
      ])
      expect(
        await ask(`SELECT t.id FROM {table} t LEFT JOIN {table:${other.name}} o USING (id) WHERE o.id IS NULL;`),
      ).toEqual([{ id: 'b' }])
      for (const attack of [
        `DELETE FROM {table}`,
        `SELECT 1) AS x; DELETE FROM {table}; SELECT * FROM (SELECT 1`,
        `WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT * FROM gone`,
        `SELECT set_config('transaction_read_only', 'off', false)`,
        `COMMIT`,
        `SELECT nextval('seq_${t.name}')`,
        `SELECT query_to_xml('DELETE FROM ${t.name}', true, false, '')`,
      ]) {
        await running.sql(`CREATE SEQUENCE IF NOT EXISTS seq_${t.name}; GRANT ALL ON SEQUENCE seq_${t.name} TO writer`)
        await expect(ask(attack)).rejects.toMatchObject({ code: expect.stringMatching(/rejected|forbidden/) as string })
      }
      await writer.write(records({ id: 'c', value: 3 }))
      expect(await ask('SELECT count(*) AS n FROM {table}')).toEqual([{ n: 3 }])
      await writer.commit({ page: 1 })
      expect(await readAll(connection, t.name)).toHaveLength(3)
    }
  })

  test('one writer for each table: the second waits and then fails', { timeout: 20_000 }, async () => {
    const connection = await open()
    const t = idAndValue()
    const first = await openWriter(connection, writing(t))
    const second = openWriter(await open(), writing(t))
    await first.write(records({ id: 'a', value: 1 }))
    await first.commit(undefined)
    await first[Symbol.asyncDispose]()
    await (await second)[Symbol.asyncDispose]()
    const holder = await openWriter(connection, writing(t))
    await expect(openWriter(await open(), writing(t))).rejects.toMatchObject({ code: 'conflict', retryable: true })
    await holder[Symbol.asyncDispose]()
  })

  test('names that look like SQL are only names', async () => {
    const connection = await open()
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
      'Id',
      'id',
    ]
    for (const name of nasty) {
      const described = table(
        Object.fromEntries(nasty.map((column) => [column, { type: 'string' }])),
        [name],
        `n ${name}`,
      )
      const record = Object.fromEntries(nasty.map((column) => [column, `${column}'"`]))
      for (const disposition of ['append', nasty.indexOf(name) % 2 === 0 ? 'merge' : 'overwrite'] as const)
        expect(await put(connection, writing(described, { disposition }), [record, record])).toEqual([])
      expect(await readAll(connection, described.name, [name])).toEqual([
        Object.fromEntries([[name, `${name}'"`]]),
        Object.fromEntries([[name, `${name}'"`]]),
      ])
    }
  })

  test('names that no table can have are refused with the field', async () => {
    const connection = await open()
    const refused = [
      [table({ '': {} }), 'table.schema.properties.'],
      [table({ xmin: {} }), 'table.schema.properties.xmin'],
      [table({ _ecokit_order: {} }), 'table.schema.properties._ecokit_order'],
      [table({ 'a\0': {} }), 'table.schema.properties.a\0'],
      [table({ ['é'.repeat(32)]: {} }), `table.schema.properties.${'é'.repeat(32)}`],
      [table({}), 'table.schema'],
      [table({ a: {} }, ['b']), 'table.primaryKey'],
      [table({ a: {} }, undefined, '_ecokit_tables'), 'table.name'],
      [table({ a: {} }, undefined, 'x'.repeat(64)), 'table.name'],
    ] as const
    for (const [described, field] of refused)
      await expect(openWriter(connection, writing(described))).rejects.toMatchObject({
        code: 'invalid_input',
        details: { field },
      })
    expect((await discoverAll(connection)).every(({ name }) => !name.startsWith('_ecokit_'))).toBe(true)
  })
})
