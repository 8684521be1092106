import { afterAll, beforeAll, beforeEach, expect, expectTypeOf, test } from 'vitest'
import type { AnyRecord, InvalidRecord } from '@ecokit/contracts'
import { integrationError } from '@ecokit/contracts'
import { answer, inside, startServer } from './platform.ts'
import { failure, openPlatform } from './support.ts'

let server: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  server = await startServer((_request, response) => answer(response, 200, {}))
})
afterAll(() => server.stop())
beforeEach(() => {
  Object.assign(inside, { ended: [], batches: [], throws: undefined, closed: 0, committed: new Map() })
})

const table = { name: 't', schema: {}, primaryKey: ['id'] }
const options = { table, disposition: 'append', run: 'r', key: 'pipeline/stream' } as const

test('records are checked and filled, and batches that are empty still bring their checkpoint', async () => {
  const connection = openPlatform(server.url)
  const batches = await Array.fromAsync(connection.read('rows'))
  expect(batches).toEqual([
    { encoding: 'records', records: [{ id: 'r0', value: 7 }], checkpoint: { at: 1 } },
    { encoding: 'records', records: [{ id: 'r1', value: 7 }], checkpoint: { at: 2 } },
    { encoding: 'records', records: [], checkpoint: { at: 3 } },
    { encoding: 'records', records: [{ id: 'r3', value: 7 }], checkpoint: { at: 4 } },
  ])
  expect(await Array.fromAsync(connection.read('rows', { checkpoint: { at: 3 } }))).toHaveLength(1)
  for await (const batch of connection.read('rows'))
    if (batch.encoding === 'records') expectTypeOf(batch.records.map(({ value }) => value)[0]!).toEqualTypeOf<number>()
  await connection.close()
})

test('a read that is left early ends its source', async () => {
  const connection = openPlatform(server.url)
  for await (const batch of connection.read('rows')) {
    expect(batch.checkpoint).toEqual({ at: 1 })
    break
  }
  expect(inside.ended).toEqual(['rows'])
  await connection.close()
})

test('lines are read one by one, integers keep their digits, and what does not fit is told or ends the read', async () => {
  const connection = openPlatform(server.url)
  const refused: InvalidRecord[] = []
  const batches = await Array.fromAsync(connection.read('lines', { onInvalid: (invalid) => refused.push(invalid) }))
  expect(batches).toEqual([
    {
      encoding: 'records',
      records: [{ id: 9007199254740993n }, { id: 2 }],
      deleted: [{ id: 1 }],
      checkpoint: { end: true },
    },
  ])
  expect(refused).toEqual([
    { record: 'nonsense', field: '', reason: 'not JSON' },
    { record: { id: 'x' }, field: 'id', reason: expect.any(String) as string },
  ])
  const error = await failure(() => connection.read('lines'))
  expect(error).toMatchObject({ code: 'invalid_data', details: { stream: 'lines', field: '' }, partner: 'notes-prod' })
  await connection.close()
})

test('Arrow passes as it is, and so does what was discovered', async () => {
  const connection = openPlatform(server.url)
  expect(await Array.fromAsync(connection.read('arrows'))).toEqual([
    { encoding: 'arrow', bytes: new Uint8Array([1]), count: 3 },
  ])
  expect(await Array.fromAsync(connection.discover())).toEqual([{ name: 'found', schema: { type: 'object' } }])
  expect(await Array.fromAsync(connection.read('found' as never))).toEqual([
    { encoding: 'records', records: [{ table: 'found', anything: true }] },
  ])
  await connection.close()
})

test('columns that were asked for are the only ones that must be there', async () => {
  const connection = openPlatform(server.url)
  const [first] = await Array.fromAsync(connection.read('rows', { columns: ['value'] }))
  expect(first).toMatchObject({ records: [{ value: 0 }] })
  const error = await failure(() => connection.read('rows', { columns: ['valeu'] }))
  expect(error).toMatchObject({ code: 'invalid_input', details: { field: 'columns' } })
  expect(error.message).toContain('there is no column valeu. Choose from: id, value')
  await connection.close()
})

test('a read can be cancelled between batches', async () => {
  const connection = openPlatform(server.url)
  const controller = new AbortController()
  const work = async () => {
    for await (const _batch of connection.read('rows', { signal: controller.signal })) controller.abort()
  }
  expect((await failure(work)).code).toBe('cancelled')
  expect(inside.ended).toEqual(['rows'])
  await connection.close()
})

test('what is written is committed with its checkpoint, which the next writer finds', async () => {
  const connection = openPlatform(server.url)
  const writer = await connection.write('tables', options)
  expect(await writer.resumesFrom()).toBeUndefined()
  expect(await writer.write({ encoding: 'records', records: [{ id: 1 }, { id: 2 }] })).toEqual({
    rows: 2,
    rejected: [],
  })
  await writer.commit({ at: 1 }, { final: true })
  await Promise.all([writer[Symbol.asyncDispose](), writer[Symbol.asyncDispose]()])
  expect(inside.ended).toEqual(['tables'])
  for (const late of [
    () => writer.write({ encoding: 'records', records: [] }),
    () => writer.commit(undefined),
    () => writer.resumesFrom(),
  ])
    expect(await failure(late)).toMatchObject({
      code: 'cancelled',
      message: 'notes-prod: the writer of tables is closed. Open a new one with write()',
    })
  const next = await connection.write('tables', options)
  expect(await next.resumesFrom()).toEqual({ at: 1 })
  await connection.close()
  expect(inside.ended).toEqual(['tables', 'tables'])
})

test('a sink does only what it says that it does', async () => {
  const connection = openPlatform(server.url)
  const cases = [
    [
      () => connection.write('nope' as never, options),
      'unsupported',
      'there is no sink nope. Choose one of: tables, points',
    ],
    [
      () => connection.write('tables', { ...options, disposition: 'overwrite' }),
      'unsupported',
      'the sink tables cannot overwrite',
    ],
    [
      () => connection.write('tables', { ...options, disposition: 'merge', table: { name: 't', schema: {} } }),
      'invalid_input',
      'tables: table.primaryKey',
    ],
    [() => connection.write('tables', { ...options, prune: true }), 'invalid_input', 'tables: prune'],
  ] as const
  for (const [work, code, words] of cases) {
    const error = await failure(work)
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(words)])
  }
  const writer = await connection.write('tables', options)
  const arrow = { encoding: 'arrow', bytes: new Uint8Array(), count: 0 } as const
  expect(await failure(() => writer.write(arrow))).toMatchObject({ code: 'unsupported', details: { what: 'arrow' } })
  await connection.close()
})

test('a sink with a schema of its own never sees what does not fit, and every index is one of the batch', async () => {
  const connection = openPlatform(server.url)
  const writer = await connection.write('points', options)
  const records = [
    { name: 'a', value: 1 },
    { name: 'b' },
    { name: 'c', value: 3 },
    { name: 'd', value: 'x' },
    { name: 'e', value: 5 },
  ]
  const written = await writer.write({ encoding: 'records', records: records as { name: string; value: number }[] })
  expect(inside.batches).toEqual([{ encoding: 'records', records: [records[0], records[2], records[4]] }])
  expect(written.rows).toBe(2)
  expect(written.rejected.map(({ index }) => index)).toEqual([1, 3, 4])
  expect(written.rejected[2]?.reason).toBe('too late')
  expect(written.rejected[0]?.reason).toContain('value: ')
  const lines = new TextEncoder().encode('{"name":"a","value":1}\nnonsense\n')
  const again = await writer.write({ encoding: 'ndjson', bytes: lines, count: 2 })
  expect(again.rejected.map(({ index }) => index)).toEqual([0, 1])
  expect(inside.batches[1]).toEqual({ encoding: 'records', records: [{ name: 'a', value: 1 } satisfies AnyRecord] })
  await connection.close()
})

test('what a writer throws is typed and names the partner', async () => {
  const connection = openPlatform(server.url)
  const writer = await connection.write('tables', options)
  const write = () => writer.write({ encoding: 'records', records: [] })
  inside.throws = new TypeError('no disk')
  expect(await failure(write)).toMatchObject({ code: 'internal', partner: 'notes-prod' })
  inside.throws = integrationError('conflict', { what: 'the table is held', details: {} })
  expect(await failure(write)).toMatchObject({ code: 'conflict', message: 'notes-prod: the table is held' })
  await connection.close()
})
