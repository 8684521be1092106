import { expect, test } from 'vitest'
import { z } from 'zod'
import type { JsonRequest, Paging } from '@ecokit/contracts'
import { failure, json, open, serve } from './support.ts'

const page = z.object({ items: z.array(z.number()).default([]), next: z.string().nullish() })
type Page = z.output<typeof page>
const schema = page as unknown as z.ZodType<Page>
const get: JsonRequest = { method: 'GET', path: 'items', query: { size: '2' } }
const token = (where: 'query' | 'body'): Paging<Page> => ({
  kind: 'token',
  in: where,
  parameter: 'page_token',
  next: (read) => read.next,
})
const offset = (where: 'query' | 'body'): Paging<Page> => ({
  kind: 'offset',
  in: where,
  parameter: 'start',
  limit: 2,
  count: (read) => read.items.length,
})

const items = async (url: string, request: JsonRequest, paging: Paging<Page>, base = url): Promise<number[]> => {
  const found: number[] = []
  for await (const read of open(url).http(base).pages(request, schema, paging)) found.push(...read.items)
  return found
}

test('a token goes back in the query until there is none', async () => {
  const { url, received } = await serve((_, response, count) =>
    json(response, { items: [count], next: ['t 1&', 't2', ''][count - 1] }),
  )
  expect(await items(url, get, token('query'))).toEqual([1, 2, 3])
  expect(received.map((request) => request.url)).toEqual([
    '/items?size=2',
    '/items?size=2&page_token=t%201%26',
    '/items?size=2&page_token=t2',
  ])
})
test('a token goes back in the body, beside what was asked; null ends it too', async () => {
  const { url, received } = await serve((_, response, count) =>
    json(response, { items: [count], next: count === 1 ? 'a' : null }),
  )
  expect(
    await items(
      url,
      { method: 'POST', path: 'search', effect: 'read', body: { filter: 'f', big: 2n ** 60n } },
      token('body'),
    ),
  ).toEqual([1, 2])
  expect(received.map((request) => request.body)).toEqual([
    '{"filter":"f","big":1152921504606846976}',
    '{"filter":"f","big":1152921504606846976,"page_token":"a"}',
  ])
})
test('an offset counts what came, from where it was told to begin, until a page is not full', async () => {
  const { url, received } = await serve((_, response, count) =>
    json(response, { items: count < 3 ? [count, count] : [count] }),
  )
  expect(await items(url, { ...get, query: { start: '10' } }, offset('query'))).toEqual([1, 1, 2, 2, 3])
  expect(received.map((request) => request.url)).toEqual(['/items?start=10', '/items?start=12', '/items?start=14'])
  expect(await items(url, { method: 'POST', path: 'search', body: {} }, offset('body'))).toEqual([4])
})
test('an offset ends with an empty page', async () => {
  const { url, received } = await serve((_, response, count) => json(response, { items: count === 1 ? [1, 2] : [] }))
  expect(await items(url, { method: 'POST', path: 'search', body: {} }, offset('body'))).toEqual([1, 2])
  expect(received.map((request) => request.body)).toEqual(['{}', '{"start":2}'])
})
test('links are followed within the origin, relative or absolute, and carry credentials', async () => {
  const { url, received } = await serve((request, response, count) =>
    json(
      response,
      { items: [count] },
      200,
      count === 3
        ? {}
        : {
            link: `</other>; rel="first", <${count === 1 ? `http://${String(request.headers.host)}/v2/items?page=2` : '?page=3'}>; rel="next"`,
          },
    ),
  )
  expect(await items(url, get, { kind: 'link' }, `${url}/v1`)).toEqual([1, 2, 3])
  expect(received.map((request) => request.url)).toEqual(['/v1/items?size=2', '/v2/items?page=2', '/v2/items?page=3'])
})
test('a link to another origin is not followed', async () => {
  const { url, received } = await serve((_, response) =>
    json(response, {}, 200, { link: '<https://evil.example/items>; rel=next' }),
  )
  expect((await failure(items(url, get, { kind: 'link' }), 'host_not_allowed')).details).toEqual({
    host: 'evil.example',
  })
  expect(received).toHaveLength(1)
})
test('a link that is no address is a fault of the partner', async () => {
  const { url } = await serve((_, response) => json(response, {}, 200, { link: '<http://[>; rel=next' }))
  await failure(items(url, get, { kind: 'link' }), 'invalid_reply')
})

test.for([1, 2, 3, 7, 20])('pages that go round in a circle of %i end', async (length) => {
  const { url, received } = await serve((_, response, count) =>
    json(response, { items: [], next: `t${count % length}` }, 200, { link: `<?page=${count % length}>; rel=next` }),
  )
  for (const paging of [token('query'), token('body'), { kind: 'link' } as const]) {
    received.length = 0
    const error = await failure(items(url, get, paging), 'invalid_reply')
    expect(error.message).toContain('asked for itself again')
    expect(received.length).toBeLessThanOrEqual(4 * length + 2)
  }
})
test('a link to the very page that gave it ends at once', async () => {
  const { url, received } = await serve((request, response) =>
    json(response, {}, 200, { link: `<${request.url}>; rel=next` }),
  )
  await failure(items(url, get, { kind: 'link' }), 'invalid_reply')
  expect(received).toHaveLength(1)
})

test('each page is checked by the schema, tried again where it failed, and nothing is read ahead', async () => {
  const { url, received } = await serve((_, response, count) => {
    if (count === 2) json(response, {}, 503)
    else json(response, count < 5 ? { items: [count], next: `t${count}` } : { items: 'none' })
  })
  const pages = open(url).http(url).pages(get, schema, token('query'))[Symbol.asyncIterator]()
  expect(((await pages.next()).value as Page).items).toEqual([1])
  expect(received).toHaveLength(1)
  expect(((await pages.next()).value as Page).items).toEqual([3])
  expect(((await pages.next()).value as Page).items).toEqual([4])
  expect(await failure(pages.next(), 'invalid_reply')).toMatchObject({ details: { field: 'items', status: 200 } })
})
