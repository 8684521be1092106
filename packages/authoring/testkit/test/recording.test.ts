import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { connect } from '@ecokit/connect'
import { defineConnector, isIntegrationError } from '@ecokit/contracts'
import fc from 'fast-check'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { recordExchanges, replayExchanges } from '../src/index.ts'
import { bearer } from '@ecokit/auth'

const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-recording-'))
afterAll(() => rm(folder, { recursive: true, force: true }))
let files = 0
const newFile = () => path.join(folder, `${(files += 1)}.json`)

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
const serve = async (answer: (body: Buffer, request: IncomingMessage, response: ServerResponse) => void) => {
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => answer(body, request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const json = (response: ServerResponse, value: unknown, headers: Record<string, string | string[]> = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
const anything = z.unknown()

const platform = defineConnector(
  { id: 'acme', title: 'Acme', config: z.strictObject({ url: z.url() }), hosts: ['{url}'], auth: { token: bearer() } },
  ({ config, http }) => ({
    check: (options) => http(config.url).json({ method: 'GET', path: 'me' }, z.object({}), options),
  }),
)
const open = (url: string, token: string, dispatcher: ReturnType<typeof replayExchanges>) => {
  const connection = connect(
    platform,
    { config: { url }, credentials: { scheme: 'token', token } },
    { dispatcher, policy: { attempts: 1 } },
  )
  onTestFinished(() => connection.close())
  return connection.http()
}
const failed = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => expect.unreachable(),
    (reason: unknown) => reason,
  )
  if (!isIntegrationError(error)) throw error
  return error
}

test('what was recorded is replayed, to another address and with another token, and everything is accounted for', async () => {
  const url = await serve((body, request, response) => {
    if (request.url?.startsWith('/page') === true)
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(`{ "items": [{"id": 9007199254740993}], "at": "${request.url}" }`)
    else if (request.method === 'PUT') json(response, { size: body.length })
    else if (request.url === '/file')
      response.writeHead(200, { 'content-type': 'image/x' }).end(Buffer.from([0, 255, 128, 7]))
    else if (request.url === '/packed')
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        .end(gzipSync('{"packed":true}'))
    else if (request.url === '/missing') response.writeHead(404).end('{}')
    else json(response, { got: JSON.parse(body.toString()) as unknown, id_token: 'abc' })
  })
  const drive = async (at: string, token: string, dispatcher: ReturnType<typeof replayExchanges>) => {
    const http = open(at, token, dispatcher)
    const bytes = await http.request({ method: 'GET', path: 'file' })
    const streamed = new ReadableStream({
      start: (to) => {
        to.enqueue(Buffer.from('streamed'))
        to.close()
      },
    })
    const stored = await http.request({ method: 'PUT', path: 'upload', body: streamed })
    return [
      await http.json({ method: 'GET', path: 'page', query: { b: '2', a: '1' } }, anything),
      await http.json({ method: 'GET', path: 'page', query: { a: '1', b: '3' } }, anything),
      await http.json(
        { method: 'POST', path: 'search', body: { filter: 'x', extra: at.length } },
        z.looseObject({ got: z.looseObject({ filter: z.string() }) }),
      ),
      await http.json({ method: 'GET', path: 'packed' }, anything),
      [...new Uint8Array(await new Response(bytes.body).arrayBuffer())],
      await new Response(stored.body).text(),
      (await failed(http.json({ method: 'GET', path: 'missing' }, anything))).code,
    ]
  }
  const file = newFile()
  const recorder = recordExchanges({ file, secrets: ['the-token-of-the-day'] })
  const live = await drive(url, 'the-token-of-the-day', recorder as never)
  expect(recorder.recorded()).toBe(8 - 1)
  await recorder.close()
  const text = await readFile(file, 'utf8')
  expect(text).not.toContain('the-token-of-the-day')
  expect(text).toContain('"authorization": "***"')
  expect(text).toContain('"id_token": "***"')
  // A number that a double cannot hold is kept as it came.
  expect(text).toContain('9007199254740993')
  // More fields than were recorded do not matter.
  await writeFile(file, text.replace(/"filter": "x",\s*"extra": \d+/, '"filter": "x"'))
  const replayer = replayExchanges(file)
  const again = await drive('http://127.0.0.1:9', 'another-token', replayer)
  expect(replayer.unused()).toEqual([])
  replayer.done()
  expect(again.filter((_, at) => at !== 2)).toEqual(live.filter((_, at) => at !== 2))
})

test('a request without a recording says what it was and what comes closest; what was never asked for is told', async () => {
  const url = await serve((_, request, response) => json(response, { at: request.url }))
  const file = newFile()
  const recorder = recordExchanges({ file, secrets: [] })
  const http = open(url, 'a-token', recorder as never)
  await http.json({ method: 'POST', path: 'a', body: { n: 1 } }, anything)
  await http.json({ method: 'GET', path: 'b', query: { q: '1' } }, anything)
  await http.json({ method: 'GET', path: 'c' }, anything)
  await recorder.close()
  const replayer = replayExchanges(file)
  const replayed = open('http://127.0.0.1:9', 'a-token', replayer)
  const said = async (request: Parameters<typeof http.json>[0]) =>
    (await failed(replayed.json(request, anything))).message
  expect(await said({ method: 'POST', path: 'a', body: { n: 2 } })).toMatch(
    /answers POST \/a: what was recorded has another body/,
  )
  expect(await said({ method: 'GET', path: 'b', query: { q: '2' } })).toMatch(
    /answers GET \/b\?q=2: what was recorded has another query: GET \/b\?q=1/,
  )
  expect(await said({ method: 'GET', path: 'd' })).toMatch(
    /answers GET \/d: nothing was recorded for this method and path\. Record it again/,
  )
  await replayed.json({ method: 'GET', path: 'c' }, anything)
  expect(await said({ method: 'GET', path: 'c' })).toContain('all its recordings were used')
  expect(replayer.unused()).toEqual(['POST /a', 'GET /b?q=1'])
  expect(() => replayer.done()).toThrow(/never asked for: POST \/a, GET \/b\?q=1/)
})

test('a recording that is not there or is none says so', async () => {
  expect(() => replayExchanges(path.join(folder, 'nowhere.json'))).toThrow(
    /cannot be read \(ENOENT\)\. Record it first/,
  )
  const file = newFile()
  await writeFile(file, '{"recording":2}')
  expect(() => replayExchanges(file)).toThrow(/is no recording/)
})

const escaped = (secret: string): string => JSON.stringify(secret).slice(1, -1)
/** A secret somewhere in an exchange, in one of the ways in which it may be written. */
const encodings: readonly ((secret: string) => string)[] = [
  (secret) => secret,
  encodeURIComponent,
  (secret) => Buffer.from(secret).toString('base64'),
  (secret) => Buffer.from(`user:${secret}`).toString('base64'),
  (secret) => Buffer.from(`u:${secret}!`).toString('base64url'),
  (secret) => Buffer.from(secret).toString('hex'),
  (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
  escaped,
]
const places = [
  'path',
  'query',
  'header',
  'json',
  'key',
  'form',
  'text',
  'bytes',
  'reply',
  'reply header',
  'gzip',
] as const
const secretText = fc
  .string({ minLength: 8, maxLength: 40, unit: 'grapheme-ascii' })
  .filter((text) => text.trim().length >= 8 && !/^(.)\1*$/.test(text))

test('no secret stands in a recording, wherever an exchange has it and however it is written', async () => {
  let reply: (response: ServerResponse) => void = () => {}
  const url = await serve((_, __, response) => reply(response))
  await fc.assert(
    fc.asyncProperty(
      secretText,
      fc.constantFrom(...encodings),
      fc.constantFrom(...places),
      async (secret, encode, place) => {
        const shown = encode(secret)
        const file = newFile()
        const recorder = recordExchanges({ file, secrets: [secret] })
        reply = (response) => {
          if (place === 'reply') json(response, { deep: [{ said: `you sent ${shown}` }] })
          else if (place === 'reply header') json(response, {}, { link: `<http://x/?a=${safe}>; rel="next"` })
          else if (place === 'gzip')
            response.writeHead(200, { 'content-type': 'application/gzip' }).end(gzipSync(`a ${shown} b`))
          else json(response, {})
        }
        // Twice encoded is not among the forms.
        const safe =
          encode === encodeURIComponent || encode === escaped ? encodeURIComponent(secret) : encodeURIComponent(shown)
        const type: Partial<Record<string, string>> = {
          json: 'application/json',
          key: 'application/json',
          form: 'application/x-www-form-urlencoded',
        }
        const body: Partial<Record<string, string | Buffer>> = {
          json: JSON.stringify({ a: { b: [`x${shown}y`] } }),
          key: JSON.stringify({ [shown]: 1 }),
          form: `grant_type=x&other=${safe}`,
          text: `before ${shown} after`,
          bytes: Buffer.concat([Buffer.from([0, 255]), Buffer.from(shown)]),
        }
        await new Promise<void>((resolve, reject) => {
          recorder.dispatch(
            {
              origin: url,
              method: 'POST',
              path: `/${place === 'path' ? safe : 'p'}${place === 'query' ? `?q=${safe}` : ''}`,
              headers: {
                'content-type': type[place] ?? 'text/plain',
                ...(place === 'header'
                  ? { accept: `text/${Buffer.from(shown).toString('hex')}`, 'x-api-key': safe }
                  : {}),
              },
              body: body[place] ?? null,
            },
            {
              onResponseStart: () => {},
              onResponseData: () => {},
              onResponseEnd: () => resolve(),
              onResponseError: (_, error) => reject(error),
            },
          )
        })
        expect(recorder.recorded()).toBe(1)
        await recorder.close()
        const text = await readFile(file, 'utf8')
        const forms = [
          secret,
          JSON.stringify(secret).slice(1, -1),
          encodeURIComponent(secret),
          Buffer.from(secret).toString('hex'),
        ]
        const hidden = [...text.matchAll(/"base64": "([^"]*)"/g)].map(([, bytes = '']) =>
          Buffer.from(bytes, 'base64').toString('latin1'),
        )
        for (const form of forms)
          for (const where of [text, ...hidden])
            expect(where.includes(form) ? { secret, place, text } : 'clean').toBe('clean')
        expect(text).toContain('***')
        await rm(file)
      },
    ),
    { numRuns: 400 },
  )
})

test('what nobody named as a secret and looks like one is taken out too', async () => {
  const file = newFile()
  const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJl'
  const url = await serve((_, __, response) =>
    json(
      response,
      {
        access_token: 'one-two-three',
        nested: { clientSecret: 'four', 'api-key': 'five' },
        say: `Bearer sixseveneight`,
        jwt,
        password: '',
      },
      {
        'set-cookie': ['session=nine'],
        location: 'https://files/x?sig=ten-eleven&se=2026',
      },
    ),
  )
  const recorder = recordExchanges({ file, secrets: [] })
  await open(url, 'eleven-twelve', recorder as never).json(
    { method: 'GET', path: 'x', query: { api_key: 'thirteen', page_token: 'kept' } },
    anything,
  )
  await recorder.close()
  const text = await readFile(file, 'utf8')
  for (const word of ['one-two', 'four', 'five', 'sixseven', 'nine', 'ten-eleven', 'eleven', 'thirteen', jwt])
    expect(text).not.toContain(word)
  expect(text).toContain('"kept"')
  expect(text).toContain('"location": "https://files/x?sig=***&se=2026"')
})
