import { gzipSync } from 'node:zlib'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { ErrorCode } from '@ecokit/contracts'
import { failure, open, serve, serveRaw, text, until } from './support.ts'

const anything = z.unknown()
const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const gzip = `${head}content-encoding: gzip\r\n`
const send = (text: string) => (socket: Socket) => void socket.end(text, 'latin1')
const partly = (text: string) => (socket: Socket) => void socket.write(text, 'latin1')
const compressed = gzipSync('{"a":"bcdefghijklmnopqrstuvwxyz"}')
const drip = (first: string, piece: string) => (socket: Socket) => {
  socket.write(first)
  const timer = setInterval(() => socket.write(piece), 5)
  socket.on('close', () => clearInterval(timer))
}

/** What a server can do wrong, what it must become, and whether a read is tried again. */
const faults: readonly [string, ErrorCode, boolean, (socket: Socket) => void][] = [
  ['closes without an answer', 'unavailable', true, (socket) => void socket.end()],
  ['resets without an answer', 'unavailable', true, (socket) => void socket.resetAndDestroy()],
  ['resets within the headers', 'unavailable', true, (socket) => socket.write(head, () => socket.resetAndDestroy())],
  [
    'resets within the body',
    'unavailable',
    true,
    (socket) => socket.write(`${head}content-length: 50\r\n\r\n{"a":`, () => socket.resetAndDestroy()),
  ],
  ['closes before the promised length', 'unavailable', true, send(`${head}content-length: 50\r\n\r\n{"a":1}`)],
  ['closes within a chunk', 'unavailable', true, send(`${head}transfer-encoding: chunked\r\n\r\n20\r\n{"a":1}`)],
  [
    'closes before the last chunk',
    'unavailable',
    true,
    send(`${head}transfer-encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n`),
  ],
  ['hangs before the answer', 'timeout', true, () => {}],
  ['hangs within the headers', 'timeout', true, partly(head)],
  ['hangs within the body', 'timeout', true, partly(`${head}content-length: 50\r\n\r\n{"a":`)],
  ['hangs between chunks', 'timeout', true, partly(`${head}transfer-encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n`)],
  ['drips headers for ever', 'timeout', true, drip(head, 'x-a: b\r\n')],
  ['drips a body for ever', 'timeout', true, drip(`${head}transfer-encoding: chunked\r\n\r\n`, '1\r\n \r\n')],
  ['says only that it will go on', 'timeout', true, partly('HTTP/1.1 103 Early Hints\r\n\r\n')],
  ['speaks another protocol', 'invalid_reply', false, send('SSH-2.0-OpenSSH_9.6\r\n')],
  ['gives a malformed header', 'invalid_reply', false, send(`${head}bad header\r\n\r\n`)],
  ['gives two lengths', 'invalid_reply', false, send(`${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`)],
  [
    'gives a length and chunks',
    'invalid_reply',
    false,
    send(`${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}`),
  ],
  ['gives a length that is no number', 'invalid_reply', false, send(`${head}content-length: two\r\n\r\n{}`)],
  [
    'gives a chunk size that is no number',
    'invalid_reply',
    false,
    send(`${head}transfer-encoding: chunked\r\n\r\nzz\r\n{}`),
  ],
  ['gives headers without end', 'invalid_reply', false, send(`${head}x-a: ${'b'.repeat(40_000)}\r\n\r\n`)],
  ['gives a length that is too small', 'invalid_reply', false, send(`${head}content-length: 5\r\n\r\n{"a":1}`)],
  [
    'gives a page for people',
    'invalid_reply',
    false,
    send('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>log in</html>'),
  ],
  ['gives half of the JSON', 'invalid_reply', false, send(`${head}connection: close\r\n\r\n{"a":`)],
  ['gives two values', 'invalid_reply', false, send(`${head}connection: close\r\n\r\n{}{}`)],
  ['gives text that is not UTF-8', 'invalid_reply', false, send(`${head}connection: close\r\n\r\n{"a":"\xff\xfe"}`)],
  ['nests without end', 'invalid_reply', false, send(`${head}connection: close\r\n\r\n${'['.repeat(15_000)}`)],
  ['compresses what is not compressed', 'invalid_reply', false, send(`${gzip}content-length: 7\r\n\r\n{"a":1}`)],
  [
    'ends within what is compressed',
    'invalid_reply',
    false,
    (socket) =>
      void socket.end(Buffer.concat([Buffer.from(`${gzip}content-length: 20\r\n\r\n`), compressed.subarray(0, 20)])),
  ],
  [
    'closes within what is compressed',
    'unavailable',
    true,
    (socket) =>
      void socket.end(Buffer.concat([Buffer.from(`${gzip}content-length: 99\r\n\r\n`), compressed.subarray(0, 20)])),
  ],
  [
    'compresses in a way that nobody knows',
    'invalid_reply',
    false,
    send(`${head}content-encoding: lzma\r\ncontent-length: 2\r\n\r\n{}`),
  ],
  ['gives more than allowed, and says so', 'too_large', false, partly(`${head}content-length: 100000000\r\n\r\n{"a":`)],
  [
    'gives more than allowed without saying so',
    'too_large',
    false,
    drip(`${head}transfer-encoding: chunked\r\n\r\n`, `fa0\r\n${' '.repeat(4000)}\r\n`),
  ],
  [
    'explodes when decompressed',
    'too_large',
    false,
    (socket) =>
      void socket.end(
        Buffer.concat([Buffer.from(`${gzip}connection: close\r\n\r\n`), gzipSync(Buffer.alloc(5_000_000, ' '))]),
      ),
  ],
  [
    'sends on without saying where',
    'invalid_reply',
    false,
    send('HTTP/1.1 302 Found\r\nlocation: http://[\r\ncontent-length: 0\r\n\r\n'),
  ],
  [
    'answers with a status that does not exist',
    'invalid_reply',
    false,
    send('HTTP/1.1 799 What\r\ncontent-length: 0\r\n\r\n'),
  ],
]
test.for(faults)('a server that %s: %s', async ([, code, again, fault]) => {
  const { url, sockets, count } = await serveRaw(fault)
  const network = open(url, { runtime: { policy: { attempts: 2 } } })
  const timeoutMs = code === 'timeout' ? 100 : 30_000
  const http = network.http(url, { timeoutMs, maxReplyBytes: 20_000 })
  const error = await failure(http.json({ method: 'GET', path: 'x' }, anything), code)
  expect(error.message).toMatch(/^acme: GET \/x .*\. \S/)
  expect(count()).toBe(again ? 2 : 1)
  expect(error.retryable).toBe(again)
  // Every socket is given back or destroyed, at the latest with the network.
  await network.close()
  await until(() => sockets.size === 0)
})

test('a reply that is too large frees its socket at once', async () => {
  const { url, sockets } = await serveRaw(
    drip(`${head}transfer-encoding: chunked\r\n\r\n`, `fa0\r\n${' '.repeat(4000)}\r\n`),
  )
  await failure(
    open(url).http(url, { maxReplyBytes: 10_000 }).json({ method: 'GET', path: 'x' }, anything),
    'too_large',
  )
  await until(() => sockets.size === 0)
})
test('a reply of 1 MB that explodes to 1 GB is not held in memory', async () => {
  const member = gzipSync(Buffer.alloc(1_000_000, ' '))
  const bomb = Buffer.concat(Array.from({ length: 1000 }, () => member))
  const { url } = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb))
  const before = process.resourceUsage().maxRSS
  const http = open(url).http(url, { maxReplyBytes: 2_000_000 })
  await failure(http.json({ method: 'GET', path: 'x' }, anything), 'too_large')
  // In kilobytes.
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(300_000)
})
test('an error whose body hangs is told by its status', async () => {
  const { url } = await serveRaw(partly('HTTP/1.1 403 Forbidden\r\ncontent-length: 50\r\n\r\nno'))
  await failure(open(url).http(url, { timeoutMs: 100 }).json({ method: 'GET', path: 'x' }, anything), 'forbidden')
})
test('an idle connection that the server has closed does not fail the next read', async () => {
  const { url, sockets } = await serveRaw((socket) => void socket.write(`${head}content-length: 2\r\n\r\n{}`))
  const http = open(url).http(url)
  await http.json({ method: 'GET', path: 'x' }, anything)
  for (const socket of sockets) socket.destroy()
  expect(await http.json({ method: 'GET', path: 'x' }, anything)).toEqual({})
})
test('informational replies come before the true one', async () => {
  const { url } = await serveRaw(
    send(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${head}content-length: 7\r\n\r\n{"a":1}`),
  )
  expect(await open(url).http(url).json({ method: 'GET', path: 'x' }, anything)).toEqual({ a: 1 })
})

const streamed: readonly [string, ErrorCode, (socket: Socket) => void][] = [
  [
    'resets',
    'unavailable',
    (socket) => socket.write(`${head}content-length: 50\r\n\r\nabc`, () => socket.resetAndDestroy()),
  ],
  ['closes early', 'unavailable', send(`${head}content-length: 50\r\n\r\nabc`)],
  ['hangs', 'timeout', partly(`${head}content-length: 50\r\n\r\nabc`)],
  ['is not compressed as it says', 'invalid_reply', send(`${gzip}content-length: 3\r\n\r\nabc`)],
]
test.for(streamed)('a stream that %s ends with %s', async ([, code, fault]) => {
  const { url, sockets } = await serveRaw(fault)
  const network = open(url)
  const work = network
    .http(url, { timeoutMs: 200 })
    .request({ method: 'GET', path: 'file' })
    .then(({ body }) => text(body))
  const error = await failure(work, code)
  expect(error.message).toMatch(/^acme: GET \/file /)
  expect(network.exchanges.at(-1)).toMatchObject({ code })
  await until(() => sockets.size === 0)
})
test('a stream that goes on for longer than the timeout is read to its end', async () => {
  const { url } = await serve((_, response) => {
    let left = 30
    const timer = setInterval(() => {
      response.write('x')
      if (--left > 0) return
      clearInterval(timer)
      response.end()
    }, 10)
  })
  const reply = await open(url).http(url, { timeoutMs: 150 }).request({ method: 'GET', path: 'file' })
  expect(await text(reply.body)).toHaveLength(30)
})
test('a host that does not exist', async () => {
  const network = open('http://does-not-exist.invalid')
  const error = await failure(
    network.http('http://does-not-exist.invalid').json({ method: 'GET', path: 'x' }, anything),
    'unavailable',
  )
  expect(error.message).toContain('Is http://does-not-exist.invalid spelt right')
})
