import type { Field, Form, Struct } from '@ecokit/json-scan'

/** Numbers from 0 up to 1, from a seed. */
export type Random = () => number

/** What a generator of values is made of. */
export interface Luck {
  readonly random: Random
  /** How often a value, at any depth, is one that its type does not take (or only may take). */
  readonly bad: number
  /** Texts that a type of value is sent with and refuses. */
  readonly badOf: (kind: Form['kind']) => readonly string[]
  /** Texts that fit where no text can be made up: those that have to match a pattern. */
  readonly knownOf: (form: Form) => readonly string[]
}

export const below = (random: Random, end: number): number => Math.floor(random() * end)
export const pick = <T>(random: Random, items: readonly T[]): T => items[below(random, items.length)] as T
const pad = (value: number, width: number): string => String(value).padStart(width, '0')

const pieces = [
  ...[
    'a',
    'b',
    'Z',
    '7',
    ' ',
    ',',
    ':',
    '{',
    '}',
    '[',
    ']',
    '-',
    '/',
    'null',
    'NaN',
    '\\"',
    '\\\\',
    '\\/',
    '\\n',
    '\\t',
  ],
  ...['\\r', '\\u0041', 'ä', 'é', '日本', '😀', '\\ud83d\\ude00', '\u2028', '\ufeff', '\\ufeff', '\u007f', '\\u001f'],
]
const letters = ['a', 'b', 'c', 'ä', '😀']
const shortTexts = ['""', '"a"', '"b"', '"x y"', '"1"', '"null"', '"\\u0000"', '"a\\u0000b"', '"\\ufeff"', '"\ufeffx"']

const textOf = (form: Extract<Form, { kind: 'string' }>, { random, knownOf }: Luck): string => {
  if (form.values !== undefined) return JSON.stringify(pick(random, form.values))
  if (form.patterns !== undefined) return pick(random, knownOf(form))
  const { minLength = 0, maxLength } = form
  if (minLength > 0 || maxLength !== undefined) {
    const length = minLength + below(random, (maxLength ?? minLength + 9) - minLength + 1)
    return `"${Array.from({ length }, () => pick(random, letters)).join('')}"`
  }
  if (random() < 0.05) return pick(random, shortTexts)
  let text = ''
  for (let left = below(random, random() < 0.02 ? 300 : 9); left > 0; left -= 1) text += pick(random, pieces)
  return `"${text}"`
}

const edges = [0n, 2n ** 31n, 2n ** 53n, 2n ** 63n - 3n]
const integerOf = (form: Extract<Form, { kind: 'integer' }>, { random }: Luck): string => {
  const luck = random()
  const near = BigInt(below(random, 7) - 3)
  let value =
    luck < 0.5
      ? BigInt(below(random, 20_000) - 10_000)
      : luck < 0.75
        ? pick(random, edges) * (random() < 0.5 ? 1n : -1n) + near
        : BigInt.asIntN(64, (BigInt(below(random, 2 ** 32)) << 32n) | BigInt(below(random, 2 ** 32)))
  const { minimum, maximum } = form
  if (minimum !== undefined && maximum !== undefined && (value < minimum || value > maximum)) {
    const width = maximum - minimum + 1n
    value = minimum + (((value % width) + width) % width)
  }
  const text = String(BigInt.asIntN(64, value))
  const spelt = random()
  return spelt < 0.9
    ? text
    : spelt < 0.94
      ? `${text}.0`
      : spelt < 0.97
        ? `${text}e0`
        : value === 0n
          ? '-0'
          : `${text}E+0`
}

const bits = new DataView(new ArrayBuffer(8))
const specials = ['0', '-0', '-0.0', '5e-324', '1.7976931348623157e308', '1e21', '1e-7', '9007199254740993', '1e-400']
const doubleOf = (form: Extract<Form, { kind: 'double' }>, { random }: Luck): string => {
  const { minimum = form.above, maximum = form.below } = form
  if (minimum !== undefined || maximum !== undefined) {
    const low = minimum ?? (maximum ?? 0) - 1000
    return String(low + random() * ((maximum ?? low + 1000) - low))
  }
  const luck = random()
  if (luck < 0.1) return pick(random, specials)
  if (luck < 0.4) return String(below(random, 2_000_000) / 1000 - 1000)
  if (luck < 0.5) return `${below(random, 10_000)}.${pad(below(random, 10 ** 9), 9)}${pad(below(random, 10 ** 9), 9)}`
  if (luck < 0.6) return String(below(random, 2 ** 53) * (random() < 0.1 ? 1e9 : 1))
  bits.setUint32(0, below(random, 2 ** 32))
  bits.setUint32(4, below(random, 2 ** 32))
  const value = bits.getFloat64(0)
  if (!Number.isFinite(value)) return '0.5'
  return random() < 0.5 ? String(value) : value.toExponential()
}

const decimalOf = ({ precision, scale }: Extract<Form, { kind: 'decimal' }>, { random }: Luck): string => {
  const some = (most: number): string => {
    let digits = ''
    while (digits.length < most) digits += pad(below(random, 10 ** 9), 9)
    return digits.slice(0, most)
  }
  const whole = some(below(random, random() < 0.2 ? precision - scale + 1 : 6)).replace(/^0+(?=.)/, '')
  const fraction = some(below(random, scale + 1))
  const text = `${random() < 0.3 ? '-' : ''}${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`
  if (random() < 0.05) return `${text}${fraction === '' ? '.' : ''}00`
  return random() < 0.5 ? text : `"${text}"`
}

const timeOf = ({ zoneOnlyZ }: Extract<Form, { kind: 'timestamp' }>, { random }: Luck): string => {
  const year = random() < 0.8 ? 1960 + below(random, 100) : 2 + below(random, 9996)
  const day = `${pad(year, 4)}-${pad(1 + below(random, 12), 2)}-${pad(1 + below(random, 28), 2)}`
  const clock = `${pad(below(random, 24), 2)}:${pad(below(random, 60), 2)}:${pad(below(random, 60), 2)}`
  const places = random() < 0.5 ? 0 : 1 + below(random, 6)
  const fraction = places === 0 ? '' : `.${pad(below(random, 10 ** places), places)}`
  const zone =
    zoneOnlyZ === true || random() < 0.6
      ? 'Z'
      : `${random() < 0.5 ? '+' : '-'}${pad(below(random, 15), 2)}:${pad(below(random, 60), 2)}`
  return `"${day}T${clock}${fraction}${zone}"`
}

const anything = ['1', '-0', '1.50', '"a"', 'true', 'null', '[]', '{}', '9007199254740993', '1e21', '0.1', '"\\u0000"']
const jsonOf = (luck: Luck, depth: number): string => {
  const { random } = luck
  const kind = random()
  if (depth > 2 || kind < 0.5) return pick(random, anything)
  if (kind < 0.6) return textOf({ kind: 'string' }, luck)
  if (kind < 0.7) return integerOf({ kind: 'integer' }, luck)
  const items = Array.from({ length: below(random, 4) }, () => jsonOf(luck, depth + 1))
  return kind < 0.85 ? `[${items.join(',')}]` : `{${items.map((item, at) => `"k${at}":${item}`).join(',')}}`
}

const blankOf = (random: Random): string => (random() < 0.02 ? pick(random, [' ', '\n', '\t', '\r\n  ']) : '')

/** A member of an object as it is sent; undefined where it is left out. */
export const memberOf = ({ name, form, optional }: Field, luck: Luck): string | undefined => {
  const { random } = luck
  if (optional === true && random() < 0.15) return undefined
  return `${JSON.stringify(name)}${blankOf(random)}:${blankOf(random)}${valueOf(form, luck)}`
}
const structOf = ({ fields }: Struct, luck: Luck): string => {
  const members = fields.map((field) => memberOf(field, luck)).filter((member) => member !== undefined)
  if (luck.random() < 0.1) members.reverse()
  return `{${members.join(`,${blankOf(luck.random)}`)}}`
}

/** A value of a form in one of the ways in which JSON writes it; sometimes one that does not fit. */
export const valueOf = (form: Form, luck: Luck): string => {
  const { random } = luck
  if (random() < luck.bad) return pick(random, luck.badOf(form.kind))
  if (form.nullable === true && random() < 0.12) return 'null'
  switch (form.kind) {
    case 'string':
      return textOf(form, luck)
    case 'integer':
      return integerOf(form, luck)
    case 'double':
      return doubleOf(form, luck)
    case 'decimal':
      return decimalOf(form, luck)
    case 'boolean':
      return random() < 0.5 ? 'true' : 'false'
    case 'timestamp':
      return timeOf(form, luck)
    case 'json':
      return jsonOf(luck, 0)
    case 'struct':
      return structOf(form, luck)
    case 'list': {
      const { minLength = 0, maxLength = minLength + 3 } = form
      const length = minLength + below(random, maxLength - minLength + 1)
      return `[${Array.from({ length }, () => valueOf(form.item, luck)).join(`,${blankOf(random)}`)}]`
    }
    case 'map': {
      const keys = new Set(Array.from({ length: below(random, 4) }, () => textOf({ kind: 'string' }, luck)))
      return `{${Array.from(keys, (key) => `${key}:${valueOf(form.value, luck)}`).join(',')}}`
    }
  }
}
