import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { bearer } from '@ecokit/auth'
import { defineConnector, double, isIntegrationError, stream } from '@ecokit/contracts'
import type { RestStream } from '@ecokit/contracts'
import { connect } from '../src/index.ts'
import { answer, startServer } from './platform.ts'
import { failure } from './support.ts'
import { declared, openStreams, readAll, rowsOf, serve } from './rest-support.ts'

const Item = z.object({ id: z.int(), name: z.string() })
const one = (rest: Partial<RestStream> = {}, more: object = {}) => ({
  items: declared({ schema: Item, rest: { path: 'list', records: 'data.items', ...rest }, ...more }),
})
const page = (...items: readonly unknown[]) => ({ data: { items } })
const good = { id: 1, name: 'a' }

describe('an answer that holds nothing', () => {
  test.each([
    ['204', { status: 204 }, true, true],
    ['an empty body', { body: '' }, false, true],
    ['an empty list', { body: page() }, true, true],
    ['no list', { body: { data: {} } }, false, true],
    ['null for a list', { body: { data: { items: null } } }, false, true],
    ['nothing at all', { body: {} }, false, true],
    ['a text for a list', { body: { data: { items: 'none' } } }, false, false],
    ['HTML with status 200', { body: '<html><title>Sign in</title></html>' }, false, false],
    ['JSON that is cut off', { body: '{"data":{"items":[{"id":1,"name":"a"},{"id":' }, false, false],
    ['a list where an object is expected', { body: [good] }, false, false],
    ['two lists', { body: '{"data":{"items":[],"items":[]}}' }, false, false],
  ])('%s', async (_name, reply, plain, lacking) => {
    const { url } = await serve(() => reply)
    for (const [mayLack, fine] of [
      [false, plain],
      [true, lacking],
    ] as const) {
      const connection = openStreams(url, one({ mayLack }))
      const ended = await readAll(connection, 'items').then(
        ({ rows }) => rows,
        (error: unknown) => isIntegrationError(error) && { code: error.code, partner: error.partner },
      )
      expect(ended).toEqual(fine ? [] : { code: 'invalid_reply', partner: 'shop' })
    }
  })
})

test('a page that breaks after some records gives none of them, and the pages before it stay', async () => {
  const { url } = await serve((_asked, count) => ({
    body: count === 1 ? { ...page(good), next: 'b' } : '{"data":{"items":[{"id":2,"name":"b"}],"x',
  }))
  const connection = openStreams(url, one({ paging: { kind: 'token', parameter: 'after', next: 'next' } }))
  const seen: unknown[] = []
  const error = await failure(async () => {
    for await (const batch of connection.read?.('items') ?? []) seen.push(...rowsOf(batch))
  })
  expect(error.code).toBe('invalid_reply')
  expect(seen).toEqual([good])
})

test('what does not fit is told in its order, page by page, or ends the read', async () => {
  const { url } = await serve((_asked, count) => ({
    body: {
      ...page({ id: 'x', name: 'a' }, { ...good, id: count }, [1], { id: 1.5, name: 'b' }),
      next: ['b', 'c', ''][count - 1],
    },
  }))
  const connection = openStreams(url, one({ paging: { kind: 'token', parameter: 'after', next: 'next' } }))
  const order: string[] = []
  for await (const batch of connection.read?.('items', { onInvalid: ({ field }) => order.push(`no ${field}`) }) ?? [])
    order.push(...rowsOf(batch).map(({ id }) => String(id as number)))
  expect(order).toEqual(['1', '2', '3'].flatMap((id) => ['no id', 'no ', 'no id', id]))
  const strict = await failure(() => openStreams(url, one()).read?.('items'))
  expect(strict).toMatchObject({ code: 'invalid_data', details: { stream: 'items', field: 'id' } })
})

test('one record of 20 MB among small ones, duplicates over pages, and pages of one record', async () => {
  const large = { id: 2, name: 'x'.repeat(20 * 2 ** 20) }
  const list = [good, large, good, ...Array.from({ length: 8 }, (_, id) => ({ id, name: 'y'.repeat(2 ** 20) }))]
  const { url } = await serve(() => ({ body: page(...list) }))
  const batches = await Array.fromAsync(openStreams(url, one()).read?.('items') ?? [])
  expect(batches.flatMap(rowsOf)).toEqual(list)
  const sizes = batches.map((batch) => (batch.encoding === 'records' ? 0 : batch.bytes.length))
  expect(sizes.filter((size) => size > 4 * 2 ** 20)).toHaveLength(1)
  expect(batches.map(({ checkpoint }) => checkpoint !== undefined)).toEqual(
    sizes.map((_, at) => at === sizes.length - 1),
  )

  const single = await serve(({ query }) => {
    const at = Number(query['skip'])
    return { body: page(...(at < 5 ? [{ id: at % 2, name: 'same' }] : [])) }
  })
  const paging = { kind: 'offset', parameter: 'skip' } as const
  const read = await readAll(openStreams(single.url, one({ paging })), 'items')
  expect(read.rows.map(({ id }) => id)).toEqual([0, 1, 0, 1, 0])
  expect(read.batches).toHaveLength(6)
})

test('a slow partner is left at once when the caller aborts, leaves or closes', async () => {
  let waiting = 0
  let left = 0
  const server = await startServer((request, response) => {
    if (!(request.url ?? '').includes('after')) {
      answer(response, 200, { ...page(good), next: 'b' })
      return
    }
    waiting += 1
    response.on('close', () => (left += 1))
  })
  const streams = one({ paging: { kind: 'token', parameter: 'after', next: 'next' } })
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve))
  }
  const connection = openStreams(server.url, streams)
  const controller = new AbortController()
  const aborted = failure(async () => {
    for await (const _batch of connection.read?.('items', { signal: controller.signal }) ?? []) {
      await until(() => waiting === 1)
      setImmediate(() => controller.abort())
    }
  })
  expect((await aborted).code).toBe('cancelled')
  await until(() => left === 1)
  // The next page was asked for already while this one was at work.
  for await (const _batch of connection.read?.('items') ?? []) {
    await until(() => waiting === 2)
    break
  }
  await until(() => left === 2)
  const closed = failure(async () => {
    for await (const _batch of connection.read?.('items') ?? []) {
      await until(() => waiting === 3)
      void connection.close()
    }
  })
  expect((await closed).code).toBe('cancelled')
  await until(() => left === 3)
  await server.stop()
})

test('a credential that a link brings back is sent as ever and kept nowhere', async () => {
  const seen: (string | undefined)[] = []
  const server = await startServer((request, response) => {
    seen.push(request.url)
    const body = request.url?.includes('from') === true ? [] : [good]
    response.writeHead(200, { link: '</list?from=1&key=canary-7>; rel="next"' }).end(JSON.stringify(body))
  })
  const connector = defineConnector(
    {
      id: 'shop',
      title: 'Shop',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      auth: { token: bearer() },
      streams: { items: stream({ schema: Item, rest: { path: 'list', paging: { kind: 'link' } } }) },
    },
    () => ({ check: () => Promise.resolve({}) }),
  )
  const connection = connect(connector, {
    config: { url: server.url },
    credentials: { scheme: 'token', token: 'canary-7' },
  })
  for await (const { checkpoint } of connection.read('items')) {
    expect(JSON.stringify(checkpoint)).not.toContain('canary')
    expect(checkpoint).toMatchObject({ pass: { place: { path: '/list?from=1' } } })
    break
  }
  await connection.close()
  await server.stop()
})

test('rows that code makes: the wire is lenient, what it refuses is put aside as it came', async () => {
  const wire = z.object({ id: z.int(), score: z.union([z.number(), z.nan()]).optional(), name: z.string().nullish() })
  const row = z.object({ id: z.string(), score: double(), name: z.string().min(1) })
  const { url } = await serve(() => ({
    body: '{"list":[{"id":1,"score":NaN,"name":"a"},{"id":2,"score":-Infinity},{"id":"3","name":"c"},{"id":4,"name":"","more":[1]},nonsense,{"id":9007199254740993,"name":"big"}]}',
  }))
  const connection = openStreams(url, {
    rows: stream({
      schema: row,
      rest: {
        path: 'r',
        records: 'list',
        wire,
        map: ({ id, score = 0, name }) => ({ id: `n${id}`, score, name: name ?? 'none' }),
      },
    }),
  })
  const { rows, refused, encodings } = await readAll(connection, 'rows')
  expect(rows).toEqual([{ id: 'n1', score: NaN, name: 'a' }])
  expect([...encodings]).toEqual(['records'])
  expect(refused.map(({ record, field }) => [record, field])).toEqual([
    ['{"id":2,"score":-Infinity}', 'score'],
    ['{"id":"3","name":"c"}', 'id'],
    ['{"id":4,"name":"","more":[1]}', 'name'],
    ['nonsense', ''],
    ['{"id":9007199254740993,"name":"big"}', 'id'],
  ])
})
