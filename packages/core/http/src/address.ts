import { toUSVString } from 'node:util'
import { integrationError, type Request } from '@ecokit/contracts'

const unsafe = /[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]+/g
const dotSegment = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i
const absolute = /^[a-z][a-z0-9+.-]*:\/\//i
const ordinary = /^[A-Za-z0-9_~!$'()*,;=:@-][A-Za-z0-9_~!$'()*,;=:@/-]*$/

/** Where requests of one base URL go. */
export interface Base {
  readonly origin: string
  /** The base URL's own path. */
  readonly path: string
  /** The same without a slash at its end. */
  readonly prefix: string
}

/** The path below the base; whatever it holds, it stays below it. */
export const joinPath = (partner: string, base: Base, path: string): string => {
  if (ordinary.test(path)) return `${base.prefix}/${path}`
  if (path === '') return base.path
  const refuse = (why: string): never => {
    throw integrationError('invalid_input', {
      partner,
      what: `the path of a request ${why}`,
      next: 'Give a path below the base URL and encode what stands in it with encodeURIComponent; a URL out of a reply goes through foreign()',
      details: { field: 'path' },
    })
  }
  if (absolute.test(path)) refuse('is an absolute URL')
  const inside = toUSVString(path.replace(/^\/+/, '')).replace(unsafe, encodeURIComponent)
  const end = inside.indexOf('?')
  if (dotSegment.test(end < 0 ? inside : inside.slice(0, end))) refuse('holds "." or ".." as a segment')
  return `${base.prefix}/${inside}`
}

/** `?a=1&b=2`, appended to a path that may have a query already. */
export const withQuery = (path: string, query: Request['query']): string => {
  if (query === undefined) return path
  let text = path
  let mark = path.includes('?') ? '&' : '?'
  for (const name in query) {
    const value = query[name]
    if (value === undefined) continue
    const key = encodeURIComponent(toUSVString(name))
    for (const item of typeof value === 'string' ? [value] : value) {
      text += `${mark}${key}=${encodeURIComponent(toUSVString(item))}`
      mark = '&'
    }
  }
  return text
}

/** A path as it may be shown: without its query. */
export const shown = (path: string): string => {
  const end = path.indexOf('?')
  return end < 0 ? path : path.slice(0, end)
}
