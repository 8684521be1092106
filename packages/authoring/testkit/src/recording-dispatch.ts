import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import type { NetworkRuntime } from '@ecokit/http'

export type Dispatcher = NonNullable<NetworkRuntime['dispatcher']>
export type Options = Parameters<Dispatcher['dispatch']>[0]
export type Handler = Parameters<Dispatcher['dispatch']>[1]
export type Controller = Parameters<NonNullable<Handler['onRequestStart']>>[0]
export type Headers = Parameters<NonNullable<Handler['onResponseStart']>>[2]

/** The copy of undici with which @ecokit/http speaks, so that its handlers and ours are of one kind. */
export const undici = (): { readonly Agent: new () => Dispatcher; readonly Dispatcher: new () => Dispatcher } => {
  const here = createRequire(import.meta.url)
  return createRequire(here.resolve('@ecokit/http'))('undici') as ReturnType<typeof undici>
}

export const headersOf = (given: Options['headers']): Record<string, string> => {
  const headers: Record<string, string> = {}
  const add = (name: string, value: unknown) => {
    if (value !== undefined && value !== null)
      headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : (value as string)
  }
  if (Array.isArray(given)) for (let at = 0; at < given.length; at += 2) add(String(given[at]), given[at + 1])
  else if (given !== null && given !== undefined && Symbol.iterator in given)
    for (const [name, value] of given as Iterable<[string, string]>) add(name, value)
  else for (const [name, value] of Object.entries(given ?? {})) add(name, value)
  return headers
}
export const partsOf = ({ origin, path, query }: Options, first: string | undefined) => {
  const url = new URL(path, 'http://here')
  for (const [name, value] of Object.entries((query ?? {}) as Record<string, string>))
    url.searchParams.append(name, value)
  const from = origin === undefined ? undefined : new URL(String(origin)).origin
  return { origin: from === first ? undefined : from, from, path: url.pathname, query: [...url.searchParams] }
}
export const chunkOf = (chunk: unknown): Buffer =>
  typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk as Uint8Array)
export const isSequence = (body: unknown): body is AsyncIterable<unknown> | Iterable<unknown> =>
  typeof body === 'object' &&
  body !== null &&
  (Symbol.asyncIterator in body || (Symbol.iterator in body && !ArrayBuffer.isView(body)))
