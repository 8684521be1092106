import { Buffer } from 'node:buffer'
import type { HttpKind, Incoming, Outgoing } from './kinds.ts'
import { pick } from './random.ts'

type Json = null | boolean | number | string | Json[] | JsonObject
interface JsonObject extends Record<string, Json> {}
const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What paging looks like at the partner. */
export interface PageNames {
  /** The field of a reply with the token of the next page. */
  readonly next: string
  /** The parameter of the query, or the field of the body, that asks for it. */
  readonly asked: string
}
export const mlflowPages: PageNames = { next: 'next_page_token', asked: 'page_token' }

const parse = ({ headers, body }: Outgoing): JsonObject | undefined => {
  const type = headers['content-type'] ?? ''
  if (typeof type !== 'string' || !type.includes('json')) return undefined
  try {
    const value = JSON.parse(body.toString('utf8')) as Json
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
const withBody = (reply: Outgoing, value: Json): Outgoing => ({ ...reply, body: Buffer.from(JSON.stringify(value)) })

/** The token by which a request asks for a page. */
export const askedToken = ({ url, body, headers }: Incoming, names: PageNames): string | undefined => {
  const query = new URL(url, 'http://here').searchParams.get(names.asked)
  if (query !== null) return query
  if (headers['content-type']?.includes('json') !== true || body.length === 0) return undefined
  try {
    const value = (JSON.parse(body.toString('utf8')) as JsonObject)[names.asked]
    return typeof value === 'string' && value !== '' ? value : undefined
  } catch {
    return undefined
  }
}

/** Every place in the reply that holds something, deepest last. */
const places = (
  value: Json,
): { readonly holder: JsonObject | Json[]; readonly key: string | number; depth: number }[] => {
  const found: ReturnType<typeof places> = []
  const walk = (holder: Json, depth: number): void => {
    if (Array.isArray(holder)) {
      for (const [key, item] of holder.entries()) {
        found.push({ holder, key, depth })
        walk(item, depth + 1)
      }
    } else if (isObject(holder)) {
      for (const key of Object.keys(holder)) {
        found.push({ holder, key, depth })
        walk(holder[key] ?? null, depth + 1)
      }
    }
  }
  walk(value, 0)
  return found
}
const at = (holder: JsonObject | Json[], key: string | number): Json =>
  (holder as Record<string | number, Json>)[key] ?? null
const put = (holder: JsonObject | Json[], key: string | number, value: Json): void => {
  ;(holder as Record<string | number, Json>)[key] = value
}

const flipped = (value: Json): Json => {
  if (typeof value === 'string') return { was: 'text' }
  if (typeof value === 'number') return 'not a number'
  if (typeof value === 'boolean') return [value]
  return Array.isArray(value) ? { was: 'a list' } : 'was an object'
}
/** A record of the reply's list, or the one thing that the reply is about. */
const nullRow = (value: JsonObject, random: () => number): boolean => {
  const list = Object.values(value).find((field) => Array.isArray(field) && field.some(isObject)) as Json[] | undefined
  if (list !== undefined) {
    list[Math.floor(random() * list.length)] = null
    return true
  }
  const [name] = Object.keys(value).filter((key) => isObject(value[key]))
  if (name === undefined) return false
  value[name] = null
  return true
}
const typeFlip = (value: JsonObject, random: () => number): boolean => {
  const [first, ...more] = places(value)
  if (first === undefined) return false
  const { holder, key } = pick(random, [first, ...more])
  put(holder, key, flipped(at(holder, key)))
  return true
}
const newField = (value: JsonObject): boolean => {
  for (const { holder, key } of places(value)) {
    const held = at(holder, key)
    if (isObject(held)) held['a field of tomorrow'] = { since: 4, list: [1, null] }
  }
  value['another field of tomorrow'] = ['x']
  return true
}

/** Faults in what a reply says; holds the pages that are served again. */
export const openPageFaults = (names: PageNames) => {
  const again = new Map<string, Outgoing>()
  let made = 0
  const token = (): string => `fault-${(made += 1)}`
  return {
    /** A page that an earlier reply of ours has promised. */
    promised: (request: Incoming): Outgoing | undefined => again.get(askedToken(request, names) ?? ''),
    /** The reply with the fault in it; undefined where it has no place for it. */
    alter: (kind: HttpKind, reply: Outgoing, random: () => number): Outgoing | undefined => {
      const value = parse(reply)
      if (value === undefined || reply.status >= 400) return undefined
      if (kind === 'dupPage' || kind === 'loopCursor') {
        if (!Object.values(value).some((field) => Array.isArray(field) && field.some(isObject))) return undefined
        const one = token()
        const page = (next: string): Outgoing => withBody(reply, { ...value, [names.next]: next })
        if (kind === 'dupPage') {
          again.set(one, reply)
          return page(one)
        }
        if (random() < 0.5) {
          again.set(one, page(one))
          return page(one)
        }
        const other = token()
        again.set(one, page(other))
        again.set(other, page(one))
        return page(one)
      }
      const changed =
        kind === 'nullRow' ? nullRow(value, random) : kind === 'typeFlip' ? typeFlip(value, random) : newField(value)
      return changed ? withBody(reply, value) : undefined
    },
    forget: (): void => again.clear(),
  }
}
