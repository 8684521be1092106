import { createHash, createHmac } from 'node:crypto'
import { z } from 'zod'
import { integrationError, secret, type AuthScheme, type ErrorCode } from '@ecokit/contracts'
import { fill } from './pattern.ts'

export interface AwsSigV4Options {
  /** The service's signing name (`s3`, `sagemaker`, `execute-api`), or a pattern over the config (`{service}`). */
  readonly service: string
  /** `us-east-1`, or a pattern over the config (`{region}`). */
  readonly region: string
}

const algorithm = 'AWS4-HMAC-SHA256'
/** Services whose path is signed as it is, encoded once; they also want the hash of the body as a header. Source: "Create a signed AWS API request", the AWS IAM user guide. */
const plainPaths = new Set(['s3', 's3-outposts', 's3-object-lambda', 's3express'])
/** What a proxy or the transport may add or change. */
const unsigned = new Set(
  'authorization connection expect keep-alive proxy-authorization te trailer transfer-encoding upgrade user-agent x-amzn-trace-id'.split(
    ' ',
  ),
)

const sha256 = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex')
const mac = (key: string | Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** Everything but unreserved characters (RFC 3986) as %XX. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
const mapSegments = (path: string, change: (segment: string) => string): string => path.split('/').map(change).join('/')

/** The query in AWS's form: decoded, encoded in one way only, in order. */
export const canonicalQuery = (search: string): string =>
  search
    .replace(/^\?/, '')
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name = '', ...value] = pair.replaceAll('+', ' ').split('=')
      return [encode(decode(name)), encode(decode(value.join('=')))] as const
    })
    .toSorted(([a, x], [b, y]) => (a === b ? Number(x > y) - Number(x < y) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')

/** The path as it is signed: S3 encodes it once; all others encode what is sent once more, without doubled slashes. */
const canonicalPath = (sent: string, service: string): string =>
  plainPaths.has(service) ? sent : mapSegments(sent.replace(/\/{2,}/g, '/'), encode)

interface Canonical {
  readonly method: string
  /** As sent; dot segments are gone already. */
  readonly path: string
  /** As sent. */
  readonly search: string
  /** With `host`; of several values of one name each, in their order. */
  readonly headers: Iterable<readonly [string, string]>
  readonly payloadHash: string
}
/** The canonical request and the names of its headers. */
export const canonicalRequest = (
  request: Canonical,
  service: string,
): { readonly text: string; readonly names: string } => {
  const headers = new Map<string, string>()
  for (const [given, value] of request.headers) {
    const name = given.toLowerCase()
    if (unsigned.has(name)) continue
    const tidy = value.trim().replace(/\s+/g, ' ')
    const before = headers.get(name)
    headers.set(name, before === undefined ? tidy : `${before},${tidy}`)
  }
  const sorted = [...headers].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const names = sorted.map(([name]) => name).join(';')
  const { method, payloadHash } = request
  const path = canonicalPath(request.path, service)
  const lines = sorted.map(([name, value]) => `${name}:${value}`)
  const text = [method, path, canonicalQuery(request.search), ...lines, '', names, payloadHash].join('\n')
  return { text, names }
}

/** `20150830T123600Z` */
export const amzDate = (ms: number): string => new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '')

export const stringToSign = (date: string, scope: string, canonical: string): string =>
  [algorithm, date, scope, sha256(canonical)].join('\n')

/** The key of one day, region and service. */
export const signingKey = (secretKey: string, day: string, region: string, service: string): Buffer =>
  mac(mac(mac(mac(`AWS4${secretKey}`, day), region), service), 'aws4_request')

/**
 * AWS Signature Version 4 with static keys, and a session token where they are temporary. The signed path and query are also those that are sent, in AWS's own encoding.
 * A streamed body goes unsigned to S3 (`UNSIGNED-PAYLOAD`, which S3 takes), and is refused with `unsupported` for every other service, which would refuse it.
 */
export const awsSigV4 = (options: AwsSigV4Options) => {
  const credentials = z.strictObject({
    accessKeyId: z.string().regex(/^\w{4,128}$/, 'expected letters and digits, such as AKIA…'),
    secretAccessKey: secret()
      .regex(/^[\x21-\x7e]+$/, 'a secret access key may hold no spaces, line breaks or characters outside of ASCII')
      .meta({ secret: true }),
    sessionToken: secret()
      .regex(/^[\x21-\x7e]+$/, 'a session token may hold no spaces, line breaks or characters outside of ASCII')
      .meta({ secret: true })
      .optional(),
  })
  return {
    kind: 'aws_sigv4',
    credentials,
    open: ({ accessKeyId, secretAccessKey, sessionToken }, context) => {
      const { partner, config } = context
      const service = fill(options.service, config, partner)
      const region = fill(options.region, config, partner)
      const plain = plainPaths.has(service)
      let today: { readonly day: string; readonly key: Buffer } = { day: '', key: Buffer.alloc(0) }
      const keyOf = (day: string): Buffer => {
        if (today.day !== day) today = { day, key: signingKey(secretAccessKey, day, region, service) }
        return today.key
      }
      return {
        authorize: ({ method, url, headers, body }) => {
          if (body === 'stream' && !plain)
            throw integrationError('unsupported', {
              partner,
              what: `a streamed body cannot be signed for the AWS service "${service}"`,
              next: 'Give the body as bytes',
              details: { what: 'a streamed body' },
            })
          // The partner decodes and encodes again to check, so nothing may be sent in another encoding than its own.
          if (plain) url.pathname = mapSegments(url.pathname, (segment) => encode(decode(segment)))
          url.search = canonicalQuery(url.search)
          const date = amzDate(context.now())
          const day = date.slice(0, 8)
          const payloadHash = body === 'stream' ? 'UNSIGNED-PAYLOAD' : sha256(body ?? '')
          headers.set('x-amz-date', date)
          if (plain) headers.set('x-amz-content-sha256', payloadHash)
          if (sessionToken !== undefined) headers.set('x-amz-security-token', sessionToken)
          const sent = { method, path: url.pathname, search: url.search, payloadHash }
          const canonical = canonicalRequest({ ...sent, headers: [...headers, ['host', url.host]] }, service)
          const scope = `${day}/${region}/${service}/aws4_request`
          const signature = mac(keyOf(day), stringToSign(date, scope, canonical.text)).toString('hex')
          headers.set(
            'authorization',
            `${algorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${canonical.names}, Signature=${signature}`,
          )
        },
      }
    },
  } satisfies AuthScheme<typeof credentials>
}

/** AWS answers 403 (some services 400) to credentials that it does not know, too: these codes say so. Sources: "Error responses" of the Amazon S3 API reference and "Common errors" of each service's. */
const meanings: Readonly<Record<string, ErrorCode>> = {
  InvalidAccessKeyId: 'unauthenticated',
  InvalidClientTokenId: 'unauthenticated',
  UnrecognizedClientException: 'unauthenticated',
  SignatureDoesNotMatch: 'unauthenticated',
  InvalidSignatureException: 'unauthenticated',
  IncompleteSignature: 'unauthenticated',
  IncompleteSignatureException: 'unauthenticated',
  MissingAuthenticationToken: 'unauthenticated',
  MissingAuthenticationTokenException: 'unauthenticated',
  InvalidToken: 'unauthenticated',
  ExpiredToken: 'unauthenticated',
  ExpiredTokenException: 'unauthenticated',
  RequestExpired: 'unauthenticated',
  RequestTimeTooSkewed: 'unauthenticated',
  AccessDenied: 'forbidden',
  AccessDeniedException: 'forbidden',
  OptInRequired: 'forbidden',
  Throttling: 'rate_limited',
  ThrottlingException: 'rate_limited',
  ThrottledException: 'rate_limited',
  RequestLimitExceeded: 'rate_limited',
  TooManyRequestsException: 'rate_limited',
  SlowDown: 'rate_limited',
}
const part = (text: string, pattern: RegExp): string | undefined => pattern.exec(text)?.[1]?.trim()

/** Reads AWS's errors, in XML (S3, STS, the query protocol) and JSON: for `http(base, { explain: explainAws })`. */
export const explainAws = ({ headers, body }: { readonly headers: Headers; readonly body: string }) => {
  // `x-amzn-errortype` may go on with ":" and a URL, `__type` may begin with a namespace and "#".
  const name =
    part(body, /<Code>([^<]+)<\/Code>/) ??
    headers.get('x-amzn-errortype') ??
    part(body, /"(?:__type|code)"\s*:\s*"([^"]+)"/i)
  const partnerCode = name?.replace(/:.*$/, '').replace(/^.*#/, '')
  if (partnerCode === undefined) return undefined
  const reason = part(body, /<Message>([^<]+)<\/Message>/)
  return { code: meanings[partnerCode], partnerCode, ...(reason !== undefined && { reason }) }
}
