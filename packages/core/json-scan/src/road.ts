import { isUtf8 } from 'node:buffer'
import type { Form, Refusal, Struct } from './form.ts'
import { int64Range } from './form.ts'
import { readInstant, writeOut } from './numbers.ts'
import { isNumberText, isObjectValue, NotJson, parseExact } from './parse.ts'
import type { ObjectValue, Value } from './parse.ts'

class Refused extends Error {
  readonly field: string
  constructor(field: string, reason: string) {
    super(reason)
    this.field = field
  }
}
const refuse = (field: string, reason: string): never => {
  throw new Refused(field, reason)
}
const below = (field: string, name: string | number): string => (field === '' ? String(name) : `${field}.${name}`)

const nameOf = (value: Value): string => {
  if (value === null) return 'null'
  if (typeof value !== 'object') return typeof value === 'string' ? 'a text' : 'true or false'
  if (isNumberText(value)) return 'a number'
  return isObjectValue(value) ? 'an object' : 'a list'
}
const expected = (what: string, field: string, value: Value): never =>
  refuse(field, `expected ${what}, got ${nameOf(value)}`)

const codePoints = (text: string): number => {
  let count = 0
  for (const _ of text) count++
  return count
}

const expressions = new Map<string, RegExp>()
/** The compiled expression; one for each source. */
export const expressionOf = (source: string, flags: string): RegExp => {
  const key = `${flags}/${source}`
  const known = expressions.get(key) ?? new RegExp(source, flags)
  expressions.set(key, known)
  return known
}

/** Why a text is refused by the form; undefined where it is not. Both roads call it, so that they cannot differ. */
export const textRefusal = (form: Extract<Form, { kind: 'string' }>, text: string): string | undefined => {
  const { minLength, maxLength, patterns, values } = form
  if (values !== undefined && !values.includes(text)) return `expected one of: ${values.join(', ')}`
  if (minLength !== undefined || maxLength !== undefined) {
    const length = codePoints(text)
    if (minLength !== undefined && length < minLength) return `shorter than ${minLength} characters`
    if (maxLength !== undefined && length > maxLength) return `longer than ${maxLength} characters`
  }
  for (const { source, flags } of patterns ?? [])
    if (!expressionOf(source, flags).test(text)) return 'does not match its pattern'
  return undefined
}

const shortInteger = /^(?:0|-?[1-9]\d{0,14})$/
const integer = (form: Extract<Form, { kind: 'integer' }>, digits: string, field: string): string => {
  // The common way of writing one needs no second look.
  if (form.minimum === undefined && form.maximum === undefined && shortInteger.test(digits)) return digits
  const plain = writeOut(digits)
  if (plain === 'small' || (plain !== 'large' && plain.fraction !== '')) return refuse(field, 'not a whole number')
  const { minimum = int64Range.minimum, maximum = int64Range.maximum } = form
  const value = plain === 'large' ? undefined : BigInt((plain.negative ? '-' : '') + plain.whole)
  if (value === undefined || value < int64Range.minimum || value > int64Range.maximum)
    return refuse(field, 'beyond 64 bits')
  if (value < minimum) return refuse(field, `less than ${minimum}`)
  if (value > maximum) return refuse(field, `more than ${maximum}`)
  return String(value)
}

const double = (form: Extract<Form, { kind: 'double' }>, digits: string, field: string): string => {
  const value = Number(digits)
  if (!Number.isFinite(value)) return refuse(field, 'beyond the largest number')
  const { minimum, maximum, above, below: under } = form
  if (minimum !== undefined && value < minimum) return refuse(field, `less than ${minimum}`)
  if (maximum !== undefined && value > maximum) return refuse(field, `more than ${maximum}`)
  if (above !== undefined && value <= above) return refuse(field, `not more than ${above}`)
  if (under !== undefined && value >= under) return refuse(field, `not less than ${under}`)
  return Object.is(value, -0) ? '-0.0' : String(value)
}

const decimal = (form: Extract<Form, { kind: 'decimal' }>, value: Value, field: string): string => {
  const digits = typeof value === 'string' && /^-?\d+(?:\.\d+)?$/.test(value) ? value : undefined
  const plain = isNumberText(value)
    ? writeOut(value.digits)
    : digits === undefined
      ? expected('a decimal number', field, value)
      : writeOut(digits)
  if (plain === 'small' || (plain !== 'large' && plain.fraction.length > form.scale))
    return refuse(field, `more than ${form.scale} digits behind the point`)
  if (plain === 'large' || (plain.whole !== '0' && plain.whole.length > form.precision - form.scale))
    return refuse(field, `more than ${form.precision - form.scale} digits before the point`)
  const zero = plain.whole === '0' && plain.fraction === ''
  const text = `${plain.negative && !zero ? '-' : ''}${plain.whole}${plain.fraction === '' ? '' : `.${plain.fraction}`}`
  // Every reader has 15 digits of a number exactly; more of them only a text keeps.
  return plain.whole.length + plain.fraction.length <= 15 ? text : `"${text}"`
}

/** Whole numbers that readers keep digit by digit; beyond a thousand one is an attack. */
const wholeNumber = /^-?\d{1,1000}$/
/** A value of any shape as JSON, its numbers as they were written; one that readers would take for Infinity is refused, since no column holds it. */
const anything = (value: Value, field: string): string => {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isNumberText(value))
    return Number.isFinite(Number(value.digits)) || wholeNumber.test(value.digits)
      ? value.digits
      : refuse(field, 'beyond the largest number')
  if (!isObjectValue(value)) return `[${value.map((item, index) => anything(item, below(field, index))).join(',')}]`
  noneTwice(value, field)
  return `{${[...value.entries].map(([key, item]) => `${JSON.stringify(key)}:${anything(item, below(field, key))}`).join(',')}}`
}
const noneTwice = ({ twice }: ObjectValue, field: string): void => {
  for (const key of twice ?? []) refuse(below(field, key), 'stands there twice')
}

const quoted = new Map<string, string>()
/** The name of a field as JSON; forms have few, so that each is kept. */
const keyOf = (name: string): string => {
  const known = quoted.get(name) ?? JSON.stringify(name)
  quoted.set(name, known)
  return known
}
const struct = ({ fields, unknownFields }: Struct, value: ObjectValue, field: string): string => {
  if (unknownFields === 'refuse')
    for (const key of value.entries.keys())
      if (!fields.some(({ name }) => name === key)) refuse(below(field, key), 'not a field of this record')
  const parts: string[] = []
  for (const { name, form, optional } of fields) {
    const at = below(field, name)
    if (value.twice?.has(name) === true) refuse(at, 'stands there twice')
    const item = value.entries.get(name)
    if (item !== undefined) parts.push(`${keyOf(name)}:${canonical(form, item, at)}`)
    else if (optional !== true) refuse(at, 'missing')
  }
  return `{${parts.join(',')}}`
}

/** A value in the form's one way of writing it; throws what the form refuses. */
const canonical = (form: Form, value: Value, field: string): string => {
  if (value === null) {
    if (form.nullable === true || form.kind === 'json') return 'null'
    return refuse(field, 'null, which this field does not take')
  }
  switch (form.kind) {
    case 'string': {
      if (typeof value !== 'string') return expected('a text', field, value)
      const why = textRefusal(form, value)
      return why === undefined ? JSON.stringify(value) : refuse(field, why)
    }
    case 'integer':
      return isNumberText(value) ? integer(form, value.digits, field) : expected('a whole number', field, value)
    case 'double':
      return isNumberText(value) ? double(form, value.digits, field) : expected('a number', field, value)
    case 'decimal':
      return decimal(form, value, field)
    case 'boolean':
      return typeof value === 'boolean' ? String(value) : expected('true or false', field, value)
    case 'timestamp': {
      if (typeof value !== 'string') return expected('a time', field, value)
      const read = readInstant(value, form.zoneOnlyZ === true)
      return 'instant' in read ? `"${read.instant}"` : refuse(field, read.why)
    }
    case 'json':
      return anything(value, field)
    case 'struct':
      return isObjectValue(value) ? struct(form, value, field) : expected('an object', field, value)
    case 'list': {
      if (!Array.isArray(value)) return expected('a list', field, value)
      const items = value as readonly Value[]
      if (form.minLength !== undefined && items.length < form.minLength)
        return refuse(field, `fewer than ${form.minLength} items`)
      if (form.maxLength !== undefined && items.length > form.maxLength)
        return refuse(field, `more than ${form.maxLength} items`)
      return `[${items.map((item, index) => canonical(form.item, item, below(field, index))).join(',')}]`
    }
    case 'map': {
      if (!isObjectValue(value)) return expected('an object', field, value)
      noneTwice(value, field)
      const entries = [...value.entries].map(
        ([key, item]) => `${JSON.stringify(key)}:${canonical(form.value, item, below(field, key))}`,
      )
      return `{${entries.join(',')}}`
    }
  }
}

/** The object road: the bytes of one record as canonical JSON of the form, or why they are refused. Loses nothing, and is the last word for whatever the scanner cannot prove. */
export const decide = (form: Form, bytes: Uint8Array): { readonly row: string } | Refusal => {
  if (!isUtf8(bytes)) return { field: '', reason: 'not UTF-8' }
  // Refusals travel as errors within this file; the trace of one costs more than all the rest.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
    return { row: canonical(form, parseExact(text), '') }
  } catch (error) {
    if (error instanceof Refused) return { field: error.field, reason: error.message }
    if (error instanceof NotJson) return { field: '', reason: error.message }
    throw error
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
