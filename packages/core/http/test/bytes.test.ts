import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { failure, json, open, serve } from './support.ts'

const body = Buffer.from([0xff, 0x00, 0x0a, 0x7b, 0x22, 0xc3])

test('a body comes as it is, whole, with its status, headers and address', async () => {
  const { url, received } = await serve((_, response) => response.writeHead(203, { 'x-more': 'yes' }).end(body))
  const { http, exchanges } = open(url)
  const reply = await http(`${url}/v1`).bytes({ method: 'GET', path: 'page', query: { at: '1' } })
  expect({ ...reply, bytes: Buffer.from(reply.bytes), headers: reply.headers.get('x-more') }).toEqual({
    status: 203,
    headers: 'yes',
    bytes: body,
    url: `${url}/v1/page?at=1`,
  })
  expect(received[0]?.headers.accept).toBe('application/json')
  expect(exchanges).toMatchObject([{ status: 203, replyBytes: body.length }])
})

test('nothing is bytes too: 204, and an empty body', async () => {
  const { url } = await serve((_, response, count) => response.writeHead(count === 1 ? 204 : 200).end())
  const api = open(url).http(url)
  for (const status of [204, 200])
    expect(await api.bytes({ method: 'GET', path: '' })).toMatchObject({ status, bytes: Buffer.alloc(0) })
})

test.each([
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const)('%s is taken off, and counts at its full size', async (encoding, compress) => {
  const page = Buffer.from(`[${'{"a":1},'.repeat(5_000)}{}]`)
  const { url } = await serve((_, response) =>
    response.writeHead(200, { 'content-encoding': encoding }).end(compress(page)),
  )
  const { http } = open(url)
  const { bytes } = await http(url).bytes({ method: 'GET', path: '' })
  expect(Buffer.from(bytes).equals(page)).toBe(true)
  const small = http(url, { maxReplyBytes: page.length - 1 }).bytes({ method: 'GET', path: '' })
  expect((await failure(small, 'too_large')).details).toEqual({ limit: page.length - 1 })
  expect((await http(url, { maxReplyBytes: page.length }).bytes({ method: 'GET', path: '' })).bytes).toHaveLength(
    page.length,
  )
})

test('what is larger than allowed is not read to its end', async () => {
  let sent = 0
  let closed = false
  const { url } = await serve((_, response) => {
    const piece = Buffer.alloc(64 * 1024)
    const more = (): void => {
      if (closed) return
      sent += piece.length
      response.write(piece, () => setImmediate(more))
    }
    response.on('close', () => (closed = true))
    more()
  })
  const api = open(url).http(url, { maxReplyBytes: 100_000 })
  await failure(api.bytes({ method: 'GET', path: '' }), 'too_large')
  expect(sent).toBeLessThan(32 * 2 ** 20)
})

test('a body that breaks off is asked for again, and told as unavailable where that does not help', async () => {
  const { url, received } = await serve((_, response, count) => {
    if (count === 2) return void response.end('whole')
    response.writeHead(200, { 'content-length': '100' })
    response.write('part', () => response.destroy())
  })
  const api = open(url).http(url)
  expect(Buffer.from((await api.bytes({ method: 'GET', path: '' })).bytes).toString()).toBe('whole')
  expect(received).toHaveLength(2)
  await failure(api.bytes({ method: 'POST', path: '', body: {} }), 'unavailable')
  expect(received).toHaveLength(3)
})

test('a redirect is followed and told; statuses above 399 are errors; a signal ends the wait', async () => {
  const { url } = await serve((request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: '/here?x=1' }).end()
    else if (request.url.startsWith('/here')) response.end('here')
    else if (request.url === '/no') json(response, { message: 'no' }, 404)
  })
  const api = open(url).http(url)
  expect((await api.bytes({ method: 'GET', path: 'moved' })).url).toBe(`${url}/here?x=1`)
  await failure(api.bytes({ method: 'GET', path: 'no' }), 'not_found')
  const controller = new AbortController()
  const hanging = api.bytes({ method: 'GET', path: 'hang' }, { signal: controller.signal })
  setImmediate(() => controller.abort())
  await failure(hanging, 'cancelled')
})

test('a body is sent as JSON, integers of 64 bits with their digits', async () => {
  const { url, received } = await serve((_, response) => json(response, []))
  await open(url)
    .http(url)
    .bytes({ method: 'POST', path: 'search', effect: 'read', body: { after: 2n ** 60n } })
  expect(received[0]).toMatchObject({ method: 'POST', body: '{"after":1152921504606846976}' })
})
