import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { failure, json, open, serve, text } from './support.ts'

const megabyte = 1024 * 1024
const get = { method: 'GET', path: 'x' }
const anything = z.unknown()
/** Much of the same, as JSON. */
const zeros = Buffer.from(`{"words":"${'0'.repeat(60 * megabyte)}"}`)
const empty = Buffer.concat(Array.from({ length: 40_000 }, () => gzipSync('')))
const bombs: readonly (readonly [encoding: string, body: Buffer])[] = [
  ['gzip', gzipSync(zeros)],
  ['deflate', deflateSync(zeros)],
  ['br', brotliCompressSync(zeros)],
  ['zstd', zstdCompressSync(zeros)],
  ['gzip, gzip', gzipSync(gzipSync(zeros))],
  ['gzip, br', brotliCompressSync(gzipSync(zeros))],
  ['deflate, zstd, gzip', gzipSync(zstdCompressSync(deflateSync(zeros)))],
  // Nothing inside of much inside of little.
  ['gzip, gzip, gzip', gzipSync(gzipSync(empty))],
]
/** The most memory outside of the heap that is used while something is done. */
const mostMemory = async (work: Promise<unknown>): Promise<number> => {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)), 1)
  await work.finally(() => clearInterval(timer))
  return most
}

test.for(bombs.filter(([encoding]) => encoding !== 'gzip, gzip, gzip'))(
  'a bomb of %s ends at the limit as JSON, as a stream and as an error',
  async ([encoding, body]) => {
    const { url } = await serve((request, response) => {
      response.writeHead(request.url === '/error' ? 400 : 200, { 'content-encoding': encoding }).end(body)
    })
    const network = open(url)
    const http = network.http(url, { maxReplyBytes: megabyte })
    const reading = failure(http.json(get, anything), 'too_large')
    expect(await mostMemory(reading)).toBeLessThan(8 * megabyte)
    expect((await reading).details).toEqual({ limit: megabyte })
    // A stream has no limit but its growth.
    const reply = await http.request(get)
    let read = 0
    const streaming = (async () => {
      for await (const chunk of reply.body) read += chunk.byteLength
    })()
    await failure(streaming, 'too_large')
    expect(read).toBeLessThan(Math.max(2 * megabyte, body.length * 110))
    const error = await failure(http.json({ method: 'GET', path: 'error' }, anything), 'rejected')
    expect(error.message.length).toBeLessThan(600)
    expect(error.message).toContain('0000')
  },
)
test('members without content, compressed twice over, end at the limit', async () => {
  const [encoding = '', body] = bombs.at(-1) ?? []
  const { url } = await serve((_, response) => response.writeHead(200, { 'content-encoding': encoding }).end(body))
  const http = open(url).http(url, { maxReplyBytes: 100_000 })
  await failure(http.json(get, anything), 'too_large')
})
test('a body before decompression is bounded too, announced or not', async () => {
  const noise = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7919) % 251))
  const { url } = await serve((request, response) => {
    response.writeHead(200, {
      'content-encoding': 'gzip',
      ...(request.url === '/x' ? { 'content-length': String(noise.length) } : {}),
    })
    response.end(noise)
  })
  const http = open(url).http(url, { maxReplyBytes: 100_000 })
  await failure(http.json(get, anything), 'too_large')
  await failure(http.json({ method: 'GET', path: 'chunked' }, anything), 'too_large')
})
test('what is compressed more than three times over, or in a way nobody knows, is refused', async () => {
  for (const encoding of ['gzip, gzip, gzip, gzip', 'lzma', 'gzip, compress', 'gzip,'.repeat(500)]) {
    const { url } = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': encoding }).end(gzipSync('{}')),
    )
    await failure(open(url).http(url).json(get, anything), 'invalid_reply')
    await failure(open(url).http(url).request(get), 'invalid_reply')
  }
})
test('a stream that shrinks well is read whole: growth alone does no harm below the limit', async () => {
  const { url } = await serve((_, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(900_000, 'a'))),
  )
  const http = open(url).http(url, { maxReplyBytes: megabyte })
  expect((await text((await http.request(get)).body)).length).toBe(900_000)
})
test('JSON is asked for compressed, from this machine and as a stream it is not', async () => {
  const { url, received } = await serve((_, response) => json(response, {}))
  const named = url.replace('127.0.0.1', 'mlflow.corp.internal')
  const lookup = () => Promise.resolve([{ address: '127.0.0.1' }])
  const http = open(named, { runtime: { lookup, proxy: false } }).http(named)
  await http.json(get, anything)
  await http.json({ method: 'POST', path: 'x', body: {} }, anything)
  await text((await http.request(get)).body)
  await open(url).http(url).json(get, anything)
  expect(received.map(({ headers }) => headers['accept-encoding'])).toEqual([
    'zstd, br, gzip',
    'zstd, br, gzip',
    undefined,
    undefined,
  ])
})
