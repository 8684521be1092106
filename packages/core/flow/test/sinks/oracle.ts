import { decimalDigits } from '@ecokit/connect/writing'
import type { Form, Struct } from '@ecokit/json-scan'
import { isNumberText, isObjectValue, parseExact, type Value } from '../../../json-scan/src/parse.ts'

/** How a value comes back: out of a column of its own type, out of one of JSON, out of PostgreSQL's jsonb, as it was sent, or as it was put aside. */
export type Keeps = 'column' | 'json' | 'jsonb' | 'sent' | 'aside'

/** A time as the sinks' own reads give it: in UTC, with three or six digits of a second, or none. */
const inUtc = (text: string): string => {
  const [, clock = '', fraction = '', zone = ''] = /^(.{19})(?:\.(\d+))?(.+)$/.exec(text) ?? []
  const digits = fraction.replace(/0+$/, '')
  const shown = digits === '' ? '' : `.${digits.padEnd(digits.length > 3 ? 6 : 3, '0')}`
  return `${new Date(`${clock}${zone}`).toISOString().slice(0, 19)}${shown}Z`
}
/** A decimal with all the digits of its column. */
const withScale = (digits: string, scale: number): string => {
  const [whole = '', fraction = ''] = digits.split('.')
  return scale === 0 ? whole : `${whole}.${fraction.padEnd(scale, '0')}`
}
/** jsonb makes 0 of -0; a number of free JSON that is beyond every double is sent as it came, or as the word for it. */
const real = (value: number, keeps: Keeps): string => {
  if (Object.is(value, -0)) return keeps === 'jsonb' ? '0' : '-0'
  return Number.isFinite(value) ? String(value) : JSON.stringify(String(value))
}
/** A number of free JSON: whole ones that are written as such exactly, others as doubles. */
const free = (digits: string, keeps: Keeps): string =>
  /^-?[1-9]\d*$/.test(digits) ? digits : real(Number(digits), keeps)
const ofEntries = (entries: readonly string[]): string => `{${entries.toSorted().join(',')}}`

/** What a value of the exact parser has to come back as, in one way of writing it down that tells all values and types apart. */
const wanted = (form: Form, value: Value, keeps: Keeps): string => {
  if (value === null) return 'null'
  if (isNumberText(value)) {
    const { digits } = value
    if (form.kind === 'double') return real(Number(digits), keeps)
    if (form.kind === 'decimal') return withScale(digits, form.scale)
    return form.kind === 'json' ? free(digits, keeps) : digits
  }
  if (typeof value === 'string') {
    if (form.kind === 'decimal') return withScale(value, form.scale)
    if (form.kind === 'timestamp') return keeps === 'column' ? inUtc(value) : value
    return JSON.stringify(value)
  }
  if (typeof value === 'boolean') return String(value)
  if (!isObjectValue(value))
    return `[${value.map((item) => wanted(form.kind === 'list' ? form.item : form, item, keeps)).join(',')}]`
  const { entries } = value
  if (form.kind === 'struct') {
    const there = form.fields.filter(({ name }) => entries.has(name))
    return `{${there.map(({ name, form: of }) => `${name}=${wanted(of, entries.get(name) ?? null, keeps)}`).join(';')}}`
  }
  const of = form.kind === 'map' ? form.value : form
  return ofEntries(Array.from(entries, ([name, item]) => `${JSON.stringify(name)}:${wanted(of, item, keeps)}`))
}

const wrong = (form: Form, value: unknown): string => `?${typeof value} for ${form.kind}: ${String(value)}`
/** What a sink gave back, in the same way; what cannot be right is like nothing that is wanted. */
const given = (form: Form, value: unknown, keeps: Keeps): string => {
  if (value === null) return 'null'
  switch (form.kind) {
    case 'integer':
      // 0 and -0 are told apart.
      if (typeof value === 'number' && Number.isSafeInteger(value)) return Object.is(value, -0) ? '-0' : String(value)
      return typeof value === 'bigint' ? String(value) : wrong(form, value)
    case 'double':
      if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
      // Who reads JSON sees a number; that it is a double only the schema says.
      return typeof value === 'bigint' && (keeps === 'sent' || keeps === 'aside')
        ? String(Number(value))
        : wrong(form, value)
    case 'decimal':
      if (typeof value === 'string') return keeps === 'column' ? value : withScale(value, form.scale)
      // What is put aside is the record as it came.
      if (typeof value === 'number' && keeps === 'aside') return withScale(decimalDigits(value), form.scale)
      return wrong(form, value)
    case 'boolean':
      return typeof value === 'boolean' ? String(value) : wrong(form, value)
    case 'timestamp':
      return typeof value === 'string' ? value : wrong(form, value)
    case 'string':
      return typeof value === 'string' ? JSON.stringify(value) : wrong(form, value)
    case 'list':
      if (!Array.isArray(value)) return wrong(form, value)
      return `[${value.map((item) => given(form.item, item, keeps)).join(',')}]`
    case 'struct': {
      if (typeof value !== 'object') return wrong(form, value)
      const there = form.fields.filter(({ name }) => Object.hasOwn(value, name))
      const more = Object.keys(value).length - there.length
      const fields = there.map(({ name, form: of }) => `${name}=${given(of, (value as Fields)[name], keeps)}`)
      return `{${fields.join(';')}}${more === 0 ? '' : `?${more} more`}`
    }
    case 'map':
    case 'json':
      if (typeof value === 'number') return real(value, keeps)
      if (typeof value === 'bigint') return String(value)
      if (typeof value !== 'object') return JSON.stringify(value)
      if (Array.isArray(value)) return `[${value.map((item) => given(form, item, keeps)).join(',')}]`
      return ofEntries(
        Object.entries(value).map(
          ([name, item]) => `${JSON.stringify(name)}:${given(form.kind === 'map' ? form.value : form, item, keeps)}`,
        ),
      )
  }
}
type Fields = Readonly<Record<string, unknown>>

const isScalar = ({ kind }: Form): boolean => !['struct', 'map', 'list', 'json'].includes(kind)
/** True where connectors/local has a column of the value's own type for it: see its README. */
const isTyped = (form: Form): boolean => {
  if (form.kind === 'struct') return form.fields.every(({ form: of, optional }) => optional !== true && isTyped(of))
  if (form.kind === 'map') return isScalar(form.value)
  if (form.kind === 'list') return isScalar(form.item) || (form.item.kind === 'struct' && isTyped(form.item))
  return form.kind !== 'json'
}
const keepsOf = (form: Form, sink: 'local' | 'postgres' | 'endpoint' | 'aside'): Keeps => {
  if (sink === 'endpoint') return 'sent'
  if (sink === 'aside') return 'aside'
  if (sink === 'local') return isTyped(form) ? 'column' : 'json'
  return isScalar(form) || (form.kind === 'list' && isScalar(form.item)) ? 'column' : 'jsonb'
}

export type SinkKind = Parameters<typeof keepsOf>[1]
/** How rows of a form are written down for a kind of sink. A field that is null and one that is missing are the same in a table, and told apart where rows are sent. */
export const openOracle = (form: Struct, sink: SinkKind) => {
  const columns = form.fields.map((field) => ({ ...field, keeps: keepsOf(field.form, sink) }))
  const isTable = sink === 'local' || sink === 'postgres'
  const names = new Set(columns.map(({ name }) => name))
  return {
    /** Of a row of the lossless road. */
    wanted: (row: string): string => {
      const exact = parseExact(row)
      if (!isObjectValue(exact)) throw new Error('a row is no object')
      let text = ''
      for (const { name, form: of, keeps } of columns) {
        const value = exact.entries.get(name)
        if (value !== undefined && !(isTable && value === null)) text += `${name}=${wanted(of, value, keeps)};`
      }
      return text
    },
    given: (row: Fields): string => {
      let text = ''
      for (const { name, form: of, keeps } of columns) {
        const value = row[name]
        if (Object.hasOwn(row, name) && value !== undefined && !(isTable && value === null))
          text += `${name}=${given(of, value, keeps)};`
      }
      for (const name of Object.keys(row)) if (!names.has(name)) text += `?${name}`
      return text
    },
  }
}
