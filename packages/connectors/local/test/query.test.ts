import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { openBoth, openWriter, put, readAll, records, sinks, table, writing } from './support.ts'

const runs = table({ id: { type: 'integer', format: 'int64' }, kind: { type: 'string' } }, ['id'])
const lines = (...texts: readonly string[]) =>
  ({ encoding: 'ndjson', proven: true, bytes: Buffer.from(`${texts.join('\n')}\n`), count: texts.length }) as const

for (const sink of sinks) {
  test(`${sink}: a query sees the rows as they will be, and leaves everything as it was`, async () => {
    const { connection } = await openBoth()
    await put(connection, writing({ ...runs, name: 'kinds' }), [{ id: 1, kind: 'x' }], sink)
    await put(connection, writing(runs), [{ id: 1, kind: 'x' }], sink)
    const writer = await openWriter(connection, writing(runs), sink)
    await writer.write(records({ id: 9007199254740993n, kind: 'y' }))
    await writer.write(lines('{"id":3,"kind":"x"}'))
    const all = 'SELECT id, kind FROM {table} ORDER BY id'
    const seen = [
      { id: 1, kind: 'x' },
      { id: 3, kind: 'x' },
      { id: 9007199254740993n, kind: 'y' },
    ]
    expect(await writer.query?.(all)).toEqual(seen)
    expect(await writer.query?.(all)).toEqual(seen)
    expect(
      await writer.query?.(
        'WITH k AS (SELECT kind FROM {table:kinds}) SELECT t.id FROM {table} t ANTI JOIN k USING (kind)',
      ),
    ).toEqual([{ id: 9007199254740993n }])
    expect(await readAll(connection)).toHaveLength(1)
    await writer.write(records({ id: 4, kind: 'z' }))
    await writer.commit(undefined, { final: true })
    expect(await writer.query?.('SELECT count(*) AS n FROM {table}')).toEqual([{ n: 4 }])
    await writer[Symbol.asyncDispose]()
    expect(await readAll(connection)).toHaveLength(4)
  })

  test(`${sink}: what a query may not do is refused by name`, async () => {
    const { connection, folder } = await openBoth()
    const secret = path.join(path.dirname(folder), 'secret.csv')
    await writeFile(secret, 'a\n1\n')
    const writer = await openWriter(connection, writing(runs), sink)
    await writer.write(records({ id: 1, kind: 'x' }))
    const refused = [
      'DELETE FROM {table}',
      'DROP TABLE {table}',
      'SELECT 1; SELECT 2',
      'SELECT 1; DROP TABLE {table}',
      "COPY (SELECT 1) TO 'x.csv'",
      `SELECT * FROM '${secret}'`,
      `SELECT * FROM read_csv('${secret}')`,
      `SELECT (SELECT max(content) FROM read_text('${secret}')) FROM {table}`,
      `WITH x AS (FROM '${secret}') SELECT * FROM x`,
      `WITH "${secret}" AS (FROM "${secret}") FROM "${secret}"`,
      `SELECT * FROM (WITH "${secret}" AS (SELECT 1) SELECT 1), "${secret}"`,
      `SELECT * FROM {table} WHERE EXISTS (FROM glob('*'))`,
      "SELECT * FROM query('SELECT 1')",
      "SELECT nextval('s') FROM {table}",
      'PRAGMA database_list',
      "ATTACH 'x.db'",
      'INSTALL httpfs',
      'SELECT * FROM {table:nothing}',
      'SELECT * FROM duckdb_settings()',
      'SELECT * FROM information_schema.tables',
      'FROM (SUMMARIZE {table})',
      'not SQL at all',
    ]
    for (const sql of refused) await expect(writer.query?.(sql), sql).rejects.toMatchObject({ code: 'invalid_input' })
    expect(await writer.query?.('SELECT sum(n) AS n FROM range(3) t(n), {table}')).toEqual([{ n: 3 }])
    await writer.commit(undefined, { final: true })
    expect(await readAll(connection)).toEqual([{ id: 1, kind: 'x' }])
  })
}

test('an overwrite and a merge are asked as they will be', async () => {
  const { connection } = await openBoth()
  await put(connection, writing(runs), [
    { id: 1, kind: 'old' },
    { id: 2, kind: 'old' },
  ])
  const merge = await openWriter(connection, writing(runs, { disposition: 'merge' }))
  await merge.write(lines('{"id":2,"kind":"first"}', '{"id":2,"kind":"new"}'))
  expect(await merge.query?.('SELECT * FROM {table} ORDER BY id')).toEqual([
    { id: 1, kind: 'old' },
    { id: 2, kind: 'new' },
  ])
  await merge[Symbol.asyncDispose]()
  const overwrite = await openWriter(connection, writing(runs, { disposition: 'overwrite' }))
  await overwrite.write(lines('{"id":3,"kind":"new"}'))
  expect(await overwrite.query?.('SELECT * FROM {table}')).toEqual([{ id: 3, kind: 'new' }])
  await overwrite.commit({ page: 1 })
  await overwrite.write(lines('{"id":4,"kind":"new"}'))
  expect(await overwrite.query?.('SELECT id FROM {table} ORDER BY id')).toEqual([{ id: 3 }, { id: 4 }])
  expect(await readAll(connection)).toHaveLength(2)
  await overwrite.commit({ page: 2 }, { final: true })
  expect((await readAll(connection)).map(({ id }) => id)).toEqual([3, 4])
})
