import { hidden, type RecordedBody, type RecordedExchange } from './recording-file.ts'
import { formType, scrubForm } from './recording-scrub.ts'

/** A request that asks for its recording. */
export interface Asked {
  readonly method: string
  /** Undefined where it is that of the first exchange. */
  readonly origin: string | undefined
  readonly path: string
  readonly query: readonly (readonly [string, string])[]
  readonly body: Buffer
}

/** Whether a text is the recorded one, in which `***` stands for anything. */
export const sameText = (recorded: string, asked: string): boolean => {
  const parts = recorded.split(hidden)
  if (parts.length === 1) return recorded === asked
  const [first = ''] = parts
  const last = parts.at(-1) ?? ''
  if (!asked.startsWith(first) || asked.length < first.length + last.length || !asked.endsWith(last)) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = asked.indexOf(part, at)
    if (found < 0 || found + part.length > asked.length - last.length) return false
    at = found + part.length
  }
  return true
}
/** Whether a value has everything that was recorded; it may have more fields, not more items. */
export const holds = (recorded: unknown, asked: unknown): boolean => {
  if (recorded === hidden) return asked !== undefined
  if (typeof recorded === 'string') return typeof asked === 'string' && sameText(recorded, asked)
  if (typeof recorded !== 'object' || recorded === null) return recorded === asked
  if (typeof asked !== 'object' || asked === null) return false
  if (Array.isArray(recorded))
    return (
      Array.isArray(asked) && asked.length === recorded.length && recorded.every((item, at) => holds(item, asked[at]))
    )
  const fields = asked as Readonly<Record<string, unknown>>
  return (
    !Array.isArray(asked) &&
    Object.entries(recorded).every(([name, value]) => Object.hasOwn(fields, name) && holds(value, fields[name]))
  )
}

const sameBody = (recorded: RecordedBody | undefined, type: string, asked: Buffer): boolean => {
  if (recorded === undefined) return asked.length === 0
  if ('base64' in recorded) return recorded.base64 === asked.toString('base64')
  if ('text' in recorded) {
    const text = asked.toString('utf8')
    return sameText(recorded.text, type.includes(formType) ? scrubForm(text, (same) => same) : text)
  }
  try {
    return holds(recorded.json, JSON.parse(asked.toString('utf8')))
  } catch {
    return false
  }
}

/** What of a request is not as it was recorded; undefined where nothing is. */
export const difference = (
  { request }: RecordedExchange,
  asked: Asked,
): 'method or path' | 'query' | 'body' | undefined => {
  const { method, origin, path, query = [], headers, body } = request
  if (method !== asked.method || origin !== asked.origin || !sameText(path, asked.path)) return 'method or path'
  const sameQuery =
    query.length === asked.query.length &&
    query.every(([name, value], at) => {
      const [askedName = '', askedValue = ''] = asked.query[at] ?? []
      return name === askedName && sameText(value, askedValue)
    })
  if (!sameQuery) return 'query'
  return sameBody(body, String(headers?.['content-type'] ?? ''), asked.body) ? undefined : 'body'
}
