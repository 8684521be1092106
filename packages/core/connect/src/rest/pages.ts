import { integrationError, isIntegrationError, toJson } from '@ecokit/contracts'
import type { AnyRecord, BytesReply, Http, JsonRequest, OpenHttp, RestParameter, RestStream } from '@ecokit/contracts'
import { nextLink, onward } from '@ecokit/http'
import { release } from '@ecokit/json-scan'
import type { Found, Road } from './road.ts'
import type { Place } from './state.ts'
import { fill, fillBody } from './template.ts'

export interface Source {
  readonly partner: string
  readonly name: string
  readonly rest: RestStream
  readonly http: OpenHttp
  /** The base URL. */
  readonly base: string
  /** True for a value that must not be kept: a link may hold a credential that the next request brings along anyway. */
  readonly isSecret: (value: string) => boolean
  /** No two records of the stream are the same, so that no two pages are. */
  readonly hasKey: boolean
}
/** What one list is asked with, beside what the stream declares. */
export interface Asked {
  /** Of config and partition. */
  readonly values: AnyRecord
  readonly parameters: readonly (RestParameter & { readonly value: string })[]
}
export interface Page extends Found {
  /** Absent: it was the last. */
  readonly next: Place | undefined
}

const add = (request: JsonRequest, { in: where = 'query', parameter }: RestParameter, value: unknown): JsonRequest =>
  where === 'query'
    ? { ...request, query: { ...request.query, [parameter]: String(value) } }
    : { ...request, body: { ...(request.body as object | undefined), [parameter]: value } }

const at = (value: unknown, path: string): unknown => {
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as AnyRecord)[key]
  }
  return value
}

/** What pages with the same records that do not fit have in common. */
const edgesOf = (refused: Found['refused']): string =>
  toJson([refused.length, refused[0]?.record, refused.at(-1)?.record])
/** How often in a row a page may be given again where no key tells that it is the same; pages of nothing are common where a partner searches. */
const mostAlike = 100
const mostEmpty = 10_000

/** Asks for the pages of a declared stream. */
export const openPages = (source: Source) => {
  const { partner, name, rest, http, base, isSecret, hasKey } = source
  const { paging, pageSize, method = 'GET' } = rest
  const api = http(base, rest.http)
  const { origin } = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(base) ? base : `https://${base}`)
  let root: Http | undefined
  let size = pageSize?.size

  const invalid = (what: string) =>
    integrationError('invalid_reply', {
      partner,
      what: `${name}: ${what}`,
      next: 'The read would never end, or would miss records: report it to the partner',
      details: {},
    })

  const requestOf = ({ values, parameters }: Asked, place: Place | undefined): JsonRequest => {
    const encoded = fill(rest.path, values, encodeURIComponent)
    const query = Object.fromEntries(
      Object.entries(rest.query ?? {}).map(([key, value]) => [
        key,
        typeof value === 'string' ? fill(value, values) : value.map((one) => fill(one, values)),
      ]),
    )
    const headers = Object.fromEntries(
      Object.entries(rest.headers ?? {}).map(([key, value]) => [key, fill(value, values)]),
    )
    let request: JsonRequest = {
      method,
      path: encoded,
      query,
      headers,
      effect: 'read',
      ...(method === 'POST' && { body: fillBody(rest.body ?? {}, values) }),
    }
    for (const { value, ...where } of parameters) request = add(request, where, value)
    if (pageSize !== undefined) request = add(request, pageSize, place?.size ?? size)
    if (paging?.kind === 'offset') return add(request, paging, place?.offset ?? 0)
    if (paging?.kind === 'page') return add(request, paging, place?.page ?? paging.first ?? 1)
    if (paging?.kind === 'token' && place?.token !== undefined)
      return add(request, paging, place.digits === true ? BigInt(place.token) : place.token)
    return request
  }

  /** The place in pages of half the size; undefined where they cannot be halved. */
  const halved = (place: Place | undefined): Place | undefined => {
    const now = place?.size ?? size
    if (now === undefined || now <= 1 || place?.path !== undefined) return undefined
    if (paging?.kind !== 'page') {
      size = Math.ceil(now / 2)
      return { ...place }
    }
    if (now % 2 === 1) return undefined
    const first = paging.first ?? 1
    return { page: first + ((place?.page ?? first) - first) * 2, size: now / 2 }
  }

  const ask = async (
    asked: Asked,
    given: Place | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly reply: BytesReply; readonly place: Place | undefined }> => {
    for (let place = given; ;) {
      try {
        if (place?.path === undefined) return { reply: await api.bytes(requestOf(asked, place), { signal }), place }
        root ??= http(origin, rest.http)
        const { headers } = requestOf(asked, undefined)
        const request = { method: 'GET', path: place.path, ...(headers && { headers }), effect: 'read' } as const
        return { reply: await root.bytes(request, { signal }), place }
      } catch (error) {
        const smaller = isIntegrationError(error, 'too_large') ? halved(place) : undefined
        if (smaller === undefined) throw error
        place = smaller
      }
    }
  }

  /** Path and query of the next page's address, which must be of the same origin; what is secret in it is left out. */
  const linked = (target: string, from: string): Place => {
    const url = URL.parse(target, from)
    if (url === null) throw invalid('the address of the next page cannot be read')
    if (url.origin !== origin)
      throw integrationError('host_not_allowed', {
        partner,
        what: `${name}: the next page is at ${url.host}, and not where this one came from`,
        next: 'Report it to the partner: credentials go nowhere else',
        details: { host: url.host },
      })
    for (const [key, value] of [...url.searchParams]) if (isSecret(value)) url.searchParams.delete(key)
    return { path: url.pathname + url.search }
  }

  /** How many records at least a page holds that is not the last. */
  const full = (place: Place | undefined, most: number | undefined): number =>
    Math.min(most ?? 1, place?.size ?? size ?? Infinity)

  const nextOf = (place: Place | undefined, { records, envelope }: Found, reply: BytesReply): Place | undefined => {
    if (paging === undefined) return undefined
    switch (paging.kind) {
      case 'token': {
        const token = at(envelope, paging.next)
        if (token === undefined || token === null || token === '' || token === false) return undefined
        if (typeof token === 'string') return { token }
        if (typeof token === 'bigint' || (typeof token === 'number' && Number.isInteger(token)))
          return { token: String(token), digits: true }
        throw invalid(`${paging.next} is no token of a page`)
      }
      case 'link': {
        const target = nextLink(reply.headers.get('link') ?? '')
        return target === undefined ? undefined : linked(target, reply.url)
      }
      case 'url': {
        const target = at(envelope, paging.next)
        if (target === undefined || target === null || target === '' || target === false) return undefined
        if (typeof target !== 'string') throw invalid(`${paging.next} is no address`)
        return linked(target, reply.url)
      }
      case 'offset':
        return records < full(place, paging.size) ? undefined : { offset: (place?.offset ?? 0) + records }
      case 'page':
        return records < full(place, paging.size)
          ? undefined
          : { ...place, page: (place?.page ?? paging.first ?? 1) + 1 }
    }
  }

  /**
   * Every page from a place on, one after the other; the next one is asked for while this one is at work. Where the partner no longer takes the place that was remembered, the pages begin anew
   * with what `again` says.
   */
  return async function* (
    given: Asked,
    road: Road,
    from: Place | undefined,
    signal: AbortSignal | undefined,
    again: () => Asked,
  ): AsyncGenerator<Page> {
    let asked = given
    const leaving = new AbortController()
    const either = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal])
    const onto = onward(partner, name)
    const alike = onward(partner, name)
    let last: string | undefined
    let count = 0
    /** Counted pages and offsets never ask for themselves, and a token may be new each time: then it is the page itself that tells. */
    const watch = ({ rows, refused }: Found): void => {
      const edges = rows.count > 0 ? rows.edges : edgesOf(refused)
      if (hasKey && rows.count > 0) alike(edges)
      count = edges === last ? count + 1 : 0
      last = edges
      if (count >= (rows.count + refused.length > 0 ? mostAlike : mostEmpty))
        throw invalid('the same page is given again and again')
    }
    const askFirst = async () => {
      try {
        return await ask(asked, from, either)
      } catch (error) {
        const stale = isIntegrationError(error, 'rejected') || isIntegrationError(error, 'not_found')
        if (from === undefined || !stale) throw error
        asked = again()
        return ask(asked, undefined, either)
      }
    }
    try {
      if (from !== undefined) onto(JSON.stringify(from))
      for (let coming: ReturnType<typeof ask> | undefined = askFirst(); coming !== undefined;) {
        const { reply, place } = await coming
        if (reply.status === 204) {
          yield { ...road(Buffer.from(emptyPage(rest))), next: undefined }
          return
        }
        const found = road(reply.bytes)
        release(reply.bytes)
        const next = nextOf(place, found, reply)
        if (next !== undefined) {
          onto(JSON.stringify(next))
          watch(found)
        }
        coming = next && ask(asked, next, either)
        coming?.catch(() => undefined) // Told when it is its turn.
        yield { ...found, next }
      }
    } finally {
      leaving.abort()
    }
  }
}

/** A page that holds nothing, as the stream expects it. */
const emptyPage = ({ records }: RestStream): string =>
  (records?.split('.') ?? []).reduceRight((inner, key) => `{${JSON.stringify(key)}:${inner}}`, '[]')
