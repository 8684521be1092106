import { decimalDigits, isWellFormed, jsonText, kindOf, refuse } from '@ecokit/connect/writing'
import { parseDate, parseTime } from './time.ts'
import type { ColumnType } from './columns.ts'

/** A value in the one form from which every format is written: times as microseconds and dates as days since 1970, JSON as text, a map as entries. */
export type Stored =
  null | boolean | number | bigint | string | readonly Stored[] | readonly (readonly [string, Stored])[]

/** DuckDB's own largest values; it prints them as the infinities of time. */
export const timeInfinity = 2n ** 63n - 1n
export const dateInfinity = 2 ** 31 - 1
// DuckDB 1.5: TIMESTAMP reaches from 290309-12-22 (BC) to 294247-01-10; parsed years have six digits at most, so both ends are checked.
const timeLeast = -9_223_372_022_400_000_000n

const text = (value: unknown): string =>
  typeof value === 'string'
    ? isWellFormed(value)
      ? value
      : refuse('half of a surrogate pair cannot be stored as UTF-8')
    : refuse(`${kindOf(value)} in a column of text`)

const integer = (value: unknown): bigint => {
  const whole =
    typeof value === 'bigint'
      ? value
      : typeof value === 'number' && Number.isInteger(value)
        ? BigInt(value)
        : typeof value === 'string' && /^-?\d{1,19}$/.test(value)
          ? BigInt(value)
          : refuse(`${kindOf(value)}${typeof value === 'number' ? ` (${value})` : ''} in a column of integers`)
  return BigInt.asIntN(64, whole) === whole ? whole : refuse(`${whole.toString()} is beyond 64 bits`)
}

const names: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity }
const real = (value: unknown, json: boolean): number => {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') {
    const near = Number(value)
    // A number of JSON is the double that is nearest to it, however many digits it has.
    return Number.isFinite(near) && (json || BigInt(near) === value || String(near) === String(value))
      ? near
      : refuse(`${value.toString()} is not exact as a double`)
  }
  // How contracts' toJson writes them.
  if (typeof value === 'string' && Object.hasOwn(names, value)) return names[value] ?? NaN
  return refuse(`${kindOf(value)} in a column of numbers`)
}

const time = (value: unknown, zone: boolean): bigint => {
  const written = text(value)
  if (written === 'infinity') return timeInfinity
  if (written === '-infinity') return -timeInfinity
  const micros = parseTime(written, zone)
  return micros >= timeLeast && micros < timeInfinity ? micros : refuse(`${written} is beyond DuckDB's range`)
}
const date = (value: unknown): number => {
  const written = text(value)
  return written === 'infinity' ? dateInfinity : written === '-infinity' ? -dateInfinity : parseDate(written)
}

/** The scaled integer of a plain decimal number. */
const decimal = (value: unknown, width: number, scale: number): bigint => {
  const written =
    typeof value === 'bigint' ? String(value) : typeof value === 'number' ? decimalDigits(value) : text(value)
  const parts = /^(-?)(\d+)(?:\.(\d+))?$/.exec(written)
  if (parts === null) return refuse(`${JSON.stringify(written.slice(0, 60))} is not a decimal number`)
  const fraction = (parts[3] ?? '').replace(/0+$/, '')
  if (fraction.length > scale) return refuse(`${written} has more than ${scale} decimal places`)
  const scaled = BigInt(`${parts[2] ?? ''}${fraction.padEnd(scale, '0')}`)
  if (scaled >= 10n ** BigInt(width)) return refuse(`${written} has more than ${width} digits`)
  return parts[1] === '-' ? -scaled : scaled
}

/** Takes a value as a record holds it, never null, and gives the form to store; refuses what would not come back the same. `json`: the record was read from JSON text. */
export const storer = (type: ColumnType, json = false): ((value: unknown) => Stored) => {
  switch (type.kind) {
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : refuse(`${kindOf(value)} in a column of booleans`))
    case 'bigint':
      return integer
    case 'double':
      return (value) => real(value, json)
    case 'varchar':
      return text
    case 'date':
      return date
    case 'timestamptz':
      return (value) => time(value, true)
    case 'timestamp':
      return (value) => time(value, false)
    case 'decimal':
      return (value) => decimal(value, type.width, type.scale)
    case 'json':
      return (value) => jsonText(value, type.schema, { json })
    case 'list': {
      const item = nullable(storer(type.of, json))
      return (value) => (Array.isArray(value) ? value.map(item) : refuse(`${kindOf(value)} in a column of lists`))
    }
    case 'struct': {
      const fields = type.fields.map((field) => ({ name: field.name, store: nullable(storer(field.type, json)) }))
      const known = new Set(fields.map(({ name }) => name))
      return (value) => {
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          return refuse(`${kindOf(value)} in a column of objects`)
        const given = value as Readonly<Record<string, unknown>>
        for (const name of Object.keys(given))
          if (!known.has(name) && given[name] !== undefined) refuse(`${name}: there is no such field`)
        return fields.map(({ name, store }) => {
          if (!Object.hasOwn(given, name) || given[name] === undefined) refuse(`${name}: missing`)
          return store(given[name])
        })
      }
    }
    case 'map': {
      const entry = nullable(storer(type.of, json))
      return (value) =>
        typeof value === 'object' && value !== null && !Array.isArray(value)
          ? Object.entries(value)
              .filter(([, field]) => field !== undefined)
              .map(([key, field]) => [text(key), entry(field)] as const)
          : refuse(`${kindOf(value)} in a column of maps`)
    }
  }
}

/** The same for a value that may be missing. */
export const nullable =
  (store: (value: unknown) => Stored) =>
  (value: unknown): Stored =>
    value === null || value === undefined ? null : store(value)
