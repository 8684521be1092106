import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { AnyRecord, BytesReply, Http, JsonRequest, OpenHttp, RestParameter, RestStream } from '@ecokit/contracts'
import { nextLink, onward } from '@ecokit/http'
import { release } from '@ecokit/json-scan'
import { digest } from '../reading.ts'
import { edgesIn, invalidPages, openWatch } from './alike.ts'
import { countOn, isBehindFirst, isCounted, openCount } from './counted.ts'
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

/** An answer, and the place that it was given for in the end. */
interface Answer {
  readonly reply: BytesReply
  readonly place: Place | undefined
}
interface Came extends Answer {
  readonly found: Found
  /** Tells it from the page before it, where that one was short. */
  readonly mark: string
}

const add = (request: JsonRequest, { in: where = 'query', parameter }: RestParameter, value: unknown): JsonRequest =>
  where === 'query'
    ? { ...request, query: { ...request.query, [parameter]: String(value) } }
    : { ...request, body: { ...(request.body as object | undefined), [parameter]: value } }

const isEven = (size: number | undefined): boolean => size !== undefined && size % 2 === 0

const at = (value: unknown, path: string): unknown => {
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as AnyRecord)[key]
  }
  return value
}

/** Asks for the pages of a declared stream. */
export const openPages = (source: Source) => {
  const { partner, name, rest, http, base, isSecret, hasKey } = source
  const { paging, pageSize, method = 'GET' } = rest
  const api = http(base, rest.http)
  const { origin } = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(base) ? base : `https://${base}`)
  let root: Http | undefined
  let size = pageSize?.size
  const count = openCount()

  const invalid = (what: string) => invalidPages(partner, name, what)

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
    const given = place?.size ?? size
    if (given === undefined || given <= 1 || place?.path !== undefined) return undefined
    if (paging?.kind !== 'page') {
      size = Math.ceil(given / 2)
      return { ...place }
    }
    // Pages of half of what they really hold, or records between them would not be asked for.
    const now = place !== undefined && isBehindFirst(paging, place) ? (count.held(given) ?? place.size) : given
    if (now === undefined || now % 2 === 1) return undefined
    const first = paging.first ?? 1
    return { page: first + ((place?.page ?? first) - first) * 2, size: now / 2 }
  }

  const ask = async (asked: Asked, given: Place | undefined, signal: AbortSignal): Promise<Answer> => {
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
      case 'page':
        return countOn(paging, place, records)
    }
  }

  /** Whether a place that was remembered cannot be gone on from: it was forgotten, or its page is too large and how much the pages before it held is not known. */
  const isStale = (error: unknown, place: Place): boolean =>
    isIntegrationError(error, 'rejected') ||
    isIntegrationError(error, 'not_found') ||
    (isIntegrationError(error, 'too_large') && paging?.kind === 'page' && place.size === undefined && isEven(size))

  /** Whether another page follows; `perhaps` after a short one. */
  const followOf = (place: Place | undefined, records: number): 'more' | 'nothing' | 'perhaps' =>
    isCounted(paging) ? count.follow(records, full(place, paging.size)) : 'more'

  const isFirst = (place: Place | undefined): boolean =>
    place === undefined || !isCounted(paging) || !isBehindFirst(paging, place)

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
    let resumed = from !== undefined
    const leaving = new AbortController()
    const either = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal])
    let onto = onward(partner, name)
    let watch = openWatch(partner, name, hasKey)
    /** Begins anew: the place that was remembered says nothing any more. */
    const askAnew = (): Promise<Answer> => {
      resumed = false
      onto = onward(partner, name)
      watch = openWatch(partner, name, hasKey)
      asked = again()
      return ask(asked, undefined, either)
    }
    /** An answer; undefined where the partner says that the list has no such page any more. */
    const askOn = async (place: Place | undefined): Promise<Answer | undefined> => {
      try {
        return await ask(asked, place, either)
      } catch (error) {
        if (isFirst(place) || !isIntegrationError(error, 'not_found')) throw error
        return undefined
      }
    }
    const askFirst = async (): Promise<Answer | undefined> => {
      try {
        return await askOn(from)
      } catch (error) {
        if (from === undefined || !isStale(error, from)) throw error
        return askAnew()
      }
    }
    /** The page that an answer holds; undefined where there is none. */
    const come = async (coming: Promise<Answer | undefined>): Promise<Came | undefined> => {
      const answer = await coming
      if (answer === undefined || answer.reply.status === 204) return undefined
      const { reply, place } = answer
      const found = road(reply.bytes)
      const isShort = isCounted(paging) && found.records < full(place, paging.size)
      // Rows without their key may look the same and be others.
      const mark = !isShort ? '' : hasKey ? edgesIn(found) : digest(reply.bytes)
      release(reply.bytes)
      return { reply, place, found, mark: `${found.records} ${mark}` }
    }
    try {
      if (from !== undefined) onto(JSON.stringify(from))
      let page = await come(askFirst())
      while (page !== undefined) {
        const { found, place, reply, mark } = page
        const follow = followOf(place, found.records)
        const next = follow === 'nothing' ? undefined : nextOf(place, found, reply)
        if (next === undefined) {
          yield { ...found, next }
          return
        }
        onto(JSON.stringify(next))
        watch(found)
        const coming = askOn(next)
        coming.catch(() => undefined) // Told when it is its turn.
        if (follow === 'more') {
          yield { ...found, next }
          page = await come(coming)
          continue
        }
        // What follows tells whether this page was the last, so it is waited for.
        let behind: Came | undefined
        try {
          behind = await come(coming)
        } catch (error) {
          const isSure = isFirst(place) || count.isSmall(found.records)
          if (!isIntegrationError(error, 'rejected') || !(isSure || resumed)) {
            yield { ...found, next }
            throw error
          }
          // What lies too deep may be refused as well: only a read from the beginning tells that from the end.
          if (!isSure) {
            page = await come(askAnew())
            continue
          }
        }
        if (behind === undefined || behind.found.records === 0 || behind.mark === mark) {
          yield { ...found, next: undefined }
          return
        }
        count.givesFewer()
        yield { ...found, next }
        page = behind
      }
      yield { ...road(Buffer.from(emptyPage(rest))), next: undefined }
    } finally {
      leaving.abort()
    }
  }
}

/** A page that holds nothing, as the stream expects it. */
const emptyPage = ({ records }: RestStream): string =>
  (records?.split('.') ?? []).reduceRight((inner, key) => `{${JSON.stringify(key)}:${inner}}`, '[]')
