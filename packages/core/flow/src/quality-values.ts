import { toJson, type QualityRule } from '@ecokit/contracts'

/** A rule that is judged record by record. */
export type RowRule = Extract<QualityRule, { readonly rule: 'not_null' | 'range' | 'set' | 'regex' }>
/** True for the kinds that are judged record by record. */
export const isRowKind = (kind: string): kind is RowRule['rule'] => ['not_null', 'range', 'set', 'regex'].includes(kind)
export const isRowRule = (rule: QualityRule): rule is RowRule => isRowKind(rule.rule)

const instant = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?\d\d))?$/
/** A time as nanoseconds since 1970; a day is its midnight in UTC; undefined for what is neither. */
export const instantOf = (value: unknown): bigint | undefined => {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : BigInt(value.getTime()) * 1_000_000n
  if (typeof value !== 'string') return undefined
  const [, day, time = '00:00:00', fraction = '', zone = 'Z'] = instant.exec(value) ?? []
  if (day === undefined) return undefined
  const seconds = Date.parse(`${day}T${time}${zone.toUpperCase()}`)
  return Number.isNaN(seconds) ? undefined : BigInt(seconds) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
}

/** A time as milliseconds since 1970, however a source or a sink writes it: a number is taken for one, and what has no zone is in UTC. */
export const timeOf = (value: unknown): number | undefined => {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value)
  const texts =
    typeof value === 'string'
      ? [
          value,
          // `2026-01-01 00:00:00+00`, as databases write times.
          `${value}:00`,
          // Date.parse would take it for one of this machine's.
          `${value}Z`,
        ]
      : [value]
  for (const text of texts) {
    const at = instantOf(text)
    if (at !== undefined) return Number(at / 1_000_000n)
  }
  return undefined
}

const decimal = /^([+-]?\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/
/** Digits and the power of ten that they are multiplied by; undefined for what is no number. */
const digitsOf = (text: string): { readonly digits: bigint; readonly power: number } | undefined => {
  const [, whole, fraction = '', exponent = '0'] = decimal.exec(text) ?? []
  if (whole === undefined) return undefined
  return { digits: BigInt(whole + fraction), power: Number(exponent) - fraction.length }
}
/** Compares two numbers, each a number or the digits of one, without rounding; undefined where one is no number. */
export const compareNumbers = (one: unknown, other: number | string): number | undefined => {
  if ((typeof one === 'number' || typeof one === 'bigint') && typeof other === 'number')
    return one < other ? -1 : one > other ? 1 : one == other ? 0 : undefined
  if (typeof one !== 'string' && typeof one !== 'number' && typeof one !== 'bigint') return undefined
  const [left, right] = [digitsOf(String(one)), digitsOf(String(other))]
  if (left === undefined || right === undefined) return undefined
  const power = Math.min(left.power, right.power)
  const scaled = ({ digits, power: own }: typeof left): bigint => digits * 10n ** BigInt(own - power)
  const difference = scaled(left) - scaled(right)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** True for a bound that a range can have. */
export const isBound = (bound: number | string): boolean =>
  typeof bound === 'number' ? !Number.isNaN(bound) : digitsOf(bound) !== undefined || instantOf(bound) !== undefined

const compare = (value: unknown, bound: number | string): number | undefined => {
  const at = typeof bound === 'string' ? instantOf(bound) : undefined
  if (at === undefined) return compareNumbers(value, bound)
  const own = instantOf(value)
  return own === undefined ? undefined : own < at ? -1 : own > at ? 1 : 0
}

const longest = 80
/** A value in a sentence. */
export const shown = (value: unknown): string => {
  const text = typeof value === 'string' ? JSON.stringify(value) : value === undefined ? 'missing' : toJson(value)
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

/** A pattern may never end over a text: see quality-patterns. */
type ValueRule = Exclude<RowRule, { readonly rule: 'regex' }>
/** Opens a rule about records: what it gives says in words what is wrong with a value, undefined where nothing is. */
export const openRule = (rule: ValueRule): ((value: unknown) => string | undefined) => {
  if (rule.rule === 'not_null')
    return (value) => (value === null ? 'is null' : value === undefined ? 'is missing' : undefined)
  const judge = openValueRule(rule)
  return (value) => (value === null || value === undefined ? undefined : judge(value))
}

const openValueRule = (rule: Exclude<ValueRule, { readonly rule: 'not_null' }>) => {
  if (rule.rule === 'range') {
    const { min, max } = rule
    return (value: unknown): string | undefined => {
      const above = min === undefined ? 0 : compare(value, min)
      const below = max === undefined ? 0 : compare(value, max)
      if (above === undefined || below === undefined) return `${shown(value)} cannot be compared`
      if (above < 0) return `${shown(value)} is below ${String(min)}`
      return below > 0 ? `${shown(value)} is above ${String(max)}` : undefined
    }
  }
  const values = new Set<unknown>(rule.values)
  const numbers = rule.values.filter((value) => typeof value === 'number')
  // Digits as a text stand for what a number of JavaScript or YAML cannot hold.
  const texts = rule.values.filter((value) => typeof value === 'string')
  const isIn = (value: unknown): boolean =>
    values.has(value) ||
    (typeof value !== 'boolean' && numbers.some((number) => compareNumbers(value, number) === 0)) ||
    ((typeof value === 'bigint' || typeof value === 'number') &&
      texts.some((text) => compareNumbers(value, text) === 0))
  return (value: unknown) => (isIn(value) ? undefined : `${shown(value)} is none of the values`)
}
