import { Buffer } from 'node:buffer'
import {
  integrationError,
  toJson,
  type Authorizer,
  type CallOptions,
  type Http,
  type HttpOptions,
  type JsonRequest,
  type Reply,
  type Request,
} from '@ecokit/contracts'
import { joinPath, withQuery, type Base } from './address.ts'
import { parseUrl } from './hosts.ts'
import { readPages } from './paging.ts'
import { recall } from './recall.ts'
import { checkedJson, collected, streamed } from './reply.ts'
import { hostNotAllowed, isDeclared } from './target.ts'
import type { Call, Wire } from './wire.ts'

const plainHeaders = { 'user-agent': 'ecokit' }
const readHeaders = { ...plainHeaders, accept: 'application/json' }
/** A page of JSON shrinks to a sixth for a fifth of what it costs to parse; to this machine there is nothing to save. */
const compressed = { 'accept-encoding': 'zstd, br, gzip' }
const isHere = (hostname: string): boolean => /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(hostname)

/** `read` always; others by what is said, and where nothing is said by the method (RFC 9110, 9.2.2). */
const repeatable = ({ effect, idempotent }: Request, method: string): Call['repeat'] => {
  if (effect === 'read' || (effect === undefined && /^(?:GET|HEAD|OPTIONS)$/.test(method))) return 'read'
  return (idempotent ?? (effect === undefined && /^(?:PUT|DELETE)$/.test(method))) ? 'idempotent' : 'never'
}

const invalidInput = (partner: string, field: string, what: string, next: string) =>
  integrationError('invalid_input', { partner, what, next, details: { field } })

/** The caller's headers over ours; `host` would lead a request past the check of its host. */
const withHeaders = (
  partner: string,
  ours: Readonly<Record<string, string>>,
  theirs: Request['headers'],
): Readonly<Record<string, string>> => {
  if (theirs === undefined) return ours
  const headers = { ...ours }
  for (const [given, value] of Object.entries(theirs)) {
    const name = given.toLowerCase()
    if (name === 'host' || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
      throw invalidInput(
        partner,
        `headers.${given}`,
        `the header "${given}" cannot be sent`,
        'Header names are tokens other than "host", and values hold no line breaks',
      )
    headers[name] = value
  }
  return headers
}

const encoded = (partner: string, body: unknown): Uint8Array => {
  try {
    return Buffer.from(toJson(body))
  } catch {
    throw invalidInput(partner, 'body', 'the body of a request cannot be written as JSON', 'Give it plain data')
  }
}

/** A way out over one base URL. Throws `host_not_allowed` at once when its host is not declared. */
export const openBase = (
  wire: Wire,
  authorizerNow: () => Authorizer | undefined,
  baseUrl: string,
  settings: HttpOptions = {},
): Http => {
  const { partner } = wire
  const url = parseUrl(baseUrl)
  if (url?.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw integrationError('invalid_config', {
      partner,
      what: 'the base URL must be an http(s) URL without user name, query and fragment',
      next: 'Correct the address in the config',
      details: { field: 'config' },
    })
  if (!isDeclared(wire, url)) throw hostNotAllowed(wire, url)
  const base: Base = { origin: url.origin, path: url.pathname, prefix: url.pathname.replace(/\/+$/, '') }
  const jsonHeaders = isHere(url.hostname) ? readHeaders : { ...readHeaders, ...compressed }
  const writeHeaders = { ...jsonHeaders, 'content-type': 'application/json' }
  const { timeoutMs = 30_000, deadlineMs, maxReplyBytes = 64 * 1024 * 1024, explain } = settings
  const keyHeader = settings.idempotencyHeader?.toLowerCase()

  const prepare = (request: Request, headers: Readonly<Record<string, string>>, stream: boolean): Call => {
    const method = request.method.toUpperCase()
    const authorizer = authorizerNow()
    const repeat = repeatable(request, method)
    let given = withHeaders(partner, headers, request.headers)
    const keyed = keyHeader !== undefined && repeat !== 'read'
    if (keyed && given[keyHeader] === undefined) given = { ...given, [keyHeader]: wire.uuid() }
    return {
      method,
      origin: base.origin,
      path: withQuery(joinPath(partner, base, request.path), request.query),
      headers: given,
      body: request.body,
      authorizer,
      certificate: settings.certificate ?? authorizer?.certificate,
      repeat: keyed ? 'idempotent' : repeat,
      streamed: stream,
      timeoutMs,
      deadlineMs,
      limit: maxReplyBytes,
      explain,
    }
  }
  const prepareJson = (request: JsonRequest): Call =>
    request.body === undefined
      ? prepare({ ...request, body: undefined }, jsonHeaders, false)
      : prepare({ ...request, body: encoded(partner, request.body) }, writeHeaders, false)
  const stream = (call: Call, options: CallOptions | undefined): Promise<Reply> =>
    recall(wire, call, options, (answer, hop, stop) => streamed(wire, call, answer, hop, stop))

  return {
    request: async (request, options) => stream(prepare(request, plainHeaders, true), options),
    json: async (request, schema, options) => {
      const call = prepareJson(request)
      return recall(wire, call, options, (answer, hop, stop) => checkedJson(schema, call, answer, hop, stop))
    },
    bytes: async (request, options) => {
      const call = prepareJson(request)
      return recall(wire, call, options, (answer, hop, stop) => collected(call, answer, hop, stop))
    },
    pages: (request, schema, paging, options) => readPages(wire, prepareJson, request, schema, paging, options),
    foreign: async (address, options) => {
      const target = URL.parse(address, url.href)
      if (target === null)
        throw integrationError('invalid_reply', { partner, what: 'a URL out of a reply cannot be read', details: {} })
      if (!isDeclared(wire, target)) throw hostNotAllowed(wire, target)
      const path = target.pathname + target.search
      const call = prepare({ method: 'GET', path: '' }, plainHeaders, true)
      return stream({ ...call, origin: target.origin, path, authorizer: undefined, certificate: undefined }, options)
    },
  }
}
