import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import type { z } from 'zod'
import {
  firstIssue,
  integrationError,
  toJson,
  type Authorizer,
  type CallOptions,
  type Http,
  type HttpOptions,
  type JsonRequest,
  type Paging,
  type Reply,
  type Request,
} from '@ecokit/contracts'
import { joinPath, withQuery, type Base } from './address.ts'
import { decoded, header, readBytes, toHeaders, utf8 } from './body.ts'
import { cancelledError, requestError, type About } from './failure.ts'
import { hostNotAllowed, parseUrl } from './hosts.ts'
import { readJson } from './json.ts'
import { nextLink } from './link.ts'
import { failureOf, perform, report, type Call, type Hop, type Raw, type Read, type Wire } from './send.ts'
import type { Stop } from './stop.ts'

const userAgent = 'ecokit'

const repeatable = (request: Pick<Request, 'effect' | 'idempotent'>, method: string): Call['repeat'] => {
  if (request.effect === 'read' || (request.effect === undefined && /^(?:GET|HEAD|OPTIONS)$/.test(method))) return 'read'
  const idempotent = request.idempotent ?? (request.effect === undefined && /^(?:PUT|DELETE)$/.test(method))
  return idempotent ? 'idempotent' : 'never'
}

/** The caller's headers in lower case over ours; `host` would lead a request past the check of its host. */
const withHeaders = (partner: string, ours: Record<string, string>, theirs: Request['headers']): Record<string, string> => {
  if (theirs === undefined) return ours
  const headers = { ...ours }
  for (const [name, value] of Object.entries(theirs)) headers[name.toLowerCase()] = value
  if ('host' in headers)
    throw integrationError('invalid_input', {
      partner,
      what: 'a request may not set the header "host"',
      next: 'Leave it out: it follows from the base URL',
      details: { field: 'headers.host' },
    })
  return headers
}

/** The reply with its body as a stream that frees the socket when it is cancelled, and fails with IntegrationErrors. */
const streamReply = async (wire: Wire, call: Call, raw: Raw, hop: Hop, stop: Stop): Promise<Reply> => {
  const source: Readable = await decoded(raw)
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  const finish = (error?: Parameters<typeof report>[2]): void => {
    stop.release()
    report(wire, hop, error)
  }
  let headers: Headers | undefined
  return {
    status: raw.statusCode,
    get headers() {
      return (headers ??= toHeaders(raw))
    },
    body: new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const chunk = await chunks.next()
            if (chunk.done === true) {
              finish()
              controller.close()
            } else {
              hop.replyBytes += chunk.value.byteLength
              controller.enqueue(chunk.value)
            }
          } catch (error) {
            const failure = failureOf(error, stop, hop.about, call.timeoutMs)
            finish(failure.error)
            controller.error(failure.error)
          }
        },
        cancel: () => {
          source.destroy()
          finish()
        },
      },
      { highWaterMark: 0 },
    ),
  }
}

/** Reads a reply as JSON of the schema; what the partner sent is never part of a message. */
const readAs = async <T>(schema: z.ZodType<T>, limit: number, raw: Raw, hop: Hop): Promise<T> => {
  const { about } = hop
  const status = raw.statusCode
  const tooLarge = () =>
    requestError(
      about,
      'too_large',
      `was answered with more than ${limit} bytes`,
      'Ask for less at once (smaller pages, fewer columns), or raise maxReplyBytes',
      { limit },
    )
  if (about.method !== 'HEAD' && Number(header(raw, 'content-length')) > limit) {
    raw.body.on('error', () => {}).destroy()
    throw tooLarge()
  }
  const { bytes, whole } = await readBytes(
    raw.headers['content-encoding'] === undefined ? raw.body : await decoded(raw),
    limit,
  )
  hop.replyBytes = bytes.length
  if (!whole) throw tooLarge()
  const value = parseBody(about, raw, bytes)
  const checked = schema.safeParse(value)
  if (checked.success) return checked.data
  const { field, message } = firstIssue(checked.error)
  throw requestError(
    about,
    'invalid_reply',
    `was answered with a body that does not fit: ${field === '' ? 'the body' : field}: ${message}`,
    'The partner may have changed its interface: look for a newer version of the connector',
    { field, status },
  )
}
const parseBody = (about: About, raw: Raw, bytes: Buffer): unknown => {
  const text = utf8(bytes)
  try {
    if (text !== undefined) return readJson(text)
  } catch {
    // Said below; the parser's own message would quote the body.
  }
  const type = header(raw, 'content-type')?.split(';')[0] ?? 'no content type'
  throw requestError(
    about,
    'invalid_reply',
    `was answered with ${raw.statusCode} and a body that is not JSON${text === undefined ? ' in UTF-8' : ''} (${type})`,
    `Is ${about.origin} the address of the partner's API, and no proxy or login page in between?`,
    { status: raw.statusCode },
  )
}

/** A way out over one base URL. Throws `host_not_allowed` at once when its host is not declared. */
export const openBase = (
  wire: Wire,
  authorizer: Authorizer | undefined,
  baseUrl: string,
  settings: HttpOptions = {},
): Http => {
  const { partner } = wire
  const url = parseUrl(baseUrl)
  if (url === undefined || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw integrationError('invalid_config', {
      partner,
      what: 'the base URL is not an http(s) URL without user name, query and fragment',
      next: 'Correct the address in the config',
      details: { field: 'config' },
    })
  if (!wire.hosts.some((host) => host.origin === url.origin)) throw hostNotAllowed(partner, url, wire.hosts)
  const base: Base = { origin: url.origin, path: url.pathname, prefix: url.pathname.replace(/\/+$/, '') }
  const timeoutMs = settings.timeoutMs ?? 30_000
  const limit = settings.maxReplyBytes ?? 64 * 1024 * 1024
  const plainHeaders = { 'user-agent': userAgent }
  const readHeaders = { accept: 'application/json', ...plainHeaders }
  const writeHeaders = { ...readHeaders, 'content-type': 'application/json' }

  const prepare = (request: Request, headers: Record<string, string>, streamed: boolean): Call => {
    const method = request.method.toUpperCase()
    return {
      method,
      origin: base.origin,
      path: withQuery(joinPath(partner, base, request.path), request.query),
      headers: withHeaders(partner, headers, request.headers),
      body: request.body,
      authorizer,
      repeat: repeatable(request, method),
      streamed,
      timeoutMs,
      explain: settings.explain,
    }
  }
  const prepareJson = ({ body, ...request }: JsonRequest): Call =>
    body === undefined
      ? prepare(request, readHeaders, false)
      : prepare({ ...request, body: Buffer.from(toJson(body)) }, writeHeaders, false)
  const stream = (call: Call, options: CallOptions | undefined): Promise<Reply> =>
    perform(wire, call, options, (raw, hop, stop) => streamReply(wire, call, raw, hop, stop))

  interface Page<T> {
    readonly page: T
    readonly link: string | undefined
    readonly hop: Hop
  }
  const pageOf =
    <T>(schema: z.ZodType<T>): Read<Page<T>> =>
    async (raw, hop) => ({ page: await readAs(schema, limit, raw, hop), link: header(raw, 'link'), hop })
  const again = (hop: Hop) =>
    requestError(
      hop.about,
      'invalid_reply',
      'gave a page that asked for itself again',
      'The partner would never come to an end: report it there',
      { status: hop.status },
    )

  async function* pages<T>(
    request: JsonRequest,
    schema: z.ZodType<T>,
    paging: Paging<T>,
    options?: CallOptions,
  ): AsyncGenerator<T> {
    const read = pageOf(schema)
    const at = (value: string | number | undefined): JsonRequest => {
      if (value === undefined || paging.kind === 'link') return request
      return paging.in === 'query'
        ? { ...request, query: { ...request.query, [paging.parameter]: String(value) } }
        : { ...request, body: { ...(request.body as object | undefined), [paging.parameter]: value } }
    }
    let call = prepareJson(request)
    let offset = 0
    if (paging.kind === 'offset') {
      const given: unknown =
        paging.in === 'query'
          ? request.query?.[paging.parameter]
          : (request.body as Record<string, unknown> | undefined)?.[paging.parameter]
      offset = Number(given ?? 0)
    }
    let token: string | undefined
    // One token is kept to compare with, a later one each time the count of pages has doubled: that finds a circle of any length.
    let mark: string | undefined
    for (let count = 1, renewAt = 1; ; count++) {
      const { page, link, hop } = await perform(wire, call, options, read)
      yield page
      if (options?.signal?.aborted === true) throw cancelledError(hop.about)
      let next: string | undefined
      if (paging.kind === 'offset') {
        const found = paging.count(page)
        if (found < paging.limit || found === 0) return
        offset += found
        call = prepareJson(at(offset))
        continue
      }
      if (paging.kind === 'token') {
        next = paging.next(page) ?? ''
        if (next === '') return
        call = prepareJson(at(next))
      } else {
        const target = link === undefined ? undefined : nextLink(link)
        if (target === undefined) return
        const found = URL.parse(target, hop.url)
        if (found === null)
          throw requestError(hop.about, 'invalid_reply', 'gave a Link header that holds no URL', undefined, {})
        if (found.origin !== base.origin) throw hostNotAllowed(partner, found, [{ declared: '', origin: base.origin }])
        next = found.href
        if (next === hop.url) throw again(hop)
        call = { ...call, path: found.pathname + found.search }
      }
      if (next === token || next === mark) throw again(hop)
      token = next
      if (count === renewAt) {
        mark = next
        renewAt *= 2
      }
    }
  }

  return {
    request: async (request, options) => stream(prepare(request, plainHeaders, true), options),
    json: async (request, schema, options) =>
      perform(wire, prepareJson(request), options, (raw, hop) => readAs(schema, limit, raw, hop)),
    pages,
    foreign: async (address, options) => {
      const target = URL.parse(address, url.href)
      if (target === null)
        throw integrationError('invalid_reply', { partner, what: 'a URL out of a reply cannot be read', details: {} })
      if (!wire.hosts.some(({ origin }) => origin === target.origin)) throw hostNotAllowed(partner, target, wire.hosts)
      return stream(
        {
          method: 'GET',
          origin: target.origin,
          path: target.pathname + target.search,
          headers: plainHeaders,
          body: undefined,
          authorizer: undefined,
          repeat: 'read',
          streamed: true,
          timeoutMs,
          explain: settings.explain,
        },
        options,
      )
    },
  }
}
