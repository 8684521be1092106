import { Buffer } from 'node:buffer'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { HttpKind, Outgoing } from './kinds.ts'
import { pick } from './random.ts'

/** A wait that ends early when the connection does. */
const wait = (response: ServerResponse, ms: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      response.off('close', done)
      resolve()
    }
    response.once('close', done)
  })

const plain = ({ headers }: Outgoing): Outgoing['headers'] => {
  const { 'content-length': _length, 'transfer-encoding': _encoding, connection: _connection, ...rest } = headers
  return rest
}
/** Serves a reply as it is. */
export const serve = (response: ServerResponse, reply: Outgoing): void => {
  response.writeHead(reply.status, { ...plain(reply), 'content-length': reply.body.length }).end(reply.body)
}
const half = (body: Buffer): Buffer => body.subarray(0, Math.floor(body.length / 2))
const loginPage = '<!doctype html><html><body><h1>Sign in</h1><form action="/login"></form></body></html>'

/** What the kinds need besides the reply. */
export interface Spoiling {
  readonly random: () => number
  readonly now: () => number
  /** A place that no credential and no request may reach. */
  readonly elsewhere: string
  readonly url: string
  /** Tells by when the partner asked to be left alone. */
  readonly notBefore: (at: number) => void
}

/** Those that answer by themselves: the partner does not get the request. */
export const refusals: Partial<Record<HttpKind, (response: ServerResponse, about: Spoiling) => void>> = {
  reset: (response) => void response.socket?.resetAndDestroy(),
  hang: () => {},
  r429: (response, { random, now, notBefore }) => {
    const seconds = 1 + Math.floor(random() * 20)
    notBefore(now() + seconds * 1000)
    serve(
      response,
      json(429, { error_code: 'REQUEST_LIMIT_EXCEEDED', message: 'slow down' }, { 'retry-after': String(seconds) }),
    )
  },
  r429date: (response, { random, now, notBefore }) => {
    const until = Math.ceil(now() / 1000 + 1 + random() * 20) * 1000
    notBefore(until)
    const headers = { 'retry-after': new Date(until).toUTCString() }
    serve(response, json(429, { error_code: 'REQUEST_LIMIT_EXCEEDED', message: 'slow down' }, headers))
  },
  r5xx: (response, { random }) => {
    const status = pick(random, [500, 502, 503, 504])
    if (random() < 0.5) serve(response, json(status, { error_code: 'INTERNAL_ERROR', message: 'out of order' }))
    else serve(response, html(status))
  },
  r200html: (response) => serve(response, html(200)),
  expired: (response) => {
    const headers = { 'www-authenticate': 'Bearer error="invalid_token"' }
    serve(response, json(401, { error_code: 'UNAUTHENTICATED', message: 'the token has expired' }, headers))
  },
  redirect: (response, { random, elsewhere, url }) => {
    const foreign = random() < 0.5
    const headers = { location: foreign ? `${elsewhere}/stolen` : url }
    serve(response, { status: pick(random, [302, 307, 308]), headers, body: Buffer.alloc(0) })
  },
}
const json = (status: number, value: object, headers: Outgoing['headers'] = {}): Outgoing => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(JSON.stringify(value)),
})
const html = (status: number): Outgoing => ({
  status,
  headers: { 'content-type': 'text/html' },
  body: Buffer.from(loginPage),
})

/** Those that spoil how the partner's reply travels. */
export const spoilers: Partial<
  Record<HttpKind, (response: ServerResponse, reply: Outgoing, about: Spoiling) => void | Promise<void>>
> = {
  latency: async (response, reply, { random }) => {
    await wait(response, 10 + random() * 50)
    serve(response, reply)
  },
  resetMid: (response, reply) => {
    response.writeHead(reply.status, { ...plain(reply), 'content-length': Math.max(2, reply.body.length) })
    response.write(half(reply.body).length === 0 ? Buffer.from(' ') : half(reply.body), () =>
      response.socket?.resetAndDestroy(),
    )
  },
  slow: async (response, reply) => {
    response.writeHead(reply.status, { ...plain(reply), 'content-length': reply.body.length })
    const size = Math.max(1, Math.ceil(reply.body.length / 8))
    for (let at = 0; at < reply.body.length; at += size) {
      response.write(reply.body.subarray(at, at + size))
      await wait(response, 4)
    }
    response.end()
  },
  slowClose: async (response, reply) => {
    const { socket } = response
    response.removeHeader('transfer-encoding')
    response.useChunkedEncodingByDefault = false
    response.shouldKeepAlive = false
    response.writeHead(reply.status, { ...plain(reply), connection: 'close' })
    response.write(reply.body)
    await wait(response, 30)
    if (socket?.destroyed === false) response.end()
  },
  truncate: (response, reply) => {
    response.writeHead(reply.status, { ...plain(reply), 'content-length': Math.max(2, reply.body.length) })
    response.write(half(reply.body).length === 0 ? Buffer.from(' ') : half(reply.body), () => response.socket?.end())
  },
  badGzip: (response, reply, { random }) => {
    const packed = gzipSync(reply.body)
    const body = random() < 0.5 ? Buffer.concat([Buffer.from([0x1f, 0x8b]), reply.body]) : packed.subarray(0, -9)
    serve(response, { ...reply, headers: { ...plain(reply), 'content-encoding': 'gzip' }, body })
  },
  wrongLen: (response, reply, { random }) => {
    const { socket } = response
    const more = random() < 0.5
    const length = more ? reply.body.length + 7 : Math.max(1, reply.body.length - 3)
    const body = reply.body.length < 4 ? Buffer.from('four') : reply.body
    response.writeHead(reply.status, { ...plain(reply), 'content-length': length })
    response.write(body, () => socket?.end())
  },
}
