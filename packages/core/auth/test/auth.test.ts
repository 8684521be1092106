import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  defineConnector,
  secretFields,
  type AuthContext,
  type Authorizer,
  type AuthScheme,
  type CredentialsOf,
} from '@ecokit/contracts'
import { memoryShared, openNetwork } from '@ecokit/http'
import { apiKey, basic, bearer, none } from '../src/index.ts'

const context: AuthContext = {
  partner: 'acme',
  config: {},
  http: () => expect.unreachable('these schemes need no network'),
  tokens: memoryShared(),
  now: () => 0,
  sleep: () => Promise.resolve(),
  random: () => 0,
}

const opened = <C extends z.ZodObject>(scheme: AuthScheme<C>, credentials: z.output<C>): Authorizer =>
  scheme.open(credentials, context)

/** What a real server is sent by a call that carries these credentials. */
const sent = async (authorizer: Authorizer, query: Record<string, string> = {}): Promise<IncomingMessage> => {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const network = openNetwork({ partner: 'acme', hosts: ['{url}'], config: { url }, authorizer })
  await network.http(url).json({ method: 'GET', path: 'x', query }, z.unknown())
  await network.close()
  await new Promise((resolve) => server.close(resolve))
  return requests[0] ?? expect.unreachable('nothing was sent')
}

test('none adds nothing', async () => {
  const { headers, url } = await sent(opened(none(), {}))
  expect(Object.keys(headers).toSorted()).toEqual(['accept', 'connection', 'host', 'user-agent'])
  expect(url).toBe('/x')
})
test('bearer', async () => {
  const { headers } = await sent(opened(bearer(), { token: 'abc.DEF-123_~+/==' }))
  expect(headers.authorization).toBe('Bearer abc.DEF-123_~+/==')
})
test('basic, with the example of RFC 7617, section 2.1, and UTF-8 in normal form C', async () => {
  expect((await sent(opened(basic(), { username: 'test', password: '123\u00a3' }))).headers.authorization).toBe(
    'Basic dGVzdDoxMjPCow==',
  )
  const { headers } = await sent(opened(basic(), { username: 'Zoe\u0308', password: 'a:b' }))
  expect(Buffer.from(headers.authorization?.slice(6) ?? '', 'base64').toString()).toBe('Zo\u00eb:a:b')
})
test('an API key in a header', async () => {
  const { headers } = await sent(opened(apiKey({ header: 'X-Api-Key' }), { apiKey: 'k3y' }))
  expect(headers['x-api-key']).toBe('k3y')
})
test('an API key in the query leaves the rest of the query as it was', async () => {
  const scheme = apiKey({ query: 'api key' })
  expect((await sent(opened(scheme, { apiKey: 'a+b/c=&d' }))).url).toBe('/x?api%20key=a%2Bb%2Fc%3D%26d')
  // A next page's address that the partner made of ours has the key already.
  expect((await sent(opened(scheme, { apiKey: 'k' }), { 'api key': 'k', page: '2' })).url).toBe('/x?page=2&api%20key=k')
  expect((await sent(opened(scheme, { apiKey: 'k' }), { filter: 'a = b c' })).url).toBe(
    '/x?filter=a%20%3D%20b%20c&api%20key=k',
  )
})

const schemes = { none: none(), token: bearer(), password: basic(), key: apiKey({ header: 'x-api-key' }) }
test('secret fields are marked, so that forms, logs and files know them', () => {
  const marked = Object.entries(schemes).map(([name, { kind, credentials }]) => [name, kind, secretFields(credentials)])
  expect(marked).toEqual([
    ['none', 'none', []],
    ['token', 'bearer', ['token']],
    ['password', 'basic', ['password']],
    ['key', 'api_key', ['apiKey']],
  ])
})
test('the credentials of a connector are the union of its schemes', () => {
  const connector = defineConnector(
    { id: 'acme', title: 'Acme', config: z.object({}), hosts: [], auth: schemes },
    () => ({ check: () => Promise.resolve({}) }),
  )
  expectTypeOf<CredentialsOf<(typeof connector)['manifest']>>().toEqualTypeOf<
    | { readonly scheme: 'none' }
    | ({ readonly scheme: 'token' } & { token: string })
    | ({ readonly scheme: 'password' } & { username: string; password: string })
    | ({ readonly scheme: 'key' } & { apiKey: string })
  >()
  expect(connector.manifest.auth.token.kind).toBe('bearer')
})

test.for([
  [bearer().credentials, { token: 'abc\n' }, 'token'],
  [bearer().credentials, { token: 'abc\r\nhost: evil.example' }, 'token'],
  [bearer().credentials, { token: 'a b' }, 'token'],
  [bearer().credentials, { token: 'abc\u0000' }, 'token'],
  [bearer().credentials, { token: 'abc\u007f' }, 'token'],
  [bearer().credentials, { token: 'töken' }, 'token'],
  [bearer().credentials, { token: '' }, 'token'],
  [apiKey({ header: 'x-api-key' }).credentials, { apiKey: 'abc\n' }, 'apiKey'],
  [apiKey({ query: 'key' }).credentials, { apiKey: 'abc\n' }, 'apiKey'],
  [basic().credentials, { username: 'a:b', password: 'abc' }, 'username'],
  [basic().credentials, { username: 'a\nb', password: 'abc' }, 'username'],
  [basic().credentials, { username: 'ab', password: 'abc\r' }, 'password'],
  [basic().credentials, { username: 'ab', password: '' }, 'password'],
] as const)('%o refuses %o without quoting it', ([schema, credentials, field]) => {
  const { error } = schema.safeParse(credentials)
  expect(error?.issues.map(({ path }) => path.join('.'))).toContain(field)
  expect(error?.message).not.toContain('abc')
})
test.for(Object.entries(schemes))('the schema of %s is strict', ([, { credentials }]) => {
  const { error } = credentials.safeParse({ token: 'a', username: 'a', password: 'a', apiKey: 'a', mistyped: 'a' })
  expect(error?.issues.map(({ code }) => code)).toContain('unrecognized_keys')
})

const text = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ minLength: 1 }))
const headersOf = (authorizer: Authorizer): string[][] => {
  const headers = new Headers()
  void authorizer.authorize({ method: 'GET', url: new URL('https://api.example.com/'), headers, body: undefined })
  return [...headers]
}
test('every user name and password that the schema accepts arrives as it was', () => {
  fc.assert(
    fc.property(text, text, (username, password) => {
      const { data } = basic().credentials.safeParse({ username, password })
      fc.pre(data !== undefined)
      const [[name, value = ''] = [], ...others] = headersOf(opened(basic(), data))
      const arrived = Buffer.from(value.slice('Basic '.length), 'base64').toString()
      expect([name, arrived, others]).toEqual(['authorization', `${username}:${password}`.normalize('NFC'), []])
    }),
  )
})
test('every token that the schema accepts can be sent, in one header', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (token) => {
      const { data } = bearer().credentials.safeParse({ token })
      fc.pre(data !== undefined)
      expect(headersOf(opened(bearer(), data))).toEqual([['authorization', `Bearer ${token}`]])
    }),
  )
})
