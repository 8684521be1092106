import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import { double, int64, jsonSchema } from '@ecokit/contracts'
import type { AnyRecord, JsonSchema } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { discoverAll, open, openBoth, put, readAll, sinks, table, temporaryFolder, writing } from './support.ts'

const text = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .string({ unit: 'binary' })
      .filter((value) => (value as unknown as { isWellFormed(): boolean }).isWellFormed()),
  },
  // A byte order mark is part of a value.
  { weight: 1, arbitrary: fc.constantFrom('\ufeff', '\ufeffa', `\ufeff\ufeff${'x'.repeat(12)}`) },
)
const key = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', '', 'a"b', "a'b", 'ä'))
const whole = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const real = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, -0, 5e-324, 1.7976931348623157e308, 0.1))
const year = fc.integer({ min: 0, max: 9999 })
const pad = (value: number, width: number) => String(value).padStart(width, '0')
const day = fc
  .tuple(year, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([y, m, d]) => `${pad(y, 4)}-${pad(m, 2)}-${pad(d, 2)}`)
const clock = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 59 }))
  .map(([h, m, s]) => `${pad(h, 2)}:${pad(m, 2)}:${pad(s, 2)}`)
const fraction = fc.constantFrom('', '.123', '.123456', '.000001')
const zoned = fc.tuple(day, clock, fraction).map(([d, c, f]) => `${d}T${c}${f}Z`)
const local = fc.tuple(day, clock, fraction).map(([d, c, f]) => `${d}T${c}${f}`)
const decimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), fc.constant(undefined))
  .map(([scaled]) => {
    const digits = String(scaled < 0n ? -scaled : scaled).padStart(5, '0')
    return `${scaled < 0n ? '-' : ''}${digits.slice(0, -4)}.${digits.slice(-4)}`
  })
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    whole,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value

/** How a value comes back: a bigint within 2^53 as a number. */
const seen = (value: unknown): unknown => {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(seen)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, seen(field)]))
  return value
}
interface Kind {
  readonly schema: JsonSchema
  readonly values: fc.Arbitrary<unknown>
}
const kinds: Readonly<Record<string, Kind>> = {
  boolean: { schema: { type: 'boolean' }, values: fc.boolean() },
  int64: { schema: { type: 'integer', format: 'int64' }, values: whole },
  integer: { schema: jsonSchema(z.int()), values: fc.maxSafeInteger().map((value) => value + 0) },
  double: { schema: jsonSchema(double()), values: real },
  text: { schema: jsonSchema(z.string()), values: text },
  choice: { schema: jsonSchema(z.enum(['a', 'b'])), values: fc.constantFrom('a', 'b') },
  date: { schema: jsonSchema(z.iso.date()), values: day },
  time: { schema: jsonSchema(z.iso.datetime()), values: zoned },
  localTime: { schema: { type: 'string', format: 'local-date-time' }, values: local },
  decimal: { schema: { type: 'string', format: 'decimal', precision: 18, scale: 4 }, values: decimal },
  numbers: {
    schema: jsonSchema(z.record(z.string(), double())),
    values: fc.dictionary(key, real, { noNullPrototype: true }),
  },
  texts: {
    schema: jsonSchema(z.record(z.string(), z.string())),
    values: fc.dictionary(key, text, { noNullPrototype: true }),
  },
  times: {
    schema: jsonSchema(z.record(z.string(), z.iso.datetime())),
    values: fc.dictionary(key, zoned, { noNullPrototype: true }),
  },
  integers: { schema: jsonSchema(z.array(int64())), values: fc.array(whole) },
  reals: { schema: jsonSchema(z.array(double().nullable())), values: fc.array(fc.option(real)) },
  words: { schema: jsonSchema(z.array(z.string())), values: fc.array(text) },
  anything: { schema: {}, values: json.filter((value) => value !== null) },
  parts: {
    schema: jsonSchema(z.array(z.object({ name: z.string(), value: double(), step: int64() }))),
    values: fc.array(fc.record({ name: text, value: real, step: whole }, { noNullPrototype: true })),
  },
}
const names = Object.keys(kinds)
const schema = table(Object.fromEntries(names.map((name) => [name, kinds[name]?.schema])))
const record = fc.record(
  Object.fromEntries(names.map((name) => [name, fc.option(kinds[name]?.values ?? fc.constant(null), { freq: 8 })])),
  { noNullPrototype: true },
)
const back = (one: AnyRecord): AnyRecord => Object.fromEntries(names.map((name) => [name, seen(one[name])]))

for (const sink of [...sinks, 'parquet/parted', 'csv/parted', 'ndjson/parted'])
  test(`${sink}: every kind of value comes back as it was`, async () => {
    const [format, parted] = sink.split('/')
    // One folder, in which the rows keep their order.
    const partitionBy = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`t${index + 1}`, ['same']]))
    const connection =
      parted === undefined ? (await openBoth()).connection : open({ folder: await temporaryFolder(), partitionBy })
    const same = parted === undefined ? {} : { same: 'x' }
    const properties = {
      ...(schema.schema['properties'] as object),
      ...(parted !== undefined && { same: { type: 'string' } }),
    }
    let number = 0
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 25 }), async (rows) => {
        number += 1
        const described = { ...schema, schema: { ...schema.schema, properties }, name: `t${number}` }
        const given = rows.map((row) => ({ ...row, ...same }))
        expect(await put(connection, writing(described), given, format)).toEqual([])
        // Not toStrictEqual: it takes a field named constructor for the class.
        deepStrictEqual(
          await readAll(connection, `t${number}`),
          rows.map((row) => ({ ...back(row), ...same })),
        )
      }),
      { numRuns: 15, seed: 20_261_121 },
    )
  })

test('NDJSON bytes give the same rows as records', async () => {
  const { connection } = await openBoth()
  const line =
    '{"id":9007199254740993,"value":"NaN","small":0.1,"tags":{"a":"x"},"more":{"n":12345678901234567890,"x":[1,null]},"at":"2024-02-29T23:59:59.999999+02:00"}'
  const described = table({
    id: { type: 'integer', format: 'int64' },
    value: { type: 'number' },
    small: { type: 'number' },
    tags: { type: 'object', additionalProperties: { type: 'string' } },
    more: {},
    at: { type: 'string', format: 'date-time' },
  })
  for (const sink of sinks) {
    const writer = await connection.write?.(sink, writing({ ...described, name: sink }))
    const written = await writer?.write({
      encoding: 'ndjson',
      bytes: Buffer.concat([Buffer.from(`${line}\n\n{"id":\n`), Buffer.from([0x22, 0xff, 0x22, 10])]),
      count: 3,
    })
    expect(written).toEqual({
      rows: 1,
      rejected: [
        { index: 1, reason: 'not JSON' },
        { index: 2, reason: 'not UTF-8' },
      ],
    })
    await writer?.commit(undefined, { final: true })
    await writer?.[Symbol.asyncDispose]()
    expect(await readAll(connection, sink)).toStrictEqual([
      {
        id: 9007199254740993n,
        value: NaN,
        small: 0.1,
        tags: { a: 'x' },
        more: { n: 12345678901234567890n, x: [1, null] },
        at: '2024-02-29T21:59:59.999999Z',
      },
    ])
  }
})

const refused: readonly (readonly [string, JsonSchema, unknown, RegExp])[] = [
  ['a text for a number', { type: 'number' }, '1', /^v: a string in a column of numbers$/],
  ['a number for a text', { type: 'string' }, 1, /^v: a number in a column of text$/],
  ['a fraction for an integer', { type: 'integer' }, 1.5, /1\.5/],
  ['an integer beyond 64 bits', { type: 'integer' }, 2n ** 63n, /9223372036854775808 is beyond 64 bits/],
  [
    'an integer that no double holds',
    { type: 'number' },
    9007199254740993n,
    /9007199254740993 is not exact as a double/,
  ],
  ['half a surrogate pair', { type: 'string' }, 'a\ud800', /surrogate/],
  ['half a surrogate pair in JSON', {}, { a: ['\udc00'] }, /^v: a: 0: .*surrogate/],
  [
    'half a surrogate pair as a key',
    { type: 'object', additionalProperties: { type: 'string' } },
    { '\ud800': 'x' },
    /surrogate/,
  ],
  ['NaN in JSON without a schema', {}, { a: NaN }, /^v: a: NaN has no form in JSON$/],
  ['a date object', {}, new Date(0), /^v: a Date is not JSON data$/],
  ['a time without a zone', { type: 'string', format: 'date-time' }, '2024-01-01T00:00:00', /has no zone/],
  [
    'a time with nanoseconds',
    { type: 'string', format: 'date-time' },
    '2024-01-01T00:00:00.0000001Z',
    /finer than microseconds/,
  ],
  ['a leap second', { type: 'string', format: 'date-time' }, '2016-12-31T23:59:60Z', /not a time of the day/],
  [
    'a day that is not in the calendar',
    { type: 'string', format: 'date-time' },
    '2023-02-29T00:00:00Z',
    /not a day of the calendar/,
  ],
  ['a date as words', { type: 'string', format: 'date' }, 'today', /not a date/],
  [
    'too many decimal places',
    { type: 'string', format: 'decimal', precision: 5, scale: 2 },
    '1.234',
    /more than 2 decimal places/,
  ],
  ['too many digits', { type: 'string', format: 'decimal', precision: 5, scale: 2 }, '1234.5', /more than 5 digits/],
  ['a list for a map', { type: 'object', additionalProperties: { type: 'number' } }, [1], /a list in a column of maps/],
  [
    'a wrong value in a list',
    { type: 'array', items: { type: 'integer' } },
    [1, 'x'],
    /a string in a column of integers/,
  ],
  ['a truth for a number', { type: 'integer' }, true, /a boolean in a column of integers/],
]
for (const [what, field, value, reason] of refused)
  test(`${what} is rejected, and the rest is stored`, async () => {
    const { connection } = await openBoth()
    for (const sink of sinks) {
      const name = `in_${sink}`
      const rejected = await put(
        connection,
        writing(table({ v: field }, undefined, name)),
        [{}, { v: value }, { v: null }],
        sink,
      )
      expect(rejected).toEqual([{ index: 1, reason: expect.stringMatching(reason) as string }])
      expect(await readAll(connection, name)).toEqual([{ v: null }, { v: null }])
    }
  })

test('a field without a column is rejected by its name', async () => {
  const { connection } = await openBoth()
  for (const sink of sinks)
    expect(
      await put(
        connection,
        writing(table({ a: {} }, undefined, sink)),
        [{ a: 1, b: 2 }, 7 as never, { a: 1, c: undefined }],
        sink,
      ),
    ).toEqual([
      { index: 0, reason: 'b: there is no such column' },
      { index: 1, reason: 'not an object' },
    ])
})

test('the schema and the key that were written are discovered again, and fit the same columns', async () => {
  const { connection } = await openBoth()
  const described = {
    ...table(
      { id: { type: 'string', description: 'who' }, kind: jsonSchema(z.enum(['a', 'b']).nullable()), more: {} },
      ['id'],
    ),
  }
  for (const sink of sinks) await put(connection, writing({ ...described, name: sink }), [{ id: 'x' }], sink)
  const found = await discoverAll(connection)
  expect(found.map(({ name }) => name)).toEqual(['tables', 'csv', 'ndjson', 'parquet'])
  for (const one of found) {
    expect(one.primaryKey).toEqual(['id'])
    expect(one.schema['properties']).toMatchObject({
      id: { type: ['string', 'null'], description: 'who' },
      kind: { anyOf: [{ enum: ['a', 'b'] }, { type: 'null' }] },
      more: {},
    })
    // A copy of the copy is the same.
    await put(connection, writing({ ...one, name: `${one.name}2` }), await readAll(connection, one.name))
    expect(await readAll(connection, `${one.name}2`)).toEqual([{ id: 'x', kind: null, more: null }])
  }
})
