import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { integrationError } from '@ecokit/contracts'
import type { HttpBindings } from '@hono/node-server'
import { z } from '@hono/zod-openapi'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../src/app.ts'
import { allowedHosts, sessionCookie, sessionValue } from '../src/guard.ts'
import { openHub } from '../src/hub.ts'
import { listen } from '../src/listen.ts'
import type { Listening } from '../src/listen.ts'
import { addRoute } from '../src/route.ts'
import { ask, until } from './ask.ts'

const token = 'a-token-that-nobody-guesses'
const bearer = { authorization: `Bearer ${token}` }
let cookie: { readonly cookie: string }
/** The session's cookie for this server's port, with whatever value. */
const session = (value: string) => ({ cookie: `${sessionCookie(new URL(server.url).host)}=${value}` })
const hub = openHub({ maxClients: 2, maxBufferedBytes: 64 * 1024 })
const faults: string[] = []
let changes = 0
let folder: string
let server: Listening

const forbidden = { error: { code: 'forbidden', message: expect.any(String) as string } }
const unauthenticated = { error: { code: 'unauthenticated', message: expect.any(String) as string } }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecokit-guard-'))
  const web = join(folder, 'web')
  await mkdir(join(web, 'fonts'), { recursive: true })
  await writeFile(join(web, 'index.html'), '<h1>console</h1>')
  await writeFile(join(web, 'fonts', 'a.woff2'), 'font')
  await writeFile(join(folder, 'secret.txt'), 'a secret beside the console')
  await symlink(join(folder, 'secret.txt'), join(web, 'link.txt'))
  const hosts = () => allowedHosts('127.0.0.1', server.port)
  const app = createApp(
    {
      token,
      version: '0',
      hosts,
      consoleDirectory: pathToFileURL(`${web}/`),
      onError: ({ message }) => faults.push(message),
    },
    (added) => {
      added.get('/healthz', (context) => context.json({ status: 'ok' }))
      added.get('/api/events', (context) => {
        const { outgoing } = context.env as HttpBindings
        return hub.open({ version: '0' }, () => outgoing.destroy()) ?? new Response(null, { status: 503 })
      })
      const body = z.strictObject({ by: z.int() })
      addRoute(
        added,
        {
          method: 'post',
          path: '/api/changes',
          tag: 'test',
          summary: 'Counts',
          body,
          reply: z.object({ changes: z.int() }),
        },
        (asked) => ({ changes: (changes += asked.body.by) }),
      )
      addRoute(
        added,
        {
          method: 'get',
          path: '/api/changes',
          tag: 'test',
          summary: 'Count',
          reply: z.object({ changes: z.bigint() }),
        },
        () => ({ changes: 2n ** 60n + 1n }),
      )
      addRoute(
        added,
        {
          method: 'get',
          path: '/api/fail/{how}',
          tag: 'test',
          summary: 'Fails',
          params: z.object({ how: z.string() }),
          reply: z.object({}),
        },
        ({ params }) => {
          if (params.how === 'partner')
            throw integrationError('unauthenticated', { partner: 'lab', what: 'no', details: {} })
          throw new Error('an inner secret')
        },
      )
    },
  )
  server = await listen(app, '127.0.0.1', 0)
  cookie = session(sessionValue(token))
})
afterAll(async () => {
  hub.close()
  await server.close()
  await rm(folder, { recursive: true })
})

test('a local process without the token gets nothing but the probes', async () => {
  expect((await ask(server.url, '/healthz')).body).toEqual({ status: 'ok' })
  for (const path of [
    '/api/changes',
    '/openapi.json',
    '/',
    '/index.html',
    '/api/nothing',
    '/api/events',
    '/healthz/',
  ]) {
    const answer = await ask(server.url, path)
    expect([path, answer.status]).toEqual([path, 401])
    expect(answer.body).toEqual(unauthenticated)
  }
})

test.each([
  ['another token', { authorization: 'Bearer wrong' }],
  ['a part of the token', { authorization: `Bearer ${token.slice(0, -1)}` }],
  ['more than the token', { authorization: `Bearer ${token}x` }],
  ['the token under another scheme', { authorization: `Basic ${token}` }],
  ['the bare token', { authorization: token }],
  ['an empty header', { authorization: '' }],
  ['the token as the cookie', () => session(token)],
  ['a wrong cookie', () => session('A'.repeat(43))],
  ['the cookie of a console on another port', () => ({ cookie: `ecokit_session_1=${sessionValue(token)}` })],
  ['a wrong header beside the right cookie', () => ({ ...cookie, authorization: 'Bearer wrong' })],
])('%s is refused', async (_what, given) => {
  const headers = typeof given === 'function' ? given() : given
  const answer = await ask(server.url, '/api/changes', { headers })
  expect(answer.status).toBe(401)
  expect(answer.body).toEqual(unauthenticated)
})

test('a token in the query opens the console and nothing else', async () => {
  expect((await ask(server.url, `/api/changes?token=${token}`)).status).toBe(401)
  expect((await ask(server.url, `/?token=${token}`, { method: 'POST' })).status).toBe(401)
  expect((await ask(server.url, '/?token=wrong')).status).toBe(401)
  const answer = await ask(server.url, `/?token=${token}`)
  expect(answer.status).toBe(303)
  expect(answer.headers.location).toBe('/')
  expect(answer.headers['referrer-policy']).toBe('no-referrer')
  expect(answer.headers['cache-control']).toBe('no-store')
  const [set] = answer.headers['set-cookie'] ?? []
  expect(set).toMatch(new RegExp(`^ecokit_session_${server.port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`))
  expect(set).not.toContain(token)
  const page = await ask(server.url, '/', { headers: { cookie: set!.split(';')[0]! } })
  expect(page.text).toBe('<h1>console</h1>')
  expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'")
})

test('a browser without the cookie is told what to do, and asked again where a link left the cookie behind', async () => {
  const html = { accept: 'text/html' }
  const plain = await ask(server.url, '/', { headers: html })
  expect(plain.status).toBe(401)
  expect(plain.text).toContain('ecokit up')
  const linked = await ask(server.url, '/', { headers: { ...html, 'sec-fetch-site': 'cross-site' } })
  expect(linked.text).toContain('http-equiv="refresh"')
})

test.each(['evil.example', 'evil.example:80', 'localhost', '127.0.0.1:1', '127.0.0.1.evil.example'])(
  'a page that rebinds its name to us (Host: %s) is refused, probes and all',
  async (host) => {
    for (const path of ['/healthz', '/api/changes', `/?token=${token}`]) {
      const answer = await ask(server.url, path, { headers: { ...bearer, host } })
      expect(answer.status).toBe(403)
      expect(answer.body).toEqual(forbidden)
    }
  },
)

test('the loopback names are answered', async () => {
  for (const name of ['localhost', '127.0.0.1', '[::1]', 'LocalHost'])
    expect(
      (await ask(server.url, '/api/changes', { headers: { ...bearer, host: `${name}:${server.port}` } })).status,
    ).toBe(200)
})

test.each([
  ['another site', { origin: 'https://evil.example' }],
  ['a sandboxed frame', { origin: 'null' }],
  ['another port', { origin: 'http://127.0.0.1:1' }],
  ['another scheme', { origin: 'https://127.0.0.1' }],
  ['another site, read', { 'sec-fetch-site': 'cross-site' }],
  ['another port, read', { 'sec-fetch-site': 'same-site' }],
])('a page of %s is refused even with the cookie', async (_what, headers) => {
  for (const path of ['/api/changes', '/api/events', '/']) {
    const answer = await ask(server.url, path, { headers: { ...cookie, ...headers } })
    expect(answer.status).toBe(403)
    expect(answer.body).toEqual(forbidden)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  }
  expect(hub.size()).toBe(0)
})

test('a link on another page opens the console, and neither a frame nor the API', async () => {
  const from = (dest: string) => ({ ...cookie, 'sec-fetch-site': 'same-site', 'sec-fetch-dest': dest })
  expect((await ask(server.url, '/', { headers: from('document') })).text).toBe('<h1>console</h1>')
  expect((await ask(server.url, '/', { headers: from('iframe') })).status).toBe(403)
  expect((await ask(server.url, '/', { headers: from('document'), method: 'POST' })).status).toBe(403)
  expect((await ask(server.url, '/api/changes', { headers: from('document') })).status).toBe(403)
})

test('a form on another page changes nothing', async () => {
  const before = changes
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const origin = `http://127.0.0.1:${server.port}`
  const attempts = [
    { ...cookie, ...form },
    { ...cookie, ...form, origin: 'https://evil.example' },
    { ...cookie, ...form, origin: 'null', 'sec-fetch-site': 'cross-site' },
    { ...cookie, 'content-type': 'text/plain' },
    { ...cookie, 'content-type': 'application/json' },
    { ...cookie, 'content-type': 'application/json', 'sec-fetch-site': 'none' },
  ]
  for (const headers of attempts)
    expect((await ask(server.url, '/api/changes', { method: 'POST', headers, body: '{"by":1}' })).status).toBe(403)
  // Even our own page may not send a form: only JSON is read.
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x'])
    expect(
      (
        await ask(server.url, '/api/changes', {
          method: 'POST',
          headers: { ...cookie, origin, 'content-type': type },
          body: '{"by":1}',
        })
      ).status,
    ).toBeGreaterThanOrEqual(400)
  expect(changes).toBe(before)
  const own = { ...cookie, 'content-type': 'application/json', origin }
  expect((await ask(server.url, '/api/changes', { method: 'POST', headers: own, body: '{"by":1}' })).body).toEqual({
    changes: before + 1,
  })
})

test.each([
  '/../secret.txt',
  '/fonts/../../secret.txt',
  '/%2e%2e/secret.txt',
  '/..%2fsecret.txt',
  '/%2e%2e%2fsecret.txt',
  '/..%5csecret.txt',
  '/..\\secret.txt',
  '/%252e%252e%252fsecret.txt',
  '/fonts/..%00/secret.txt',
  '//../secret.txt',
  '/./../secret.txt',
  '/link.txt',
  '/fonts',
])('no path leads out of the console: %s', async (path) => {
  const answer = await ask(server.url, path, { headers: bearer })
  expect(answer.text).not.toContain('a secret')
  expect([400, 404]).toContain(answer.status)
})

test('files of the console have their type', async () => {
  const font = await ask(server.url, '/fonts/a.woff2', { headers: bearer })
  expect([font.text, font.headers['content-type'], font.headers['x-content-type-options']]).toEqual([
    'font',
    'font/woff2',
    'nosniff',
  ])
})

test('without a console there is a page that says how to build it', async () => {
  const bare = await listen(
    createApp({ token, version: '0', hosts: () => allowedHosts('127.0.0.1', bare.port) }, () => undefined),
    '127.0.0.1',
    0,
  )
  expect((await ask(bare.url, '/', { headers: bearer })).text).toContain('pnpm build')
  await bare.close()
})

test('errors are JSON with a code, name the field, and keep unexpected words to the operator', async () => {
  const post = (body: string) =>
    ask(server.url, '/api/changes', {
      method: 'POST',
      headers: { ...bearer, 'content-type': 'application/json' },
      body,
    })
  expect((await post('{"by":"x"}')).body).toMatchObject({ error: { code: 'invalid_input', field: 'by' } })
  expect((await post('{"by":1,"extra":1}')).body).toMatchObject({ error: { code: 'invalid_input', field: 'extra' } })
  const broken = await post('{')
  expect([broken.status, (broken.body as { error: { code: string } }).error.code]).toEqual([400, 'invalid_input'])
  const large = await post(JSON.stringify({ by: 1, text: 'x'.repeat(1 << 20) }))
  expect([large.status, (large.body as { error: { code: string } }).error.code]).toEqual([413, 'too_large'])
  const partner = await ask(server.url, '/api/fail/partner', { headers: bearer })
  expect([partner.status, partner.body]).toEqual([502, { error: { code: 'unauthenticated', message: 'lab: no' } }])
  const inner = await ask(server.url, '/api/fail/inner', { headers: bearer })
  expect([inner.status, inner.text.includes('secret')]).toEqual([500, false])
  expect(faults).toEqual(['an inner secret'])
  const missing = await ask(server.url, '/api/nothing', { headers: bearer })
  expect([missing.status, missing.body]).toEqual([
    404,
    { error: { code: 'not_found', message: 'there is no GET /api/nothing' } },
  ])
})

test('a bigint keeps its digits', async () => {
  expect((await ask(server.url, '/api/changes', { headers: bearer })).text).toBe('{"changes":1152921504606846977}')
})

test('a body without a length is refused before it is read', async () => {
  const socket = createConnection(server.port, '127.0.0.1')
  const host = `127.0.0.1:${server.port}`
  socket.on('error', () => undefined)
  let reply = ''
  socket.on('data', (chunk: Buffer) => (reply += chunk.toString()))
  socket.write(
    `POST /api/changes HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
  )
  const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
  for (let sent = 0; sent < 20; sent++) socket.write(chunk)
  socket.write('0\r\n\r\n')
  await until(() => (reply.includes('\r\n') ? true : undefined))
  expect(reply.split('\r\n')[0]).toContain('400')
  socket.destroy()
})

test('events reach a client, a third client is refused, and one that does not read is dropped', async () => {
  const connect = () => {
    const socket = createConnection(server.port, '127.0.0.1')
    const seen = { text: '', ended: false }
    socket.on('close', () => (seen.ended = true))
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => (seen.text += chunk.toString()))
    socket.write(`GET /api/events HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nauthorization: Bearer ${token}\r\n\r\n`)
    return { socket, seen }
  }
  const good = connect()
  await until(() => (good.seen.text.includes('event: hello\ndata: {"version":"0"}\n\n') ? true : undefined))
  expect(good.seen.text).toContain('text/event-stream')
  const slow = connect()
  await until(() => (hub.size() === 2 ? true : undefined))
  slow.socket.pause()
  const third = connect()
  await until(() => (third.seen.text.includes('HTTP/1.1 503') ? true : undefined))
  third.socket.destroy()
  let number = 0
  await until(() => {
    hub.send('run', { number: ++number, padding: 'x'.repeat(32 * 1024) })
    return hub.size() === 1 ? true : undefined
  })
  await until(() => (good.seen.text.includes(`{"number":${number},`) ? true : undefined))
  slow.socket.resume()
  await until(() => (slow.seen.ended ? true : undefined))
  good.socket.destroy()
  await until(() => (hub.size() === 0 ? true : undefined))
})

test('a port that is taken, and an address that is not ours, are said so', async () => {
  const app = createApp({ token, version: '0', hosts: () => new Set() }, () => undefined)
  await expect(listen(app, '127.0.0.1', server.port)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(`port ${server.port} of 127.0.0.1 is in use`) as string,
  })
  await expect(listen(app, '192.0.2.1', 0)).rejects.toMatchObject({ code: 'invalid_config' })
})

test('a server on every address answers for its own addresses', () => {
  const hosts = allowedHosts('0.0.0.0', 80)
  expect(hosts).toContain('127.0.0.1')
  expect(hosts).toContain('localhost:80')
  expect([...hosts].length).toBeGreaterThan(6)
})
