import { createHash } from 'node:crypto'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import type { NetworkRuntime } from '../src/index.ts'
import { authority, serverCertificate, serverKey } from './certificates.ts'
import { failure, json, open, streamOf, text, until } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'x' }

const serve2 = async (
  answer: Parameters<typeof createSecureServer>[1],
  allowHTTP1 = true,
): Promise<{ url: string; server: Http2SecureServer; sockets: Set<Socket> }> => {
  const server = createSecureServer({ cert: serverCertificate, key: serverKey, allowHTTP1 }, answer)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.on('sessionError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sockets }
}
const trusting = (runtime: NetworkRuntime = {}) => ({ runtime: { tls: { ca: authority }, http2: true, ...runtime } })

test('HTTP/2 is spoken where it is asked for and the server takes it, many calls at once over one socket', async () => {
  const { url, sockets } = await serve2((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ version: request.httpVersion, path: request.url }))
  })
  const network = open(url, trusting())
  const http = network.http(url)
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => http.json({ method: 'GET', path: `p${index}` }, anything)),
  )
  expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => ({ version: '2.0', path: `/p${index}` })))
  expect(sockets.size).toBe(1)
  const posted = await http.json({ method: 'POST', path: 'post', body: { a: 1 } }, anything)
  expect(posted).toEqual({ version: '2.0', path: '/post' })
  expect(await text((await http.request(get)).body)).toContain('"version":"2.0"')
  await network.close()
  await until(() => sockets.size === 0)
})
test('HTTP/2 is not spoken unasked, nor to a server that does not', async () => {
  const { url } = await serve2((request, response) => {
    response.end(JSON.stringify({ version: request.httpVersion }))
  })
  expect(
    await open(url, trusting({ http2: false }))
      .http(url)
      .json(get, anything),
  ).toEqual({ version: '1.1' })
  const older = createTlsServer({ cert: serverCertificate, key: serverKey }, (request, response) =>
    json(response, { version: request.httpVersion }),
  )
  await new Promise<void>((resolve) => older.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    older.closeAllConnections()
    older.close()
  })
  const address = `https://127.0.0.1:${(older.address() as AddressInfo).port}`
  expect(await open(address, trusting()).http(address).json(get, anything)).toEqual({ version: '1.1' })
})
test('a stream that the server gives up and a session that it ends are lost connections, and tried again', async () => {
  let count = 0
  const { url } = await serve2((request, response) => {
    count++
    if (count === 1) response.stream.close(2)
    else if (count === 2) response.stream.session?.destroy()
    else response.end(JSON.stringify({ count, version: request.httpVersion }))
  })
  const network = open(url, trusting())
  expect(await network.http(url).json(get, anything)).toMatchObject({ version: '2.0' })
  expect(network.exchanges.filter(({ code }) => code !== undefined).map(({ code }) => code)).toEqual([
    'unavailable',
    'unavailable',
  ])
})
test('streams go both ways, and one that stalls ends with timeout', async () => {
  const { url, sockets } = await serve2((request, response) => {
    if (request.url === '/stall') response.write('begun')
    else request.pipe(response)
  })
  const network = open(url, trusting())
  const pieces = Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, index))
  const { body } = await network
    .http(url)
    .request({ method: 'POST', path: 'echo', body: streamOf(...pieces), effect: 'write' })
  const hash = createHash('sha256')
  for await (const chunk of body) hash.update(chunk)
  expect(hash.digest('hex')).toBe(createHash('sha256').update(Buffer.concat(pieces)).digest('hex'))
  const stalled = await network.http(url, { timeoutMs: 100 }).request({ method: 'GET', path: 'stall' })
  await failure(text(stalled.body), 'timeout')
  const left = await network.http(url).request({ method: 'GET', path: 'stall' })
  await left.body.cancel()
  await network.close()
  await until(() => sockets.size === 0)
})
test('a call that is cancelled and one that is too large leave the session to the others', async () => {
  const { url, sockets } = await serve2((request, response) => {
    if (request.url === '/hang') return
    response.end(request.url === '/large' ? Buffer.alloc(200_000) : '{}')
  })
  const http = open(url, trusting()).http(url, { maxReplyBytes: 100_000 })
  await http.json(get, anything)
  const stop = new AbortController()
  const hanging = http.json({ method: 'GET', path: 'hang' }, anything, { signal: stop.signal })
  stop.abort()
  await failure(hanging, 'cancelled')
  await failure(http.json({ method: 'GET', path: 'large' }, anything), 'too_large')
  expect(await http.json(get, anything)).toEqual({})
  expect(sockets.size).toBe(1)
})
