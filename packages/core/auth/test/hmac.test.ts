import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { z } from 'zod'
import { isIntegrationError, secretFields } from '@ecokit/contracts'
import { memoryShared, openNetwork } from '@ecokit/http'
import { hmacSigning, type HmacDesign, type HmacPart } from '../src/index.ts'

interface Received {
  readonly request: IncomingMessage
  readonly body: Buffer
}
const received: Received[] = []
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    received.push({ request, body: Buffer.concat(chunks) })
    response.end('{}')
  })
})
let url = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

interface Sent {
  readonly method: string
  readonly path: string
  readonly query?: Record<string, string>
  readonly body?: Uint8Array | ReadableStream<Uint8Array>
  readonly headers?: Record<string, string>
}
const now = Date.parse('2026-03-04T05:06:07.890Z')
const send = async (
  design: HmacDesign,
  credentials: { keyId?: string; key: string },
  sent: Sent,
): Promise<Received> => {
  received.length = 0
  const authorizer = hmacSigning(design).open(credentials, {
    partner: 'acme',
    config: {},
    http: () => expect.unreachable('no network'),
    tokens: memoryShared(),
    now: () => now,
    sleep: () => Promise.resolve(),
    random: () => 0,
  })
  const network = openNetwork({ partner: 'acme', hosts: ['{url}'], config: { url }, authorizer })
  try {
    const reply = await network.http(url).request(sent)
    await reply.body.cancel()
  } finally {
    await network.close()
  }
  return received[0] ?? expect.unreachable('nothing was sent')
}

/** What a partner computes from what arrived, written apart from the scheme and only from the raw request. */
const independent = (design: HmacDesign, key: Buffer, keyId: string, { request, body }: Received): string => {
  const stamp = {
    seconds: '1772600767',
    milliseconds: '1772600767890',
    iso: '2026-03-04T05:06:07Z',
    http_date: 'Wed, 04 Mar 2026 05:06:07 GMT',
  }
  const target = request.url ?? ''
  const mark = target.indexOf('?')
  // The signature itself stands last in the query, when it stands there.
  const query = (mark < 0 ? '' : target.slice(mark + 1)).replace(/(?:^|&)sig=[^&]*$/, '')
  const path = mark < 0 ? target : target.slice(0, mark)
  const hash = design.bodyHash ?? { algorithm: 'sha256', encoding: 'hex' }
  const simple = {
    method: request.method ?? '',
    host: request.headers.host ?? '',
    path,
    query,
    target: query === '' ? path : `${path}?${query}`,
    timestamp: stamp[design.timestamp ?? 'seconds'],
    nonce: String(request.headers['x-nonce']),
    key_id: keyId,
    body,
    body_hash: createHash(hash.algorithm).update(body).digest(hash.encoding),
  }
  const parts = design.signed.map((part) => {
    if (typeof part === 'string') return simple[part]
    return 'text' in part ? part.text : String(request.headers[part.header.toLowerCase()] ?? '')
  })
  const separator = Buffer.from(design.separator ?? '\n')
  const message = Buffer.concat(
    parts.flatMap((part, index) => [...(index > 0 ? [separator] : []), Buffer.from(part as string)]),
  )
  return createHmac(design.algorithm ?? 'sha256', key)
    .update(message)
    .digest(design.encoding ?? 'hex')
}

const parts: HmacPart[] = [
  'method',
  'host',
  'path',
  'query',
  'target',
  'timestamp',
  'nonce',
  'key_id',
  'body',
  'body_hash',
]
const design = fc.record(
  {
    algorithm: fc.constantFrom('sha1', 'sha256', 'sha384', 'sha512'),
    signed: fc.array(
      fc.oneof(
        fc.constantFrom(...parts),
        fc.constant({ header: 'X-Thing' }),
        fc.string().map((text) => ({ text })),
      ),
      { minLength: 1, maxLength: 8 },
    ),
    separator: fc.constantFrom('\n', '.', '', '|', '\r\n'),
    encoding: fc.constantFrom('hex', 'base64', 'base64url'),
    key: fc.constantFrom('utf8', 'hex', 'base64'),
    timestamp: fc.constantFrom('seconds', 'milliseconds', 'iso', 'http_date'),
    bodyHash: fc.record({
      algorithm: fc.constantFrom('md5', 'sha256', 'sha512'),
      encoding: fc.constantFrom('hex', 'base64'),
    }),
    inQuery: fc.boolean(),
  },
  { requiredKeys: ['signed', 'inQuery'] },
)
test('whatever the design, a partner that computes the signature by itself from what arrived gets the same one', async () => {
  await fc.assert(
    fc.asyncProperty(
      design,
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      fc.webPath(),
      fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 3 }),
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      async ({ inQuery, ...given }, method, path, query, bytes, keyBytes) => {
        fc.pre(!/(?:^|\/)\.{1,2}(?:\/|$)/.test(decodeURIComponent(path.replaceAll('%', '%25'))) && !('sig' in query))
        const key =
          given.key === undefined || given.key === 'utf8'
            ? Buffer.from(keyBytes).toString('hex')
            : Buffer.from(keyBytes).toString(given.key)
        const made = {
          ...given,
          headers: {
            'x-nonce': '{nonce}',
            'x-time': '{timestamp}',
            ...(!inQuery && { authorization: 'ACME {key_id}:{signature}' }),
          },
          query: { ...(inQuery && { id: '{key_id}', sig: '{signature}' }) },
        } as HmacDesign
        const body = method === 'GET' || method === 'DELETE' ? {} : { body: bytes }
        const arrived = await send(
          made,
          { keyId: 'id-1', key },
          { method, path, query, headers: { 'x-thing': 'some thing' }, ...body },
        )
        const expected = independent(made, Buffer.from(key, given.key ?? 'utf8'), 'id-1', arrived)
        const shown = inQuery
          ? new URL(arrived.request.url ?? '', url).searchParams.get('sig')
          : /^ACME id-1:(.*)$/.exec(arrived.request.headers.authorization ?? '')?.[1]
        expect(shown).toBe(expected)
      },
    ),
    { numRuns: 60 },
  )
})

const standard: HmacDesign = {
  signed: ['method', 'target', 'timestamp', 'body_hash'],
  headers: {
    'x-key': '{key_id}',
    'x-timestamp': '{timestamp}',
    'x-signature': 'v1={signature}',
    'x-body': '{body_hash}',
  },
}
test('the timestamp, the key id and the body hash go where the design says', async () => {
  const { request } = await send(
    standard,
    { keyId: 'k', key: 's3cret' },
    { method: 'POST', path: 'a', body: Buffer.from('x') },
  )
  expect(request.headers).toMatchObject({
    'x-key': 'k',
    'x-timestamp': '1772600767',
    'x-body': createHash('sha256').update('x').digest('hex'),
    'x-signature': `v1=${createHmac('sha256', 's3cret')
      .update(`POST\n/a\n1772600767\n${createHash('sha256').update('x').digest('hex')}`)
      .digest('hex')}`,
  })
})
test('RFC 4231, test case 2', async () => {
  const design: HmacDesign = { signed: ['body'], headers: { 'x-signature': '{signature}' } }
  const { request } = await send(
    design,
    { keyId: 'k', key: 'Jefe' },
    { method: 'POST', path: '', body: Buffer.from('what do ya want for nothing?') },
  )
  expect(request.headers['x-signature']).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
})
test('a streamed body cannot be signed; where the body is not signed it goes through', async () => {
  const stream = () => new Blob(['abc']).stream()
  const refused = await send(standard, { keyId: 'k', key: 's' }, { method: 'POST', path: 'a', body: stream() }).catch(
    (error: unknown) => error,
  )
  expect(isIntegrationError(refused, 'unsupported')).toBe(true)
  expect(received).toEqual([])
  const design: HmacDesign = { signed: ['method', 'path'], headers: { 'x-signature': '{signature}' } }
  expect(
    (await send(design, { keyId: 'k', key: 's' }, { method: 'POST', path: 'a', body: stream() })).body.toString(),
  ).toBe('abc')
})
test('an address that carries our parameters already gets them once', async () => {
  const design: HmacDesign = { signed: ['target'], query: { key: '{key_id}', signature: '{signature}' } }
  const { request } = await send(
    design,
    { keyId: 'k', key: 's' },
    { method: 'GET', path: 'a?key=old&x=1&signature=old' },
  )
  expect(request.url).toBe(`/a?x=1&key=k&signature=${createHmac('sha256', 's').update('/a?x=1&key=k').digest('hex')}`)
})
test('a design that cannot work is refused when it is made', () => {
  expect(() => hmacSigning({ signed: ['body'], headers: { a: '{signatur}' } })).toThrow(/\{signatur\}/)
  expect(() => hmacSigning({ signed: ['body'], headers: { a: '{timestamp}' } })).toThrow(/\{signature\}/)
})
test('a key id is asked for exactly where the partner gets to see it', () => {
  const fields = ({ credentials }: ReturnType<typeof hmacSigning>, given: object) =>
    credentials.safeParse(given).error?.issues.map(({ path }) => path.join('.'))
  const without = hmacSigning({ signed: ['body'], headers: { a: '{signature}' } })
  const inside = hmacSigning({ signed: ['key_id', 'body'], headers: { a: '{signature}' } })
  expect(fields(without, { key: 's' })).toBeUndefined()
  expect(fields(without, { keyId: 'k', key: 's' })).toEqual(['keyId'])
  for (const design of [hmacSigning(standard), inside]) {
    expect(fields(design, { keyId: 'k', key: 's' })).toBeUndefined()
    expect(fields(design, { key: 's' })).toEqual(['keyId'])
  }
})
test('credentials', () => {
  const { credentials } = hmacSigning({ ...standard, key: 'base64' })
  expect(secretFields(credentials)).toEqual(['key'])
  expect(credentials.safeParse({ keyId: 'k', key: 'not base64!' }).error?.issues.map(({ path }) => path)).toEqual([
    ['key'],
  ])
  expect(credentials.safeParse({ keyId: 'k\n', key: 'YWJj' }).error?.issues.map(({ path }) => path)).toEqual([
    ['keyId'],
  ])
  expectStrict(credentials)
})
const expectStrict = (schema: z.ZodType) =>
  expect(schema.safeParse({ keyId: 'k', key: 'YWJj', other: 1 }).error?.issues[0]?.code).toBe('unrecognized_keys')
