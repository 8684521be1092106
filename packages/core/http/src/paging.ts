import type { z } from 'zod'
import type { CallOptions, JsonRequest, Paging } from '@ecokit/contracts'
import { header } from './body.ts'
import { circleFinder } from './circle.ts'
import { requestError } from './failure.ts'
import { nextLink } from './link.ts'
import { recall } from './recall.ts'
import { checkedJson } from './reply.ts'
import { hostNotAllowed } from './target.ts'
import type { Call, Hop, Wire } from './wire.ts'

interface Page<T> {
  readonly page: T
  readonly link: string | undefined
  readonly hop: Hop
}
const within = (request: JsonRequest, paging: { in: 'query' | 'body'; parameter: string }, value: string | number) =>
  paging.in === 'query'
    ? { ...request, query: { ...request.query, [paging.parameter]: String(value) } }
    : { ...request, body: { ...(request.body as object | undefined), [paging.parameter]: value } }

const startOf = (request: JsonRequest, paging: { in: 'query' | 'body'; parameter: string }): number => {
  const fields = (paging.in === 'query' ? request.query : request.body) as Record<string, unknown> | undefined
  const start = Number(fields?.[paging.parameter] ?? 0)
  return Number.isSafeInteger(start) ? start : 0
}

/** Where the Link header leads, within the origin. */
const linked = (wire: Wire, { link, hop }: Page<unknown>): URL | undefined => {
  const target = link === undefined ? undefined : nextLink(link)
  if (target === undefined) return undefined
  const url = URL.parse(target, hop.url)
  if (url === null)
    throw requestError(hop.about, 'invalid_reply', 'gave a Link header with no usable address', undefined, {
      status: hop.status,
    })
  if (url.origin !== hop.about.origin)
    throw hostNotAllowed(
      { ...wire, hosts: [{ declared: '', origin: hop.about.origin, named: true }] },
      url,
      'the next page: ',
    )
  return url
}

/** Every page, one after the other. */
export async function* readPages<T>(
  wire: Wire,
  prepare: (request: JsonRequest) => Call,
  request: JsonRequest,
  schema: z.ZodType<T>,
  paging: Paging<T>,
  options: CallOptions | undefined,
): AsyncGenerator<T, void, undefined> {
  const goesRound = circleFinder()
  let call = prepare(request)
  let offset = paging.kind === 'offset' ? startOf(request, paging) : 0
  for (;;) {
    const sent = call
    const read = await recall<Page<T>>(wire, call, options, async (answer, hop, stop) => ({
      page: await checkedJson(schema, sent, answer, hop, stop),
      link: header(answer.headers, 'link'),
      hop,
    }))
    const { page, hop } = read
    yield page
    let key: string
    let own = false
    if (paging.kind === 'offset') {
      const found = paging.count(page)
      if (found === 0 || found < paging.limit) return
      offset += found
      key = String(offset)
      call = prepare(within(request, paging, offset))
    } else if (paging.kind === 'token') {
      key = paging.next(page) ?? ''
      if (key === '') return
      call = prepare(within(request, paging, key))
    } else {
      const url = linked(wire, read)
      if (url === undefined) return
      key = url.href
      call = { ...call, path: url.pathname + url.search }
      own = key === hop.url
    }
    if (goesRound(key) || own)
      throw requestError(
        hop.about,
        'invalid_reply',
        'was answered with a page that asked for itself again',
        'The read would never end: report it to the partner',
        { status: hop.status },
      )
  }
}
