import { decimalDigits, isWellFormed, jsonText, kindOf, refuse } from '@ecokit/connect/writing'
import { dateForServer, timeForServer } from './time.ts'
import type { ColumnType } from './columns.ts'

const refuseNul = (text: string, path = ''): void => {
  if (text.includes('\0')) refuse(`${path}PostgreSQL cannot hold U+0000 in a text`)
}
/** A text that PostgreSQL can hold. */
const storable = (text: string): string => {
  if (!isWellFormed(text)) refuse('half of a surrogate pair cannot be stored as UTF-8')
  refuseNul(text)
  return text
}
const text = (value: unknown): string =>
  typeof value === 'string' ? storable(value) : refuse(`${kindOf(value)} in a column of text`)

const integer = (value: unknown): string => {
  // What nearly every value is.
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value === 0 ? '0' : String(value)
  const whole =
    typeof value === 'bigint'
      ? value
      : typeof value === 'number' && Number.isInteger(value)
        ? BigInt(value)
        : typeof value === 'string' && /^-?\d{1,19}$/.test(value)
          ? BigInt(value)
          : refuse(`${kindOf(value)}${typeof value === 'number' ? ` (${value})` : ''} in a column of integers`)
  return BigInt.asIntN(64, whole) === whole ? whole.toString() : refuse(`${whole.toString()} is beyond 64 bits`)
}

const names = new Set(['NaN', 'Infinity', '-Infinity'])
const real = (value: unknown, json: boolean): string => {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'bigint') {
    const near = Number(value)
    // A number of JSON is the double that is nearest to it, however many digits it has.
    return Number.isFinite(near) && (json || BigInt(near) === value || String(near) === String(value))
      ? String(near)
      : refuse(`${value.toString()} is not exact as a double`)
  }
  // How contracts' toJson writes them.
  if (typeof value === 'string' && names.has(value)) return value
  return refuse(`${kindOf(value)} in a column of numbers`)
}

/** A plain decimal number whose digits the column keeps; NaN, which every numeric holds, and the infinities, which those without a precision hold. */
const decimal =
  (precision: number | undefined, scale: number) =>
  (value: unknown): string => {
    const written =
      typeof value === 'bigint'
        ? String(value)
        : typeof value === 'number' && Number.isFinite(value)
          ? decimalDigits(value)
          : text(value)
    if (written === 'NaN' || (precision === undefined && names.has(written))) return written
    const parts = /^-?(\d+)(?:\.(\d+))?$/.exec(written)
    if (parts === null) return refuse(`${JSON.stringify(written.slice(0, 60))} is not a decimal number`)
    const whole = (parts[1] ?? '').replace(/^0+/, '')
    const fraction = precision === undefined ? (parts[2] ?? '') : (parts[2] ?? '').replace(/0+$/, '')
    if (fraction.length > (precision === undefined ? 16_383 : scale))
      return refuse(`${written.slice(0, 60)} has more than ${precision === undefined ? 16_383 : scale} decimal places`)
    if (whole.length > (precision === undefined ? 131_072 : precision - scale))
      return refuse(`${written.slice(0, 60)} has more than ${precision ?? 131_072} digits`)
    return written
  }

/** Standard base64 as it is written without a choice, for what else it stands for would not come back the same. */
const bytes = (value: unknown): string => {
  const written = text(value)
  const decoded = Buffer.from(written, 'base64')
  return decoded.toString('base64') === written
    ? `\\x${decoded.toString('hex')}`
    : refuse('not base64 with its padding')
}

const isText = ({ kind }: ColumnType): boolean => !['boolean', 'bigint', 'double', 'decimal'].includes(kind)
const list = (of: ColumnType, json: boolean): ((value: unknown) => string) => {
  const item = encoder(of, json)
  const quoted = isText(of)
  return (value) => {
    if (!Array.isArray(value)) return refuse(`${kindOf(value)} in a column of lists`)
    const items = value.map((each: unknown) => {
      if (each === null || each === undefined) return 'NULL'
      const written = item(each)
      return quoted ? `"${written.replace(/["\\]/g, '\\$&')}"` : written
    })
    return `{${items.join(',')}}`
  }
}

/** Takes a value as a record holds it, never null, and gives the text that PostgreSQL reads it by; refuses what would not come back the same. `json`: the record was read from JSON text. */
export const encoder = (type: ColumnType, json = false): ((value: unknown) => string) => {
  switch (type.kind) {
    case 'boolean':
      return (value) =>
        typeof value === 'boolean' ? (value ? 't' : 'f') : refuse(`${kindOf(value)} in a column of booleans`)
    case 'bigint':
      return integer
    case 'double':
      return (value) => real(value, json)
    case 'text':
      return text
    case 'date':
      return (value) => dateForServer(text(value))
    case 'timestamptz':
      return (value) => timeForServer(text(value), true)
    case 'timestamp':
      return (value) => timeForServer(text(value), false)
    case 'bytea':
      return bytes
    case 'decimal':
      return decimal(type.precision, type.scale ?? 0)
    case 'json':
      return (value) => jsonText(value, type.schema, { store: refuseNul, json })
    case 'list':
      return list(type.of, json)
  }
}

const special = /[\\\n\r\t]/
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
/** A value as COPY's text format has it. */
export const copyText = (written: string): string =>
  special.test(written) ? written.replace(/[\\\n\r\t]/g, (each) => escapes[each] ?? each) : written

/** The same for a value that may be missing, as COPY's text format has it. */
export const copyEncoder = (type: ColumnType, json = false): ((value: unknown) => string) => {
  const encode = encoder(type, json)
  const plain = ['boolean', 'bigint', 'double', 'decimal', 'date', 'timestamptz', 'timestamp'].includes(type.kind)
  if (plain) return (value) => (value === null || value === undefined ? '\\N' : encode(value))
  return (value) => (value === null || value === undefined ? '\\N' : copyText(encode(value)))
}
