import { createHash, createHmac, randomUUID, type BinaryToTextEncoding } from 'node:crypto'
import { z } from 'zod'
import { integrationError, secret, type AuthScheme, type Signable } from '@ecokit/contracts'

type Digest = 'sha1' | 'sha256' | 'sha384' | 'sha512'
/** One part of what is signed. `target` is the path with its query as it goes over the wire; `body_hash` is what `bodyHash` says; a header that is not there counts as empty. */
export type HmacPart =
  | 'method'
  | 'host'
  | 'path'
  | 'query'
  | 'target'
  | 'timestamp'
  | 'nonce'
  | 'key_id'
  | 'body'
  | 'body_hash'
  | { readonly header: string }
  | { readonly text: string }

/** A partner's way to sign requests, as data. Templates may hold `{signature}`, `{key_id}`, `{timestamp}`, `{nonce}` and `{body_hash}`. */
export interface HmacDesign {
  /** Default `sha256`. */
  readonly algorithm?: Digest
  /** What is signed, in this order. */
  readonly signed: readonly HmacPart[]
  /** Stands between the parts. Default: a line feed. */
  readonly separator?: string
  /** How the signature is written. Default `hex`, in lower case. */
  readonly encoding?: 'hex' | 'base64' | 'base64url'
  /** How the partner writes the key that it hands out; `utf8` where its letters are the key. Default `utf8`. */
  readonly key?: 'utf8' | 'hex' | 'base64'
  /** Default: seconds since 1970. */
  readonly timestamp?: 'seconds' | 'milliseconds' | 'iso' | 'http_date'
  /** Default: SHA-256, in hex. */
  readonly bodyHash?: { readonly algorithm: Digest | 'md5'; readonly encoding: 'hex' | 'base64' }
  /** Header name → template, such as `{ authorization: 'HMAC {key_id}:{signature}' }`. Those without `{signature}` are set first, so that they can be signed as headers. */
  readonly headers?: Readonly<Record<string, string>>
  /** Query parameter → template, appended in this order; those without `{signature}` are part of the query that is signed. */
  readonly query?: Readonly<Record<string, string>>
}

const stamps = {
  seconds: (ms: number) => String(Math.floor(ms / 1000)),
  milliseconds: (ms: number) => String(ms),
  iso: (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z'),
  http_date: (ms: number) => new Date(ms).toUTCString(),
}
const words = ['signature', 'key_id', 'timestamp', 'nonce', 'body_hash'] as const
type Word = (typeof words)[number]

const filled = (template: string, values: Readonly<Partial<Record<Word, string>>>): string =>
  template.replace(/\{(\w+)\}/g, (_, word: Word) => values[word] ?? '')

const digest = (algorithm: string, bytes: Uint8Array, encoding: BinaryToTextEncoding): string =>
  createHash(algorithm).update(bytes).digest(encoding)

const withoutQuery = (url: URL, names: readonly string[]): void => {
  // A next page's address that the partner made of ours has them already.
  for (const name of names) if (url.searchParams.has(name)) url.searchParams.delete(name)
}
const addQuery = (url: URL, name: string, value: string): void => {
  url.search += `${url.search === '' ? '?' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(value)}`
}

const checkDesign = (design: HmacDesign): readonly string[] => {
  const templates = [...Object.values(design.headers ?? {}), ...Object.values(design.query ?? {})]
  const used = templates.flatMap((template) => [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? ''))
  const unknown = used.find((word) => !(words as readonly string[]).includes(word))
  if (unknown !== undefined)
    throw new TypeError(`hmacSigning: a template holds {${unknown}}, which is none of ${words.join(', ')}`)
  if (!used.includes('signature')) throw new TypeError('hmacSigning: no template holds {signature}')
  return [...used, ...design.signed.filter((part) => typeof part === 'string')]
}

const keyText = { utf8: /^.+$/s, hex: /^(?:[0-9a-f]{2})+$/i, base64: /^[A-Za-z0-9+/_-]+={0,2}$/ }

/**
 * Requests signed with a shared key (HMAC, RFC 2104), the way that `design` says. A body that is signed may not be a stream: such a call fails with `unsupported` before anything is sent.
 * Throws a TypeError at once for a design that cannot work.
 */
export const hmacSigning = (design: HmacDesign) => {
  const { algorithm = 'sha256', separator = '\n', encoding = 'hex', key: keyForm = 'utf8' } = design
  const used = checkDesign(design)
  const bodyHash = design.bodyHash ?? { algorithm: 'sha256', encoding: 'hex' }
  const needsBody = used.includes('body') || used.includes('body_hash')
  const needsId = used.includes('key_id')
  const credentials = z
    .strictObject({
      /** Where the design shows it to the partner. */
      keyId: z
        .string()
        .regex(/^[\x21-\x7e]+$/, 'a key id may hold no spaces, line breaks or characters outside of ASCII')
        .optional(),
      key: secret()
        .regex(keyText[keyForm], keyForm === 'utf8' ? 'expected a text' : `expected ${keyForm}`)
        .meta({ secret: true }),
    })
    .superRefine(({ keyId }, check) => {
      if (needsId && keyId === undefined) check.addIssue({ code: 'custom', path: ['keyId'], message: 'missing' })
      if (!needsId && keyId !== undefined)
        check.addIssue({ code: 'custom', path: ['keyId'], message: 'this partner knows none' })
    })
  return {
    kind: 'hmac',
    credentials,
    open: ({ keyId, key }, context) => {
      const { partner } = context
      const keyBytes = Buffer.from(key, keyForm)
      const bodyOf = (request: Signable): Uint8Array => {
        if (request.body !== 'stream') return request.body ?? new Uint8Array()
        throw integrationError('unsupported', {
          partner,
          what: 'a streamed body cannot be signed, and this partner wants the body signed',
          next: 'Give the body as bytes',
          details: { what: 'a streamed body' },
        })
      }
      return {
        authorize: (request) => {
          const { headers, url, method } = request
          const body = needsBody ? bodyOf(request) : new Uint8Array()
          const values: Partial<Record<Word, string>> = {
            key_id: keyId ?? '',
            timestamp: stamps[design.timestamp ?? 'seconds'](context.now()),
            ...(used.includes('nonce') && { nonce: randomUUID() }),
            ...(used.includes('body_hash') && { body_hash: digest(bodyHash.algorithm, body, bodyHash.encoding) }),
          }
          const place = (last: boolean): void => {
            for (const [name, template] of Object.entries(design.headers ?? {}))
              if (template.includes('{signature}') === last) headers.set(name, filled(template, values))
            for (const [name, template] of Object.entries(design.query ?? {}))
              if (template.includes('{signature}') === last) addQuery(url, name, filled(template, values))
          }
          withoutQuery(url, Object.keys(design.query ?? {}))
          place(false)
          const partOf = (part: HmacPart): string | Uint8Array => {
            if (typeof part === 'object') return 'text' in part ? part.text : (headers.get(part.header) ?? '')
            switch (part) {
              case 'method':
                return method
              case 'host':
                return url.host
              case 'path':
                return url.pathname
              case 'query':
                return url.search.slice(1)
              case 'target':
                return url.pathname + url.search
              case 'body':
                return body
              default:
                return values[part] ?? ''
            }
          }
          const mac = createHmac(algorithm, keyBytes)
          design.signed.forEach((part, index) => {
            if (index > 0) mac.update(separator)
            mac.update(partOf(part))
          })
          values.signature = mac.digest(encoding)
          place(true)
        },
      }
    },
  } satisfies AuthScheme<typeof credentials>
}
