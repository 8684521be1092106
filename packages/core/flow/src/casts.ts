import { toJson, type JsonSchema } from '@ecokit/contracts'
import { decide, type Form } from '@ecokit/json-scan'
import { isNullable } from './schemas.ts'
import type { CastType } from './types.ts'

/** Why a value cannot be what it should become. */
export interface Refused {
  readonly refused: string
}
// Data may look like a refusal; a refusal of ours is known by itself.
const refusals = new WeakSet()
export const isRefused = (value: unknown): value is Refused => refusals.has(value as object)
const refuse = (refused: string): Refused => {
  const made = { refused }
  refusals.add(made)
  return made
}

const decimalShape = /^decimal\((\d{1,2}),\s*(\d{1,2})\)$/
/** Digits and scale of a decimal; undefined for what is none that a table can hold. */
const decimalOf = (type: string): { readonly precision: number; readonly scale: number } | undefined => {
  const found = decimalShape.exec(type)
  if (found === null) return undefined
  const [precision, scale] = [Number(found[1]), Number(found[2])]
  return precision >= 1 && precision <= 38 && scale <= precision ? { precision, scale } : undefined
}

const plain: Readonly<Record<string, JsonSchema>> = {
  string: { type: 'string' },
  integer: { type: 'integer', format: 'int64' },
  number: { type: 'number' },
  boolean: { type: 'boolean' },
  timestamp: { type: 'string', format: 'date-time' },
  date: { type: 'string', format: 'date' },
  json: {},
}

/** The JSON Schema of a column after its cast; undefined for a type that there is not. */
export const castSchema = (type: string, before: unknown): JsonSchema | undefined => {
  const decimal = decimalOf(type)
  const schema = decimal === undefined ? plain[type] : { type: 'string', format: 'decimal', ...decimal }
  if (schema === undefined || !Object.hasOwn(plain, decimal === undefined ? type : 'string')) return undefined
  return isNullable(before) ? { anyOf: [schema, { type: 'null' }] } : schema
}
/** Types by which rows can still be told apart: no two different keys become one. */
export const keepsKeys = (type: string): boolean => ['string', 'integer'].includes(type)

/** By the rules of the scanner, which every reader of a page follows too. */
const decided = (form: Form, text: string): unknown => {
  const verdict = decide(form, Buffer.from(text))
  return 'row' in verdict ? verdict.row : refuse(verdict.reason)
}
const numeral = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
/** A number as it would stand in JSON; undefined for what is none, and for a text like 007, which a number would not keep. */
const numberText = (value: unknown): string | undefined => {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined
  return typeof value === 'string' && numeral.test(value) ? value : undefined
}
const described = (value: unknown): string =>
  Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`
const not = (what: string, value: unknown): Refused =>
  refuse(`expected ${what}, got ${typeof value === 'string' ? 'a text that is none' : described(value)}`)

const toInteger = (value: unknown): unknown => {
  const text = numberText(value)
  // Of two texts for one number, as 1 and 1.0 or 0 and -0, two keys would become one.
  if (text === undefined || (typeof value === 'string' && !/^(?:0|-?[1-9]\d*)$/.test(value)))
    return not('a whole number', value)
  const row = decided({ kind: 'integer' }, text)
  if (typeof row !== 'string') return row
  const whole = BigInt(row)
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole
}
/** The digits of a number and where its point stands, the same for every way to write it. */
const digitsOf = (text: string): string => {
  const [, whole = '', fraction = '', exponent = '0'] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const all = `${whole}${fraction}`.replace(/^0+/, '')
  const digits = all.replace(/0+$/, '')
  return digits === '' ? '0' : `${digits}e${Number(exponent) - fraction.length + all.length - digits.length}`
}
const toNumber = (value: unknown): unknown => {
  const text = numberText(value)
  if (text === undefined) return not('a number', value)
  if (typeof value === 'number') return value
  const row = decided({ kind: 'double' }, text)
  if (typeof row !== 'string') return row
  const number = Number(row)
  const changed = /^-?\d+$/.test(text) ? BigInt(text) !== BigInt(number) : digitsOf(text) !== digitsOf(String(number))
  return changed ? refuse('more digits than a number keeps') : number
}
const toBoolean = (value: unknown): unknown => {
  if (typeof value === 'boolean') return value
  if (value === 1 || value === 1n || value === 'true') return true
  if (value === 0 || value === 0n || value === 'false') return false
  return not('true or false', value)
}
const unquoted = (row: unknown): unknown => (typeof row === 'string' ? row.replace(/^"(.*)"$/, '$1') : row)
const toTimestamp = (value: unknown): unknown => {
  if (typeof value === 'number' || typeof value === 'bigint')
    return refuse('expected a time with a zone, got a number, which does not say its unit')
  if (typeof value !== 'string') return not('a time with a zone', value)
  return unquoted(decided({ kind: 'timestamp' }, JSON.stringify(value)))
}
const toDate = (value: unknown): unknown => {
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value)) {
    const read = decided({ kind: 'timestamp' }, `"${value}T00:00:00Z"`)
    return typeof read === 'string' ? value : refuse('not a day of the calendar')
  }
  const at = toTimestamp(value)
  return typeof at === 'string' ? new Date(at).toISOString().slice(0, 10) : at
}
const toText = (value: unknown): unknown => {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return toJson(value)
  return Object.is(value, -0) ? '-0' : String(value)
}

const converters: Readonly<Record<string, (value: unknown) => unknown>> = {
  string: toText,
  integer: toInteger,
  number: toNumber,
  boolean: toBoolean,
  timestamp: toTimestamp,
  date: toDate,
  json: (value) => value,
}

/** What makes a value one of that type, or says why it cannot be (`isRefused`). Null and missing values are not handed over. */
export const castOf = (type: CastType): ((value: unknown) => unknown) => {
  const decimal = decimalOf(type)
  if (decimal === undefined) return converters[type] ?? ((value) => value)
  const form: Form = { kind: 'decimal', ...decimal }
  return (value) => {
    const text = numberText(value)
    return text === undefined ? not('a decimal number', value) : unquoted(decided(form, text))
  }
}
