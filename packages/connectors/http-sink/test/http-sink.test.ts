import { createHmac } from 'node:crypto'
import type { AnyConnection, AnyRecord, Batch, WriteOptions } from '@ecokit/contracts'
import { double, int64, isIntegrationError, jsonSchema } from '@ecokit/contracts'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { connect, connectUnknown } from '@ecokit/connect'
import { httpSink } from '../src/index.ts'
import { openEndpoint, type Endpoint, type Fault } from './endpoint.ts'

const quick = { policy: { attempts: 6, backoffMs: 1, maxBackoffMs: 2, retryBudget: 1, breakAt: 2 } }
const endpoint = async (options?: Parameters<typeof openEndpoint>[0]): Promise<Endpoint> => {
  const opened = await openEndpoint(options)
  onTestFinished(() => opened.close())
  return opened
}
const open = (
  { url }: Endpoint,
  config: Readonly<Record<string, unknown>> = {},
  credentials: unknown = { scheme: 'none' },
): AnyConnection => {
  const connection = connectUnknown(httpSink, { name: 'hook', config: { url, ...config }, credentials }, quick)
  onTestFinished(() => connection.close())
  return connection
}
const options = (more: Partial<WriteOptions> = {}): WriteOptions => ({
  table: {
    name: 'runs',
    schema: { type: 'object', properties: { id: { type: 'integer' }, v: { type: 'string' } } },
    primaryKey: ['id'],
  },
  disposition: 'merge',
  run: 'run-1',
  key: 'p/runs',
  ...more,
})
const rows = (from: number, to: number): AnyRecord[] =>
  Array.from({ length: to - from }, (_, at) => ({ id: from + at, v: `row ${from + at}` }))
const ndjson = (records: readonly AnyRecord[], proven = true): Batch<AnyRecord> => ({
  encoding: 'ndjson',
  bytes: Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join('')),
  count: records.length,
  proven,
})
const send = async (
  connection: AnyConnection,
  batch: Batch<AnyRecord>,
  more: Partial<WriteOptions> = {},
): Promise<{ rows: number; rejected: readonly { index: number; reason: string }[] }> => {
  const sinkName = more.disposition === 'append' ? 'append' : 'upsert'
  const writer = await connection.write!(sinkName, options(more))
  try {
    const written = await writer.write(batch)
    await writer.commit(undefined, { final: true })
    return written
  } finally {
    await writer[Symbol.asyncDispose]()
  }
}
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (isIntegrationError(error) ? error.code : String(error)),
  )

for (const format of ['array', 'ndjson', 'object'])
  for (const encoding of ['records', 'proven', 'unproven'])
    test(`${format}: ${encoding} arrive whole, in requests of bounded size`, async () => {
      const there = await endpoint()
      const all = rows(0, 25)
      const batch: Batch<AnyRecord> =
        encoding === 'records' ? { encoding: 'records', records: all } : ndjson(all, encoding === 'proven')
      const written = await send(open(there, { format, batchRows: 10 }), batch)
      expect(written).toEqual({ rows: 25, rejected: [] })
      expect(there.tables.get('runs')).toEqual(all)
      expect(there.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(Array(3).fill('POST /api/runs'))
    })

test('bytes bound a request, and a record that is larger goes alone', async () => {
  const there = await endpoint()
  const all = [{ id: 1, v: 'x'.repeat(300) }, ...rows(2, 12)]
  await send(open(there, { batchBytes: 100 }), ndjson(all))
  expect(there.tables.get('runs')).toEqual(all)
  expect(there.seen[0]?.body).toBe(JSON.stringify([all[0]]))
  for (const { body } of there.seen.slice(1)) expect(body.length).toBeLessThanOrEqual(102)
})

test('proven lines go over the wire as they are: no digit, escape or space of theirs is changed', async () => {
  const there = await endpoint()
  const line = '{"id":9007199254740993,"v":"\\u00e9\\ud83d\\ude00", "n":1.10}'
  const bytes = Buffer.from(`${line}\r\n\n${line}`)
  const written = await send(open(there), { encoding: 'ndjson', bytes, count: 2, proven: true })
  expect(written.rows).toBe(2)
  expect(there.seen[0]?.body).toBe(`[${line},${line}]`)
})

test('-0 keeps its sign as a number and is 0 as a whole number, as a record and as a proven line', async () => {
  const shape = z.object({ id: z.int(), x: double(), deep: z.array(z.object({ n: int64(), x: z.number() })) })
  const record = { id: -0, x: -0, deep: [{ n: -0, x: -0 }] }
  const bytes = Buffer.from('{"id":0,"x":-0.0,"deep":[{"n":0,"x":-0.0}]}')
  const proven: Batch<AnyRecord> = { encoding: 'ndjson', bytes, count: 1, proven: true }
  for (const batch of [proven, { encoding: 'records', records: [record] } satisfies Batch<AnyRecord>]) {
    const there = await endpoint()
    await send(open(there), batch, { table: { name: 'runs', schema: jsonSchema(shape), primaryKey: ['id'] } })
    expect(there.tables.get('runs')).toEqual([{ id: 0, x: -0, deep: [{ n: 0, x: -0 }] }])
  }
})

test('a decimal is sent as the text that it is, as a record and as a proven line that holds it as a number', async () => {
  const money = () => z.string().meta({ format: 'decimal', precision: 18, scale: 4 })
  const shape = z.object({ id: z.int(), cost: money().nullable(), parts: z.array(z.object({ cost: money() })) })
  const record = { id: 1, cost: '1.5', parts: [{ cost: '0.0001' }] }
  const bytes = Buffer.from('{"id":1,"cost":1.5,"parts":[{"cost":0.0001}]}\n')
  const proven: Batch<AnyRecord> = { encoding: 'ndjson', bytes, count: 1, proven: true }
  for (const batch of [proven, { encoding: 'records', records: [record] } satisfies Batch<AnyRecord>]) {
    const there = await endpoint()
    await send(open(there), batch, { table: { name: 'runs', schema: jsonSchema(shape), primaryKey: ['id'] } })
    expect(there.seen.map(({ body }) => body)).toEqual(['[{"id":1,"cost":"1.5","parts":[{"cost":"0.0001"}]}]'])
  }
})

test('lines that nobody has proved and that are no object are refused with their place', async () => {
  const there = await endpoint()
  const bytes = Buffer.concat([
    Buffer.from('{"id":1}\n{"id":\n7\n'),
    Buffer.from([0x22, 0xff, 0x22, 10]),
    Buffer.from('{"id":2}\n'),
  ])
  const written = await send(open(there), { encoding: 'ndjson', bytes, count: 5 })
  expect(written.rejected.map(({ index }) => index)).toEqual([1, 2, 3])
  expect(written.rows).toBe(2)
  expect(there.tables.get('runs')).toEqual([{ id: 1 }, { id: 2 }])
})

const faulty = { errors: { at: 'errors', index: 'index', reason: 'reason' } }
test('records that the endpoint refuses come back by their place in the batch', async () => {
  const there = await endpoint()
  there.refuses = ({ id }) => (Number(id) % 7 === 3 ? `no ${String(id)}` : undefined)
  const written = await send(open(there, { ...faulty, batchRows: 4 }), ndjson(rows(0, 25)))
  expect(written.rejected).toEqual([3, 10, 17, 24].map((index) => ({ index, reason: `no ${index}` })))
  expect(written.rows).toBe(21)
  expect(there.tables.get('runs')).toHaveLength(21)
})

test('a multi-status list: below 400 is stored, 4xx is refused, 5xx ends the write', async () => {
  const there = await endpoint()
  const config = { errors: { at: 'items', status: 'status', reason: 'error.message' } }
  const reply = (...statuses: number[]) => ({
    status: 207,
    body: JSON.stringify({ items: statuses.map((status) => ({ status, error: { message: `s${status}` } })) }),
  })
  there.fault = () => reply(201, 422, 200)
  expect((await send(open(there, config), ndjson(rows(0, 3)))).rejected).toEqual([{ index: 1, reason: 's422' }])
  there.fault = () => reply(201, 503, 200)
  expect(await codeOf(send(open(there, config), ndjson(rows(0, 3))))).toBe('unavailable')
  there.fault = () => reply(201, 429)
  expect(await codeOf(send(open(there, config), ndjson(rows(0, 3))))).toBe('rate_limited')
})

test('a request that is refused as a whole for some of its records is sent again without them', async () => {
  const there = await endpoint()
  there.fault = ({ body }) => {
    const list = JSON.parse(body) as { id: number }[]
    const errors = list.flatMap(({ id }, index) => (id === 2 || id === 4 ? [{ index, reason: `bad ${id}` }] : []))
    return errors.length === 0 ? undefined : { status: 422, body: JSON.stringify({ errors }) }
  }
  const written = await send(open(there, faulty), ndjson(rows(0, 6)))
  expect(written.rejected.map(({ index }) => index)).toEqual([2, 4])
  expect(there.tables.get('runs')?.map(({ id }) => id)).toEqual([0, 1, 3, 5])
  there.fault = () => ({ status: 422, body: '{"message":"no such table"}' })
  expect(await codeOf(send(open(there, faulty), ndjson(rows(0, 6))))).toBe('rejected')
})

test('replies that do not say what config.errors promises are told as such', async () => {
  const there = await endpoint()
  const outcomes: string[] = []
  for (const body of ['stored', '{"errors":7}', '{"errors":[{"index":9}]}', '{"errors":[{"reason":"x"}]}']) {
    there.fault = () => ({ status: 200, body })
    outcomes.push(await codeOf(send(open(there, faulty), ndjson(rows(0, 3)))))
  }
  expect(outcomes).toEqual(Array(4).fill('invalid_reply'))
})

test('a page for people in place of an answer is no success', async () => {
  const there = await endpoint()
  there.fault = () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Sign in</html>' })
  expect(await codeOf(send(open(there), ndjson(rows(0, 3))))).toBe('invalid_reply')
})

test('413 halves what is sent until it fits; one record that never fits is refused', async () => {
  const there = await endpoint()
  there.maxRows = 3
  expect((await send(open(there), ndjson(rows(0, 20)))).rows).toBe(20)
  expect(there.tables.get('runs')).toEqual(rows(0, 20))
  there.maxRows = 0
  const written = await send(open(there), ndjson(rows(20, 23)))
  expect(written.rows).toBe(0)
  expect(written.rejected.map(({ index }) => index)).toEqual([0, 1, 2])
})

test('deletes: a request for each key, and keys in the body', async () => {
  const there = await endpoint()
  there.tables.set('runs', rows(0, 6))
  const each = open(there, { delete: { path: '{table}/{id}' } })
  await send(each, { ...ndjson([]), deleted: [{ id: 1 }, { id: 99 }] })
  expect(there.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'DELETE /api/runs/1',
    'DELETE /api/runs/99',
  ])
  const together = open(there, { delete: { method: 'POST', path: '{table}/delete' } })
  await send(together, { ...ndjson([]), deleted: [{ id: 2 }, { id: 3 }] })
  expect(there.seen.at(-1)?.body).toBe('[{"id":2},{"id":3}]')
  expect(there.tables.get('runs')?.map(({ id }) => id)).toEqual([0, 4, 5])
  expect(await codeOf(send(open(there), { ...ndjson([]), deleted: [{ id: 0 }] }))).toBe('invalid_config')
  const wrong = open(there, { delete: { path: '{table}/{name}' } })
  expect(await codeOf(send(wrong, ndjson([])))).toBe('invalid_config')
})

test('a key that would name another place than one record is never put into a path', async () => {
  const there = await endpoint()
  there.tables.set('runs', rows(0, 3))
  const each = open(there, { delete: { path: '{table}/{id}' } })
  for (const id of ['', '.', '..', null, undefined, { a: 1 }, ['x'], NaN])
    expect(await codeOf(send(each, { ...ndjson([]), deleted: [{ id }] })), JSON.stringify(id)).toBe('invalid_data')
  expect(await codeOf(send(each, { ...ndjson([]), deleted: [{}] }))).toBe('invalid_data')
  expect(there.seen).toEqual([])
  for (const name of ['.', '..', ''])
    expect(await codeOf(send(each, ndjson(rows(0, 1)), { table: { ...options().table, name } }))).toBe('invalid_input')
  expect(there.seen).toEqual([])
  await send(each, { ...ndjson([]), deleted: [{ id: '../kinds' }, { id: 'a/b' }, { id: '%2e%2e' }] })
  expect(there.seen.map(({ path }) => path)).toEqual(['/api/runs/..%2Fkinds', '/api/runs/a%2Fb', '/api/runs/%2e%2e'])
})

test('append is refused without an idempotency header, and prune always', async () => {
  const there = await endpoint()
  expect(await codeOf(send(open(there), ndjson(rows(0, 1)), { disposition: 'append' }))).toBe('invalid_config')
  expect(await codeOf(send(open(there), ndjson(rows(0, 1)), { prune: true }))).toBe('unsupported')
  expect(there.seen).toEqual([])
})

const header = { idempotencyHeader: 'Idempotency-Key' }
test('a connection that is cut, before or after the rows were stored, doubles and loses nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('cut before' as const, 'cut after' as const, undefined, undefined, 503, 429), {
        maxLength: 12,
      }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }),
      async (faults, sizes) => {
        const there = await openEndpoint()
        there.merges = false
        let repeats = 0
        there.fault = (_seen, index): Fault => {
          const fault = repeats < 3 ? faults[index] : undefined // connect gives up after a few attempts
          repeats = fault === undefined ? 0 : repeats + 1
          return typeof fault === 'number' ? { status: fault } : fault
        }
        const config = { url: there.url, ...header, batchRows: 3 }
        const connection = connect(httpSink, { config, credentials: { scheme: 'none' } }, quick)
        try {
          const expected: AnyRecord[] = []
          const writer = await connection.write('append', options({ disposition: 'append' }))
          for (const [page, size] of sizes.entries()) {
            // The same record several times on a page: each counts.
            const records = Array.from({ length: size }, () => ({ id: page, v: 'same' }))
            expected.push(...records)
            await writer.write({ ...ndjson(records), checkpoint: { page } })
          }
          await writer[Symbol.asyncDispose]()
          expect(there.tables.get('runs') ?? []).toEqual(expected)
        } finally {
          await connection.close()
          await there.close()
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('a process that starts again sends the same keys for the same records, whatever its run is called', async () => {
  const there = await endpoint()
  there.merges = false
  const page = (from: number, at: number): Batch<AnyRecord> => ({ ...ndjson(rows(from, from + 5)), checkpoint: { at } })
  const life = async (run: string, ...pages: Batch<AnyRecord>[]) => {
    const writer = await open(there, { ...header, batchRows: 2 }).write!(
      'append',
      options({ disposition: 'append', run }),
    )
    for (const batch of pages) await writer.write(batch)
    await writer[Symbol.asyncDispose]()
  }
  await life('one', page(0, 1), page(5, 2))
  await life('two', page(5, 2), page(10, 3))
  expect(there.tables.get('runs')).toEqual(rows(0, 15))
  // What is new is no replay: another page, another flow, another place.
  await life('three', page(10, 4))
  expect(there.tables.get('runs')).toHaveLength(20)
})

test('records that come back to what they were are no replay for an endpoint that remembers keys', async () => {
  const there = await endpoint()
  const merge = open(there, header)
  for (const [run, v] of ['a', 'b', 'a'].entries()) await send(merge, ndjson([{ id: 1, v }]), { run: `run-${run}` })
  expect(there.tables.get('runs')).toEqual([{ id: 1, v: 'a' }])
  // Nor is the same snapshot of the next run, where no checkpoint says that it is the same place of the source.
  there.merges = false
  for (const run of ['x', 'y']) await send(merge, ndjson([{ id: 2, v: 'same' }]), { run, disposition: 'append' })
  expect(there.tables.get('runs')).toHaveLength(3)
})

test('credentials go as the scheme says', async () => {
  const there = await endpoint()
  const last = () => there.seen.at(-1)!
  await send(open(there, {}, { scheme: 'bearer', token: 'abc' }), ndjson(rows(0, 1)))
  expect(last().headers.authorization).toBe('Bearer abc')
  await send(open(there, {}, { scheme: 'basic', username: 'u', password: 'p' }), ndjson(rows(0, 1)))
  expect(last().headers.authorization).toBe(`Basic ${Buffer.from('u:p').toString('base64')}`)
  await send(open(there, { apiKeyHeader: 'x-token' }, { scheme: 'api_key', apiKey: 'k1' }), ndjson(rows(0, 1)))
  expect(last().headers['x-token']).toBe('k1')
  await send(open(there, {}, { scheme: 'hmac', key: 'shared' }), ndjson(rows(0, 1)))
  const { headers, body } = last()
  const stamp = String(headers['x-timestamp'])
  expect(headers['x-signature']).toBe(createHmac('sha256', 'shared').update(`${stamp}.${body}`).digest('hex'))
  const named = { signing: { headers: { authorization: 'HMAC {key_id}:{signature}' }, signed: ['body'] } }
  expect(() => open(there, named, { scheme: 'hmac', key: 'shared' })).toThrow('keyId')
  await send(open(there, named, { scheme: 'hmac', keyId: 'me', key: 'shared' }), ndjson(rows(0, 1)))
  const signature = createHmac('sha256', 'shared').update(last().body).digest('hex')
  expect(last().headers.authorization).toBe(`HMAC me:${signature}`)
})

test('a path, its query, method and headers are those of the config', async () => {
  const there = await endpoint()
  const config = { path: 'v1/{table}', method: 'PUT', query: { mode: 'upsert' }, headers: { 'x-team': 'ml' } }
  there.fault = () => ({ status: 200 })
  const table = { ...options().table, name: 'a b' }
  await send(open(there, config), ndjson(rows(0, 1)), { table })
  const [{ method, path, headers } = there.seen[0]!] = there.seen
  expect([method, path, headers['x-team'], headers['content-type']]).toEqual([
    'PUT',
    '/api/v1/a b?mode=upsert',
    'ml',
    'application/json',
  ])
})
