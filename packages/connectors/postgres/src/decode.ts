import { orNull, readJson } from '@ecokit/connect/writing'
import type { JsonSchema } from '@ecokit/contracts'
import { timeFromServer } from './time.ts'

type Decode = (text: string) => unknown

/** An integer of the server: a bigint beyond 2^53. */
const integer: Decode = (text) => {
  const near = Number(text)
  return Number.isSafeInteger(near) ? near : BigInt(text)
}
/** How one type of the server is read: `cast` is what it is selected as, where that is not itself. */
export interface Reading {
  readonly schema: JsonSchema
  readonly cast?: string
  readonly decode: Decode
}
const plain: Decode = (text) => text
const same = (schema: JsonSchema, decode: Decode = plain, cast?: string): Reading => ({
  schema,
  decode,
  ...(cast !== undefined && { cast }),
})

/** Precision and scale of a numeric out of its type modifier; nothing where it has none, or a scale that no decimal of ours has. */
const digitsOf = (modifier: number): { readonly precision?: number; readonly scale?: number } => {
  if (modifier < 4) return {}
  const precision = ((modifier - 4) >> 16) & 0xffff
  const scale = (modifier - 4) & 0x7ff
  return scale <= precision ? { precision, scale } : {}
}

/** How a type of PostgreSQL's own is read, by its name in the catalog; others are texts, as the server writes them. Formats of our own: `local-date-time` has no zone, `decimal` may have precision and scale. */
export const readingOf = (name: string, modifier: number, kept?: JsonSchema): Reading => {
  switch (name) {
    case 'bool':
      return same({ type: 'boolean' }, (text) => text === 't' || text === 'true')
    case 'int2':
    case 'int4':
    case 'oid':
      return same({ type: 'integer' }, Number)
    case 'int8':
      return same({ type: 'integer', format: 'int64' }, integer)
    case 'float8':
      return same({ type: 'number', format: 'double' }, Number)
    case 'float4':
      // Its shortest text names another double than the one that it is.
      return same({ type: 'number', format: 'double' }, Number, 'pg_catalog.float8')
    case 'numeric':
      return same({ type: 'string', format: 'decimal', ...digitsOf(modifier) })
    case 'date':
      return same({ type: 'string', format: 'date' }, (text) => timeFromServer(text, ''))
    case 'timestamp':
      return same({ type: 'string', format: 'local-date-time' }, (text) => timeFromServer(text, ''))
    case 'timestamptz':
      return same({ type: 'string', format: 'date-time' }, (text) => timeFromServer(text, 'Z'))
    case 'bytea':
      return same({ type: 'string', contentEncoding: 'base64' }, (text) =>
        Buffer.from(text.slice(2), 'hex').toString('base64'),
      )
    case 'uuid':
      return same({ type: 'string', format: 'uuid' })
    case 'json':
    case 'jsonb':
      return same(kept ?? {}, (text) => readJson(text, kept))
    default:
      return same({ type: 'string' })
  }
}

/** A list of any depth, selected as JSON of the texts of its items. */
export const listReading = (item: Reading, depth: number): Reading => {
  const decodeItems = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(decodeItems) : typeof value === 'string' ? item.decode(value) : null
  let schema = item.schema
  for (let level = 0; level < Math.max(depth, 1); level += 1) schema = { type: 'array', items: orNull(schema) }
  return { schema, decode: (text) => decodeItems(JSON.parse(text)) }
}

const escapes: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}
/** A value of COPY's text format; null for its `\N`. */
export const copyValue = (field: string): string | null => {
  if (!field.includes('\\')) return field
  if (field === '\\N') return null
  return field.replace(/\\(.)/gs, (_, each: string) => escapes[each] ?? each)
}
