import fc from 'fast-check'
import { double, int64 } from '@ecokit/contracts'
import { z } from 'zod'

/** A value as a record holds it, and one of the ways in which JSON writes it. */
export interface Both {
  readonly value: unknown
  readonly text: string
}
export interface Kind {
  readonly schema: z.ZodType
  readonly values: fc.Arbitrary<Both>
}

const wellFormed = (text: string): boolean => (text as unknown as { isWellFormed(): boolean }).isWellFormed()
const escaped = (text: string): string =>
  `"${Array.from(text, (character) => (character.length === 1 ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : character)).join('')}"`
/** A text with and without escapes. */
const quoted = (text: string): fc.Arbitrary<string> =>
  fc.constantFrom(JSON.stringify(text), escaped(text), JSON.stringify(text).replaceAll('/', '\\/'))
const textual = (values: fc.Arbitrary<string>): fc.Arbitrary<Both> =>
  values.chain((value) => quoted(value).map((text) => ({ value, text })))
const words = fc.oneof(
  fc.string({ unit: 'binary' }).filter(wellFormed),
  fc.constantFrom(
    '',
    '\0',
    'a\0b',
    '"',
    '\\',
    'null',
    'NaN',
    '1',
    ' ',
    '{}',
    'é😀',
    '\ufeff',
    '\u2028',
    'x'.repeat(300),
  ),
)
const pad = (value: number, width: number) => String(value).padStart(width, '0')
const day = fc
  .tuple(fc.integer({ min: 3, max: 9997 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([year, month, of]) => `${pad(year, 4)}-${pad(month, 2)}-${pad(of, 2)}`)
const zone = fc.oneof(
  fc.constant('Z'),
  fc
    .tuple(fc.constantFrom('+', '-'), fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 59 }))
    .map(([sign, hour, minute]) => `${sign}${pad(hour, 2)}:${pad(minute, 2)}`),
)
const instant = fc
  .tuple(
    fc.oneof(day, fc.constantFrom('1582-10-10', '1969-12-31', '2024-02-29', '0004-02-29')),
    fc.integer({ min: 0, max: 86_399 }),
    fc.constantFrom('', '.1', '.12', '.123456', '.000001', '.999999'),
    zone,
  )
  .map(([of, second, fraction, at]) => {
    const clock = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60].map((part) => pad(part, 2))
    return `${of}T${clock.join(':')}${fraction}${at}`
  })
const whole = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.integer().map(BigInt),
  fc.constantFrom(0n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n),
)
const integer = whole.chain((value) =>
  fc.constantFrom(`${value}`, `${value}.0`, `${value}.000`, `${value}e0`).map((text) => ({ value, text })),
)
const safe = fc
  .maxSafeInteger()
  .map((value) => value + 0)
  .chain((value) => fc.constantFrom(`${value}`, `${value}.0`, `${value}E+0`).map((text) => ({ value, text })))
const number = fc
  .oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(-0, 0, 5e-324, 1.7976931348623157e308, 2 ** 53, 0.1, 1e21, 1e-7, 123456789012345680000),
    fc.integer(),
  )
  .chain((value) => {
    const plain = Object.is(value, -0) ? '-0' : String(value)
    const forms = [plain, plain.includes('e') ? plain : plain.includes('.') ? `${plain}00` : `${plain}.0`]
    return fc
      .constantFrom(
        ...forms,
        Object.is(value, -0) ? '-0.0' : value.toExponential(),
        Number.isInteger(value) && Math.abs(value) < 1e21 ? plain : plain,
      )
      .map((text) => ({ value, text }))
  })
const decimal = (precision: number, scale: number): Kind => ({
  schema: z.string().meta({ format: 'decimal', precision, scale }),
  values: fc
    .oneof(
      fc.bigInt({ min: 1n - 10n ** BigInt(precision), max: 10n ** BigInt(precision) - 1n }),
      fc.integer({ min: -99_999, max: 99_999 }).map(BigInt),
    )
    .chain((scaled) => {
      const digits = String(scaled < 0n ? -scaled : scaled).padStart(scale + 1, '0')
      const text = `${scaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
      const short = text.replace(/0+$/, '').replace(/\.$/, '.0')
      return fc.constantFrom(`"${text}"`, `"${text}00"`, text, short).map((written) => ({ value: text, text: written }))
    }),
})
const object = (pairs: readonly (readonly [string, Both])[]): Both => ({
  value: Object.fromEntries(pairs.map(([name, both]) => [name, both.value])),
  text: `{${pairs.map(([name, both]) => `${JSON.stringify(name)} : ${both.text}`).join(' ,')}}`,
})
const listOf = ({ schema, values }: Kind): Kind => ({
  schema: z.array(schema),
  values: fc.array(values, { maxLength: 5 }).map((items) => ({
    value: items.map(({ value }) => value),
    text: `[${items.map(({ text }) => text).join(', ')}]`,
  })),
})
const mapOf = ({ schema, values }: Kind): Kind => ({
  schema: z.record(z.string(), schema),
  values: fc
    .uniqueArray(fc.tuple(fc.oneof(words, fc.constantFrom('__proto__', 'constructor')), values), {
      maxLength: 4,
      selector: ([name]) => name,
    })
    .map(object),
})
const orNull = ({ schema, values }: Kind): Kind => ({
  schema: schema.nullable(),
  values: fc.oneof(
    { weight: 3, arbitrary: values },
    { weight: 1, arbitrary: fc.constant({ value: null, text: 'null' }) },
  ),
})
const objectOf = (fields: Readonly<Record<string, Kind>>): Kind => ({
  schema: z.object(Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema]))),
  values: fc
    .tuple(...Object.entries(fields).map(([name, { values }]) => values.map((both) => [name, both] as const)))
    .chain((pairs) =>
      fc.shuffledSubarray(pairs, { minLength: pairs.length }).map((mixed) => ({
        // The record has its fields in one order, the text in any.
        value: object(pairs).value,
        text: object(mixed).text,
      })),
    ),
})

const text: Kind = { schema: z.string(), values: textual(words) }
const reals: Kind = { schema: double(), values: number }
const time: Kind = { schema: z.iso.datetime({ offset: true }), values: textual(instant) }
const big: Kind = { schema: int64(), values: integer }
const bool: Kind = { schema: z.boolean(), values: fc.boolean().map((value) => ({ value, text: String(value) })) }
const money = decimal(18, 4)

const simple: Readonly<Record<string, Kind>> = {
  text,
  time,
  big,
  bool,
  money,
  real: reals,
  number: { schema: z.number(), values: number },
  safe: { schema: z.int(), values: safe },
  day: { schema: z.iso.date(), values: textual(day) },
  huge: decimal(38, 10),
  choice: { schema: z.enum(['a', 'b"', '']), values: textual(fc.constantFrom('a', 'b"', '')) },
}
const tags = objectOf({
  team: text,
  'stage of': orNull(text),
  since: time,
  cost: orNull(money),
  n: big,
  on: listOf(bool),
})
/** Every kind of column that JSON can fill, and columns that only objects can. */
export const kinds: Readonly<Record<string, Kind>> = {
  ...simple,
  tags,
  orTags: orNull(tags),
  deep: objectOf({ inner: objectOf({ at: orNull(time), more: mapOf(money) }), all: listOf(reals) }),
  parts: listOf(objectOf({ name: text, worth: orNull(money), step: big })),
  times: listOf(orNull(time)),
  moneys: listOf(money),
  bigs: listOf(big),
  texts: mapOf(orNull(text)),
  ofMoney: mapOf(money),
  ofTimes: mapOf(time),
  ofReals: mapOf(orNull(reals)),
  loose: {
    schema: z.object({ a: z.string(), b: z.int().optional() }),
    values: fc.constantFrom(
      { value: { a: 'x' }, text: '{"a":"x"}' },
      { value: { a: 'y', b: 1 }, text: '{"b":1.0, "a":"y"}' },
    ),
  },
  anything: {
    schema: z.unknown(),
    values: fc.constantFrom(
      { value: { x: [1, null, -0] }, text: '{"x": [1, null, -0]}' },
      { value: 'x', text: '"x"' },
      { value: [], text: '[ ]' },
    ),
  },
}
