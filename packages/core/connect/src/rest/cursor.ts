import { integrationError, jsonSchema } from '@ecokit/contracts'
import type { JsonSchema, RestStream, Stream, TimeForm } from '@ecokit/contracts'

/** How the values of a stream's cursor are told apart: as they were written, and exactly. */
export interface Cursor {
  readonly field: string
  readonly kind: 'time' | 'date' | 'number' | 'text'
  /** Below, at or above zero. */
  readonly compare: (one: string, other: string) => number
  /** True for one that is a time in any way. */
  readonly isTime: boolean
  /** The value so many milliseconds before; for what is no time the value itself. */
  readonly less: (value: string, milliseconds: number) => string
  /** The value, or this time (epoch milliseconds) where it lies behind it; for what is no time the value itself. */
  readonly most: (value: string, milliseconds: number) => string
  /** As the partner takes it; what its form cannot say is rounded down, or up. */
  readonly sent: (value: string, form: TimeForm | 'as_is' | undefined, round?: 'up') => string
  /** Epoch milliseconds, rounded down; undefined for what is no time. */
  readonly time: (value: string) => number | undefined
}

const instant = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?$/
/** Microseconds since 1970, exactly; undefined for what is no time. One without a zone is of UTC, wherever this machine stands. */
const microsOf = (text: string): bigint | undefined => {
  const [, head, fraction = '', zone] = instant.exec(text) ?? []
  const seconds = head === undefined ? Date.parse(text) : Date.parse(`${head}${zone ?? 'Z'}`)
  if (Number.isNaN(seconds)) return undefined
  return BigInt(seconds) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6))
}
const floor = (value: bigint, by: bigint, round?: 'up'): bigint => {
  const rest = ((value % by) + by) % by
  return (value - rest) / by + (round === 'up' && rest > 0n ? 1n : 0n)
}
const isoOf = (micros: bigint): string => {
  const below = micros - floor(micros, 1000n) * 1000n
  const text = new Date(Number(floor(micros, 1000n))).toISOString()
  return below === 0n ? text : `${text.slice(0, -1)}${String(below).padStart(3, '0')}Z`
}
const dayMicros = 86_400_000_000n
const dateOf = (micros: bigint, round?: 'up'): string => isoOf(floor(micros, dayMicros, round) * dayMicros).slice(0, 10)

const compareTexts = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)
/** As long as date and time without a fraction. */
const wholeSecond = 19
const compareTimes = (one: string, other: string): number => {
  if (one.endsWith('Z') && other.endsWith('Z') && one.length > wholeSecond && other.length > wholeSecond) {
    // In one zone the texts themselves are in order, up to the fraction.
    if (one.length === other.length) return compareTexts(one, other)
    const order = compareTexts(one.slice(0, wholeSecond), other.slice(0, wholeSecond))
    if (order !== 0) return order
  }
  const [left, right] = [microsOf(one), microsOf(other)]
  if (left === undefined || right === undefined) return compareTexts(one, other)
  return left < right ? -1 : left > right ? 1 : 0
}

const plain = /^-?\d+(?:\.\d+)?$/
/** Numbers of any length, digit by digit. */
const compareNumbers = (one: string, other: string): number => {
  const [left, right] = [Number(one), Number(other)]
  const small = Math.abs(left) < 2 ** 50 && Math.abs(right) < 2 ** 50 && left !== right
  if (small || !plain.test(one) || !plain.test(other)) return left - right
  const digits = Math.max(...[one, other].map((text) => text.split('.')[1]?.length ?? 0))
  const [first, second] = [one, other].map((text) => {
    const [whole = '0', fraction = ''] = text.split('.')
    return BigInt(whole + fraction.padEnd(digits, '0'))
  })
  return first === second ? 0 : (first ?? 0n) < (second ?? 0n) ? -1 : 1
}

const kindOf = (schema: JsonSchema | undefined): Cursor['kind'] => {
  if (schema === undefined) return 'text'
  const { type, format, anyOf } = schema
  const types = Array.isArray(type) ? (type as readonly unknown[]) : [type]
  if (types.includes('integer') || types.includes('number') || format === 'decimal') return 'number'
  if (format === 'date-time') return 'time'
  if (format === 'date') return 'date'
  for (const one of (anyOf ?? []) as readonly JsonSchema[]) {
    const kind = kindOf(one)
    if (kind !== 'text') return kind
  }
  return 'text'
}

/** The form in which a bound is sent where the stream does not say. */
const formOf = (rest: RestStream): TimeForm | 'as_is' | undefined =>
  rest.incremental?.form ??
  (rest.partitions !== undefined && 'form' in rest.partitions ? rest.partitions.form : undefined)

/** The cursor of a stream; undefined where it has none. */
export const cursorOf = ({ schema, cursor: field, rest }: Stream): Cursor | undefined => {
  if (field === undefined) return undefined
  const properties = jsonSchema(schema)['properties'] as Readonly<Record<string, JsonSchema>> | undefined
  const kind = kindOf(properties?.[field])
  const windowed = rest?.partitions !== undefined && 'windowMs' in rest.partitions
  const unit = rest !== undefined && formOf(rest) === 'epoch_s' ? 1_000_000n : 1000n
  /** In microseconds, where the cursor is a time in any way. */
  const micros = (value: string): bigint | undefined => {
    if (kind !== 'number') return microsOf(value)
    if (!plain.test(value)) return undefined
    const [whole = '', fraction = ''] = value.split('.')
    return floor(BigInt(whole + fraction) * unit, 10n ** BigInt(fraction.length))
  }
  // A number that windows of time are cut by is a time.
  const counts = windowed || rest?.incremental?.form?.startsWith('epoch') === true
  const isTime = kind === 'time' || kind === 'date' || (kind === 'number' && counts)
  const written = (at: bigint): string =>
    kind === 'date' ? dateOf(at) : kind === 'time' ? isoOf(at) : String(floor(at, unit))
  return {
    field,
    kind,
    isTime,
    compare: kind === 'time' ? compareTimes : kind === 'number' ? compareNumbers : compareTexts,
    less: (value, milliseconds) => {
      if (milliseconds === 0) return value
      const at = isTime ? micros(value) : undefined
      return at === undefined ? value : written(at - BigInt(Math.round(milliseconds)) * 1000n)
    },
    most: (value, milliseconds) => {
      const at = isTime ? micros(value) : undefined
      const latest = BigInt(milliseconds) * 1000n
      return at === undefined || at <= latest ? value : written(latest)
    },
    sent: (value, form = kind === 'time' ? 'iso' : 'as_is', round) => {
      const at = form === 'as_is' ? undefined : micros(value)
      if (at === undefined) return value
      if (form === 'epoch_ms') return String(floor(at, 1000n, round))
      if (form === 'epoch_s') return String(floor(at, 1_000_000n, round))
      return form === 'iso' ? isoOf(at) : dateOf(at, round)
    },
    time: (value) => {
      const at = micros(value)
      return at === undefined ? undefined : Number(floor(at, 1000n))
    },
  }
}

/** A time in epoch milliseconds as the partner takes it. */
export const sentTime = (milliseconds: number, form: TimeForm = 'iso', round?: 'up'): string => {
  const at = BigInt(milliseconds) * 1000n
  if (form === 'epoch_ms') return String(milliseconds)
  if (form === 'epoch_s') return String(floor(at, 1_000_000n, round))
  return form === 'iso' ? isoOf(at) : dateOf(at, round)
}

/** A bound that a caller gave, as a value of the cursor; throws `invalid_input` for what cannot be one. */
export const boundOf = (
  cursor: Cursor | undefined,
  about: { readonly partner: string; readonly name: string },
  field: 'since' | 'until',
  value: string | undefined,
): string | undefined => {
  if (value === undefined) return undefined
  const refuse = (what: string, next: string): never => {
    throw integrationError('invalid_input', {
      partner: about.partner,
      what: `${about.name}: ${field}: ${what}`,
      next,
      details: { field },
    })
  }
  if (cursor === undefined) return refuse('the stream has no cursor', 'Leave the bound out')
  if (cursor.kind === 'number' && !plain.test(value)) return refuse(`"${value}" is no number`, 'Write its digits')
  if (cursor.kind !== 'time' && cursor.kind !== 'date') return value
  const at = microsOf(value)
  if (at === undefined) return refuse(`"${value}" is no time`, 'Write it like 2026-01-31T00:00:00Z')
  if (cursor.kind === 'time') return isoOf(at)
  return dateOf(at, field === 'until' ? 'up' : undefined)
}

/** Which values of the cursor are handed on. */
export interface Bounds {
  /** Inclusive. */
  readonly since?: string | undefined
  /** The same, exclusive. */
  readonly after?: string | undefined
  /** Exclusive. */
  readonly until?: string | undefined
  /** True for a window that was asked for: a record without a value is in none. */
  readonly window?: boolean
}
/** Whether a record with this value of the cursor lies within; undefined where there are no bounds. */
export const within = (
  { compare }: Cursor,
  { since, after, until, window = false }: Bounds,
): ((value: string | undefined) => boolean) | undefined => {
  if (since === undefined && after === undefined && until === undefined) return undefined
  return (value) => {
    if (value === undefined) return !window
    if (since !== undefined && compare(value, since) < 0) return false
    if (after !== undefined && compare(value, after) <= 0) return false
    return until === undefined || compare(value, until) < 0
  }
}
