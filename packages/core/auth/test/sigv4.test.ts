import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isIntegrationError, type AuthContext } from '@ecokit/contracts'
import { memoryShared } from '@ecokit/http'
import { awsSigV4, explainAws } from '../src/index.ts'
import { amzDate, canonicalRequest, signingKey, stringToSign } from '../src/sigv4.ts'
import suite from './fixtures/aws-sigv4-suite.json' with { type: 'json' }

const context = (config: unknown = {}, now = Date.parse(suite.date)): AuthContext => ({
  partner: 'acme',
  config,
  http: () => expect.unreachable('no network'),
  tokens: memoryShared(),
  now: () => now,
  sleep: () => Promise.resolve(),
  random: () => 0,
})
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')

/** The suite's raw HTTP, read the lenient way that it needs: spaces in the target, header values that go on in the next line. */
const parse = (raw: string) => {
  const [head = '', ...rest] = raw.replaceAll('\r\n', '\n').split('\n\n')
  const [line = '', ...lines] = head.split('\n')
  const [, method = '', target = ''] = /^(\S+) (.*) HTTP\/1\.1$/.exec(line) ?? []
  const headers: [string, string][] = []
  for (const each of lines) {
    const last = headers.at(-1)
    if (/^\s/.test(each) && last !== undefined) last[1] += ` ${each.trim()}`
    else if (each !== '') headers.push([each.slice(0, each.indexOf(':')), each.slice(each.indexOf(':') + 1)])
  }
  return { method, url: new URL(`https://example.amazonaws.com${target}`), headers, body: rest.join('\n\n') }
}
const keys = { accessKeyId: suite.accessKeyId, secretAccessKey: suite.secretAccessKey }
const cases = Object.entries(suite.cases)

test('the suite is all there', () => expect(cases).toHaveLength(34))

/** These put raw bytes into the request line; a URL is always sent encoded, and that is then encoded once more. */
const rawPaths: Readonly<Record<string, string>> = {
  'get-utf8': '/\u1234',
  'normalize-path/get-space': '/example space/',
}

test.for(cases)('AWS vector %s: canonical request, string to sign and signature', ([name, expected]) => {
  const { method, url, headers, body } = parse(expected.req)
  // Of the two ways to add a session token, ours signs it; "after" adds it to a finished request and so has no token to sign.
  if (name === 'get-vanilla-with-session-token') headers.push(['X-Amz-Security-Token', tokenIn(expected.creq)])
  const canonical = canonicalRequest(
    { method, path: rawPaths[name] ?? url.pathname, search: url.search, headers, payloadHash: sha256(body) },
    suite.service,
  )
  expect(canonical.text).toBe(expected.creq.replaceAll('\r\n', '\n'))
  const scope = `20150830/${suite.region}/${suite.service}/aws4_request`
  const text = stringToSign(amzDate(Date.parse(suite.date)), scope, canonical.text)
  expect(text).toBe(expected.sts.replaceAll('\r\n', '\n'))
  const key = signingKey(suite.secretAccessKey, '20150830', suite.region, suite.service)
  expect(expected.authz).toContain(`Signature=${createHmac('sha256', key).update(text).digest('hex')}`)
})
const tokenIn = (canonical: string): string => /^x-amz-security-token:(.*)$/m.exec(canonical)?.[1] ?? ''

/** What URL and Headers can carry as the suite has it: no raw path, no repeated header lines (they arrive joined by ", "), and the token signed. */
const others = new Set([
  ...Object.keys(rawPaths),
  'get-header-key-duplicate',
  'get-header-value-order',
  'post-sts-token/post-sts-header-after',
])
const sendable = cases.filter(([name]) => !others.has(name))
test.for(sendable)('AWS vector %s through the scheme gives the Authorization header of the suite', ([, expected]) => {
  const { method, url, headers, body } = parse(expected.req)
  const scheme = awsSigV4({ service: suite.service, region: '{region}' })
  const sessionToken = tokenIn(expected.creq)
  const authorizer = scheme.open(
    { ...keys, ...(sessionToken !== '' && { sessionToken }) },
    context({ region: suite.region }),
  )
  const sent = new Headers(headers.filter(([name]) => name.toLowerCase() !== 'host'))
  authorizer.authorize({ method, url, headers: sent, body: body === '' ? undefined : Buffer.from(body) })
  expect(sent.get('authorization')).toBe(expected.authz)
})

const s3 = () => awsSigV4({ service: 's3', region: 'eu-central-1' }).open(keys, context())
const signed = (path: string, body?: Uint8Array | 'stream', authorizer = s3()) => {
  const headers = new Headers()
  const url = new URL(`https://bucket.s3.amazonaws.com${path}`)
  authorizer.authorize({ method: 'PUT', url, headers, body })
  return { headers, url }
}
test('S3: the body hash is a header, and a stream goes unsigned', () => {
  expect(signed('/a', Buffer.from('abc')).headers.get('x-amz-content-sha256')).toBe(sha256('abc'))
  expect(signed('/a').headers.get('x-amz-content-sha256')).toBe(sha256(''))
  expect(signed('/a', 'stream').headers.get('x-amz-content-sha256')).toBe('UNSIGNED-PAYLOAD')
})
test('a stream to any other service is refused before anything is sent', () => {
  const authorizer = awsSigV4({ service: 'sqs', region: 'eu-central-1' }).open(keys, context())
  let thrown: unknown
  try {
    signed('/', 'stream', authorizer)
  } catch (error) {
    thrown = error
  }
  expect(isIntegrationError(thrown, 'unsupported')).toBe(true)
})
test('S3: any key is sent as it was meant, with only unreserved characters left plain', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { minLength: 1 }), (parts) => {
      const key = parts.map((part) => part.replaceAll('/', '//')).join('/')
      // No URL can hold these as a segment.
      fc.pre(key.split('/').every((segment) => segment !== '.' && segment !== '..'))
      const { url } = signed(`/${key.split('/').map(encodeURIComponent).join('/')}`)
      expect(url.pathname).toMatch(/^(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*$/)
      expect(decodeURIComponent(url.pathname)).toBe(`/${key}`)
    }),
  )
})
test('a query keeps its meaning in AWS\u2019s encoding', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }))),
      (pairs) => {
        const { url } = signed(`/?${new URLSearchParams(pairs).toString()}`)
        expect(url.search).toMatch(/^(?:\?(?:[A-Za-z0-9\-._~=&]|%[0-9A-F]{2})+)?$/)
        expect([...url.searchParams].toSorted()).toEqual([...new URLSearchParams(pairs)].toSorted())
      },
    ),
  )
})
test('the key of the day changes with the day', () => {
  let now = Date.parse('2026-01-01T23:59:59Z')
  const authorizer = awsSigV4({ service: 's3', region: 'eu-central-1' }).open(keys, { ...context(), now: () => now })
  const scopes = [0, 1000].map((step) => {
    now += step
    return /Credential=[^/]+\/(\d+)/.exec(signed('/', undefined, authorizer).headers.get('authorization') ?? '')?.[1]
  })
  expect(scopes).toEqual(['20260101', '20260102'])
})
test('a region that the config does not have is named', () => {
  const open = () => awsSigV4({ service: 's3', region: '{aws.region}' }).open(keys, context({ aws: {} }))
  expect(open).toThrow(/config\.aws\.region is not set/)
})

test.for([
  [
    '<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>',
    {},
    'unauthenticated',
    'SignatureDoesNotMatch',
  ],
  [
    '{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"No."}',
    {},
    'unauthenticated',
    'UnrecognizedClientException',
  ],
  [
    '{"message":"No."}',
    { 'x-amzn-errortype': 'AccessDeniedException:http://x/' },
    'forbidden',
    'AccessDeniedException',
  ],
  ['<Error><Code>SlowDown</Code></Error>', {}, 'rate_limited', 'SlowDown'],
  ['<Error><Code>NoSuchKey</Code></Error>', {}, undefined, 'NoSuchKey'],
] as const)('explains %s', ([body, headers, code, partnerCode]) => {
  expect(explainAws({ body, headers: new Headers(headers) })).toMatchObject({ code, partnerCode })
})
test('explains nothing where AWS says nothing', () => {
  expect(explainAws({ body: '<html></html>', headers: new Headers() })).toBeUndefined()
})
