import { fromJson } from '@ecokit/contracts'
import { decimalDigits } from './decimal.ts'
import { refuse } from './refused.ts'

// ECMAScript's JSON.parse source text access, in Node from 22; the TypeScript library does not have it yet.
declare const JSON: { rawJSON(text: string): unknown; stringify(value: unknown): string }

/** True where a text has no half of a surrogate pair, so that UTF-8 can hold it. In Node from 20; the ES2023 library does not have it. */
export const isWellFormed = (text: string): boolean => (text as unknown as { isWellFormed(): boolean }).isWellFormed()

type Schema = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The schema of a field of an object, or of an item of a list, as far as it is written plainly. */
const inside = (schema: unknown, key: string | undefined): unknown => {
  if (!isObject(schema)) return undefined
  for (const union of [schema['anyOf'], schema['oneOf']])
    if (Array.isArray(union)) {
      const found = union.map((member) => inside(member, key)).filter((member) => member !== undefined)
      if (found.length > 0) return found.length === 1 ? found[0] : { anyOf: found }
    }
  if (key === undefined) return schema['items']
  const properties = schema['properties']
  return isObject(properties) && Object.hasOwn(properties, key) ? properties[key] : schema['additionalProperties']
}
const takes = (schema: unknown, type: 'integer' | 'number' | 'string'): boolean => {
  if (!isObject(schema)) return false
  for (const union of [schema['anyOf'], schema['oneOf']])
    if (Array.isArray(union)) return union.some((member) => takes(member, type))
  const { type: own } = schema
  if (own !== undefined) return own === type || (Array.isArray(own) && own.includes(type))
  const listed = 'const' in schema ? [schema['const']] : schema['enum']
  return !Array.isArray(listed) || listed.some((value) => typeof value === type)
}
/** Numbers, and no texts that could be the word NaN. */
const isNumber = (schema: unknown): boolean => takes(schema, 'number') && !takes(schema, 'string')
/** Whole numbers and no others, so that -0 is 0, as where a scanner reads it. */
const isWhole = (schema: unknown): boolean => takes(schema, 'integer') && !takes(schema, 'number')

/** The value with 0 in place of -0 where its schema takes whole numbers alone. */
export const plainZeros = (value: unknown, schema: unknown): unknown => {
  if (value === 0) return isWhole(schema) ? 0 : value
  if (Array.isArray(value)) {
    const items = inside(schema, undefined)
    return value.map((item) => plainZeros(item, items))
  }
  if (typeof value !== 'object' || value === null) return value
  if (![Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plainZeros(field, inside(schema, key))]))
}

/** A text that is a decimal, and no number. */
const isDecimal = (schema: unknown): boolean => {
  if (!isObject(schema) || takes(schema, 'number')) return false
  for (const union of [schema['anyOf'], schema['oneOf']]) if (Array.isArray(union)) return union.some(isDecimal)
  return schema['format'] === 'decimal'
}
/** Whether a value of the schema can hold a decimal at any depth, as far as it is written plainly. */
export const holdsDecimals = (schema: unknown): boolean =>
  isDecimal(schema) ||
  (isObject(schema) &&
    [
      ...['anyOf', 'oneOf'].flatMap((name) => (Array.isArray(schema[name]) ? (schema[name] as unknown[]) : [])),
      ...(isObject(schema['properties']) ? Object.values(schema['properties']) : []),
      ...[schema['items'], schema['additionalProperties']],
    ].some(holdsDecimals))
/** The value with decimals as texts, which proven lines may hold as numbers; refuses a number that may have lost digits. */
export const plainDecimals = (value: unknown, schema: unknown): unknown => {
  if (typeof value === 'number') return isDecimal(schema) ? decimalDigits(value) : value
  if (typeof value === 'bigint') return isDecimal(schema) ? String(value) : value
  if (Array.isArray(value)) {
    const items = inside(schema, undefined)
    return value.map((item) => plainDecimals(item, items))
  }
  if (!isObject(value) || ![Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null))
    return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, plainDecimals(field, inside(schema, key))]),
  )
}

/**
 * JSON text that loses nothing: bigint keeps its digits, -0 its sign, but for whole numbers; a decimal is a text, however it came; NaN and the infinities become texts where the schema says number, and are refused elsewhere, where they could be told from no text.
 * `json`: the value was read from JSON text, where a number has no type of its own: a whole one is the nearest double where the schema says number.
 * `store` sees every text and every key, with what leads to it, and refuses those that the store cannot hold; half of a surrogate pair is refused before.
 */
export const jsonText = (
  value: unknown,
  schema: unknown,
  {
    store = () => {},
    json = false,
  }: { readonly store?: (text: string, path: string) => void; readonly json?: boolean } = {},
): string => {
  const text = (written: string, path: string): string => {
    if (!isWellFormed(written)) refuse(`${path}half of a surrogate pair cannot be stored as UTF-8`)
    store(written, path)
    return written
  }
  const plain = (given: unknown, schema: unknown, path: string): unknown => {
    const value = json && typeof given === 'bigint' && isNumber(schema) ? Number(given) : given
    if (value === null || typeof value === 'boolean') return value
    if ((typeof value === 'bigint' || typeof value === 'number') && isDecimal(schema))
      return typeof value === 'bigint' ? String(value) : decimalDigits(value)
    if (typeof value === 'bigint') return JSON.rawJSON(String(value))
    if (typeof value === 'number') {
      if (Object.is(value, -0)) return isWhole(schema) ? 0 : JSON.rawJSON('-0.0')
      // Digits alone, which some stores make of any exponent, would come back as a bigint.
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) return JSON.rawJSON(`${String(BigInt(value))}.0`)
      if (Number.isFinite(value)) return value
      return isNumber(schema) ? String(value) : refuse(`${path}${String(value)} has no form in JSON`)
    }
    if (typeof value === 'string') return text(value, path)
    if (Array.isArray(value)) {
      const items = inside(schema, undefined)
      return value.map((item, index) => plain(item, items, `${path}${String(index)}: `))
    }
    if (typeof value !== 'object' || ![Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null))
      return refuse(`${path}${kindOf(value)} is not JSON data`)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, field]) => field !== undefined)
        .map(([key, field]) => [text(key, path), plain(field, inside(schema, key), `${path}${key}: `)]),
    )
  }
  return JSON.stringify(plain(value, schema, ''))
}

/** What a value is, in a word, for reasons. */
export const kindOf = (value: unknown): string =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'object'
        ? Object.getPrototypeOf(value) === Object.prototype
          ? 'an object'
          : `a ${(value.constructor as { name?: string } | undefined)?.name ?? 'foreign object'}`
        : `a ${typeof value}`

const names: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity }
/** Only texts with these, or with a long integer, can hold something that the schema makes another value of. */
const special = /"(?:NaN|-?Infinity)"|\d{16}/
/** Reads back what `jsonText` wrote under the same schema; exact, whatever somebody else wrote. */
export const readJson = (text: string, schema: unknown): unknown => {
  const value = fromJson(text)
  return schema !== undefined && special.test(text) ? revive(value, schema) : value
}
const revive = (value: unknown, schema: unknown): unknown => {
  // A store may have written out the digits of a number, or kept those that it was sent with: it is the double that is nearest to them.
  if (typeof value === 'bigint') {
    const near = Number(value)
    return isNumber(schema) && (BigInt(near) === value || String(near) === String(value)) ? near : value
  }
  if (typeof value === 'string') return isNumber(schema) && Object.hasOwn(names, value) ? names[value] : value
  if (Array.isArray(value)) return value.map((item) => revive(item, inside(schema, undefined)))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, revive(field, inside(schema, key))]))
}
