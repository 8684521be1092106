import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import { double, int64, jsonSchema } from '@ecokit/contracts'
import type { AnyRecord, Batch, JsonSchema } from '@ecokit/contracts'
import { requirePeer } from '@ecokit/peers/vitest'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { discoverAll, endServer, open, openWriter, put, readAll, records, server, table, writing } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)

const text = fc
  .string({ unit: 'binary' })
  .filter((value) => (value as unknown as { isWellFormed(): boolean }).isWellFormed() && !value.includes('\0'))
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

/** How a value comes back: a bigint within 2^53 as a number; inside of jsonb -0 as 0. */
const seen = (value: unknown, inJson = false): unknown => {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (inJson && Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map((item) => seen(item, inJson))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, seen(field, inJson)]))
  return value
}
interface Kind {
  readonly schema: JsonSchema
  readonly values: fc.Arbitrary<unknown>
  readonly inJson?: true
}
const kinds: Readonly<Record<string, Kind>> = {
  boolean: { schema: { type: 'boolean' }, values: fc.boolean() },
  int64: { schema: { type: 'integer', format: 'int64' }, values: whole },
  double: { schema: jsonSchema(double()), values: real },
  text: { schema: jsonSchema(z.string()), values: text },
  'ä"\\': { schema: jsonSchema(z.string()), values: text },
  date: { schema: jsonSchema(z.iso.date()), values: day },
  time: { schema: jsonSchema(z.iso.datetime()), values: zoned },
  localTime: { schema: { type: 'string', format: 'local-date-time' }, values: local },
  decimal: { schema: { type: 'string', format: 'decimal', precision: 18, scale: 4 }, values: decimal },
  anyDecimal: {
    schema: { type: 'string', format: 'decimal' },
    values: fc.oneof(
      decimal,
      fc.constantFrom('NaN', 'Infinity', '1.50', '0.000', '12345678901234567890123456789.000000000000000000001'),
    ),
  },
  bytes: {
    schema: { type: 'string', contentEncoding: 'base64' },
    values: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
  },
  numbers: {
    schema: jsonSchema(z.record(z.string(), double())),
    values: fc.dictionary(key, real, { noNullPrototype: true }),
    inJson: true,
  },
  texts: {
    schema: jsonSchema(z.record(z.string(), z.string())),
    values: fc.dictionary(key, text, { noNullPrototype: true }),
  },
  integers: { schema: jsonSchema(z.array(int64())), values: fc.array(whole) },
  reals: { schema: jsonSchema(z.array(double().nullable())), values: fc.array(fc.option(real)) },
  words: { schema: jsonSchema(z.array(z.string())), values: fc.array(text) },
  truths: { schema: jsonSchema(z.array(z.boolean())), values: fc.array(fc.boolean()) },
  times: { schema: jsonSchema(z.array(z.iso.datetime())), values: fc.array(zoned) },
  anything: { schema: {}, values: json.filter((value) => value !== null), inJson: true },
  parts: {
    schema: jsonSchema(z.array(z.object({ name: z.string(), value: double(), step: int64() }))),
    values: fc.array(fc.record({ name: text, value: real, step: whole }, { noNullPrototype: true })),
    inJson: true,
  },
}
const names = Object.keys(kinds)
const properties = Object.fromEntries(names.map((name) => [name, kinds[name]?.schema]))
const record = fc.record(
  Object.fromEntries(names.map((name) => [name, fc.option(kinds[name]?.values ?? fc.constant(null), { freq: 8 })])),
  { noNullPrototype: true },
)
const back = (one: AnyRecord): AnyRecord =>
  Object.fromEntries(names.map((name) => [name, seen(one[name], kinds[name]?.inJson)]))
const raw = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text)
/** A record as JSON: every digit of integers, the sign of -0, and NaN and the infinities as texts. */
const lineOf = (row: AnyRecord): string =>
  JSON.stringify(row, (_key, value: unknown) =>
    typeof value === 'bigint'
      ? raw(String(value))
      : Object.is(value, -0)
        ? raw('-0.0')
        : typeof value !== 'number'
          ? value
          : !Number.isFinite(value)
            ? String(value)
            : Number.isInteger(value) && !Number.isSafeInteger(value)
              ? raw(`${BigInt(value)}.0`)
              : value,
  )
/** The same JSON with escapes that nobody needs, as other writers of JSON make them. */
const escaped = (line: string): string =>
  line
    .replace(/[\u007f-\uffff]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('/', '\\/')
const proven = (lines: readonly string[]): Batch<AnyRecord> => ({
  encoding: 'ndjson',
  bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')),
  count: lines.length,
  proven: true,
})
/** More with `pnpm prove postgres`. */
const runs = Number(process.env['ECOKIT_POSTGRES_ROUNDS'] ?? 4)

peer.describe('values', () => {
  test(
    'every kind of value comes back as it was, on both roads, appended and merged',
    { timeout: 60_000 + runs * 30_000 },
    async () => {
      const connection = await open()
      await fc.assert(
        fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 25 }), fc.boolean(), async (rows, merge) => {
          const numbered = rows.map((row, id) => ({ id, ...row }))
          const lines = numbered.map(lineOf)
          const batches = [undefined, proven(lines), proven(lines.map(escaped))]
          for (const batch of batches) {
            const t = table({ id: { type: 'integer' }, ...properties }, ['id'])
            const options = writing(t, { disposition: merge ? 'merge' : 'append' })
            expect(await put(connection, options, numbered, batch)).toEqual([])
            // Not toStrictEqual: it takes a field named constructor for the class.
            deepStrictEqual(
              await readAll(connection, t.name),
              rows.map((row, id) => ({ id, ...back(row) })),
            )
            await (await server()).sql(`DROP TABLE ${t.name}`)
          }
        }),
        { numRuns: runs, seed: 20_261_122 },
      )
    },
  )

  test('proven lines with missing fields, odd numbers and what PostgreSQL cannot hold take the right road', async () => {
    const connection = await open()
    const t = table({
      a: { type: 'integer' },
      b: { type: 'string' },
      c: {},
      d: { type: 'string', format: 'date-time' },
    })
    const lines = [
      '{"a":1,"d":"2024-01-01T00:00:00+23:59"}',
      '{"b":"x"}',
      '{}',
      '{"a":1e3,"c":{"x":-0,"y":1e21,"z":[1E-7]}}',
      '{"b":"\\u0000"}',
      '{"c":{"k":"\\u0000"}}',
      '{"c":"\\ud83d\\ude00","b":"late"}',
      '{"a":9223372036854775808}',
      '{"d":"0000-01-01T00:00:00Z"}',
      '{"a":2,"b":"\\u005c\\u000a\\u0009","c":null,"d":"9999-12-31T23:59:59.999999Z"}',
      '{"c":{"a":"\\\\N","b":["\\""]}}',
    ]
    const expected = [{ index: 4 }, { index: 5 }, { index: 7 }]
    expect(await put(connection, writing(t), [], proven(lines))).toMatchObject(expected)
    const rows = await readAll(connection, t.name)
    const other = table({
      a: { type: 'integer' },
      b: { type: 'string' },
      c: {},
      d: { type: 'string', format: 'date-time' },
    })
    expect(await put(connection, writing(other), [], { ...proven(lines), proven: false } as never)).toMatchObject(
      expected,
    )
    expect(rows).toEqual(await readAll(connection, other.name))
    expect(rows).toEqual([
      { a: 1, b: null, c: null, d: '2023-12-31T00:01:00Z' },
      { a: null, b: 'x', c: null, d: null },
      { a: null, b: null, c: null, d: null },
      { a: 1000, b: null, c: { x: 0, y: 1e21, z: [1e-7] }, d: null },
      { a: null, b: 'late', c: '😀', d: null },
      { a: null, b: null, c: null, d: '0000-01-01T00:00:00Z' },
      { a: 2, b: '\\\n\t', c: null, d: '9999-12-31T23:59:59.999999Z' },
      { a: null, b: null, c: { a: '\\N', b: ['"'] }, d: null },
    ])
  })

  test('lines proved only as texts give the same times as records, or are refused like them', async () => {
    const connection = await open()
    const schema = {
      d: { type: 'string', format: 'date' },
      t: { type: 'string', format: 'date-time' },
      l: { type: 'array', items: { type: 'string', format: 'date-time' } },
    }
    const times = [
      'tomorrow',
      'now',
      'epoch',
      'infinity',
      '2024-01-01T00:00:00.1234567Z',
      '2024-01-01T00:00:00.123456Z',
      '2024-01-01T24:00:00Z',
      '2024-01-01T23:59:60Z',
      '2024-01-01T00:00:00',
      '2024-01-01T00:00:00+05:30',
      '2024-01-01T00:00+05:30',
      '2024-01-01',
      '20240101T000000Z',
      '2024-02-30T00:00:00Z',
    ]
    const dates = ['2024/01/02', 'Jan-8-1999', 'yesterday', '2024-01-02', '2024-1-2', '01-02-2024', '2024-02-30']
    const rows = [...times.flatMap((t) => [{ t }, { l: [t] }]), ...dates.map((d) => ({ d }))]
    const [fast, slow] = [table(schema), table(schema)]
    // Each alone: what the server refuses in a batch sends all of it by way of objects.
    const refusals: unknown[] = []
    for (const [t, batchOf] of [
      [fast, (row: AnyRecord) => proven([JSON.stringify(row)])],
      [slow, (row: AnyRecord) => records(row)],
    ] as const) {
      const writer = await openWriter(connection, writing(t))
      const seenHere: unknown[] = []
      for (const row of rows) seenHere.push(...(await writer.write(batchOf(row))).rejected.map(() => row))
      await writer.commit(undefined)
      refusals.push(seenHere)
    }
    expect(refusals[0]).toEqual(refusals[1])
    expect(refusals[0]).toHaveLength(28)
    expect(await readAll(connection, fast.name)).toEqual(await readAll(connection, slow.name))
  })

  test('decimals that come as numbers keep their digits, or are refused where a number may have lost some', async () => {
    const connection = await open()
    const t = table({ v: { type: 'string', format: 'decimal', precision: 38, scale: 10 } })
    const rows = [0.1, -1.5, 1e-7, 12345678901.2345, 2n ** 60n, 0.1 + 0.2, 1e15, NaN].map((v) => ({ v }))
    expect((await put(connection, writing(t), rows)).map(({ index }) => index)).toEqual([5, 6, 7])
    expect((await readAll(connection, t.name)).map(({ v }) => v)).toEqual(
      ['0.1', '-1.5', '0.0000001', '12345678901.2345', '1152921504606846976'].map((digits) => {
        const [whole, fraction = ''] = digits.split('.')
        return `${whole}.${fraction.padEnd(10, '0')}`
      }),
    )
  })

  test('decimals in jsonb are texts, of proven lines that hold them as numbers too; doubles with many digits are doubles', async () => {
    const connection = await open()
    const schema = {
      costs: {
        type: 'object',
        additionalProperties: { type: 'string', format: 'decimal', precision: 18, scale: 4 },
      },
      reals: { type: 'object', additionalProperties: { type: 'number' } },
      real: { type: 'number' },
    }
    const [fast, slow] = [table(schema), table(schema)]
    const long = '{"x":-26779092579099430,"y":9007199254740993,"z":0.10000000000000000555}'
    const lines = [
      `{"costs":{"a":1.5,"b":"12345678901234.5678"},"reals":${long},"real":9007199254740993}`,
      `{"reals":${long}}`,
    ]
    const reals = { x: -26779092579099430, y: 9007199254740992, z: 0.1 }
    const rows = [
      { costs: { a: '1.5', b: '12345678901234.5678' }, reals, real: 9007199254740992 },
      { costs: null, reals, real: null },
    ]
    expect(await put(connection, writing(fast), [], proven(lines))).toEqual([])
    expect(await put(connection, writing(slow), rows)).toEqual([])
    for (const { name } of [fast, slow]) expect(await readAll(connection, name)).toEqual(rows)
    const [one, other] = await Promise.all(
      [fast, slow].map(async ({ name }) => (await server()).sql(`SELECT costs::text, reals::text FROM ${name}`)),
    )
    expect(one).toEqual(other)
  })

  test('a text that a shorter column would cut off is refused, its blanks too', async () => {
    const connection = await open()
    await (await server()).sql('CREATE TABLE short (v varchar(3)); GRANT SELECT, INSERT ON short TO writer')
    const t = table({ v: { type: 'string' } }, undefined, 'short')
    const rows = [{ v: 'abc' }, { v: 'abc  ' }, { v: 'abcd' }, { v: 'ab ' }, { v: '😀😀😀' }]
    for (const batch of [undefined, proven(rows.map((row) => JSON.stringify(row)))]) {
      const rejected = await put(connection, writing(t), rows, batch)
      expect(rejected.map(({ index }) => index)).toEqual([1, 2])
    }
    expect(await readAll(connection, 'short')).toEqual(
      [0, 1].flatMap(() => [{ v: 'abc' }, { v: 'ab ' }, { v: '😀😀😀' }]),
    )
  })

  const refused: readonly (readonly [string, JsonSchema, unknown, RegExp])[] = [
    ['a text for a number', { type: 'number' }, '1', /^v: a string in a column of numbers$/],
    ['a number for a text', { type: 'string' }, 1, /^v: a number in a column of text$/],
    ['a fraction for an integer', { type: 'integer' }, 1.5, /1\.5/],
    ['an integer beyond 64 bits', { type: 'integer' }, 2n ** 63n, /9223372036854775808 is beyond 64 bits/],
    ['U+0000', { type: 'string' }, 'a\0', /U\+0000/],
    ['U+0000 in JSON', {}, { a: 'x\0' }, /^v: a: .*U\+0000/],
    ['half a surrogate pair', { type: 'string' }, 'a\ud800', /surrogate/],
    ['half a surrogate pair as a key', {}, { '\ud800': 'x' }, /surrogate/],
    ['NaN in JSON without a schema', {}, { a: NaN }, /^v: a: NaN has no form in JSON$/],
    ['a time without a zone', { type: 'string', format: 'date-time' }, '2024-01-01T00:00:00', /has no zone/],
    [
      'a time with nanoseconds',
      { type: 'string', format: 'date-time' },
      '2024-01-01T00:00:00.0000001Z',
      /finer than microseconds/,
    ],
    ['a word for a time', { type: 'string', format: 'date-time' }, 'now', /not a time/],
    ['a leap second', { type: 'string', format: 'date-time' }, '2016-12-31T23:59:60Z', /not a time of the day/],
    [
      'a time before the calendar',
      { type: 'string', format: 'date-time' },
      '-004713-01-01T00:00:00Z',
      /beyond PostgreSQL/,
    ],
    [
      'a time with a zone for one without',
      { type: 'string', format: 'local-date-time' },
      '2024-01-01T00:00:00Z',
      /has a zone/,
    ],
    ['a date as words', { type: 'string', format: 'date' }, 'today', /not a date/],
    [
      'too many decimal places',
      { type: 'string', format: 'decimal', precision: 5, scale: 2 },
      '1.234',
      /more than 2 decimal places/,
    ],
    ['too many digits', { type: 'string', format: 'decimal', precision: 5, scale: 2 }, '1234.5', /more than 5 digits/],
    [
      'an infinity for a decimal with digits',
      { type: 'string', format: 'decimal', precision: 5, scale: 2 },
      'Infinity',
      /not a decimal/,
    ],
    ['what is no base64', { type: 'string', contentEncoding: 'base64' }, 'a', /base64/],
    [
      'a wrong value in a list',
      { type: 'array', items: { type: 'integer' } },
      [1, 'x'],
      /a string in a column of integers/,
    ],
  ]
  for (const [what, field, value, reason] of refused)
    test(`${what} is rejected, and the rest is stored`, async () => {
      const connection = await open()
      const t = table({ v: field })
      const rejected = await put(connection, writing(t), [{}, { v: value }, { v: null }])
      expect(rejected).toEqual([{ index: 1, reason: expect.stringMatching(reason) as string }])
      expect(await readAll(connection, t.name)).toEqual([{ v: null }, { v: null }])
    })

  test('a key that no index holds is rejected in a merge', async () => {
    const connection = await open()
    const t = table({ id: { type: 'string' } }, ['id'])
    const rejected = await put(connection, writing(t, { disposition: 'merge' }), [
      { id: 'ü'.repeat(1301) },
      { id: 'x' },
    ])
    expect(rejected).toEqual([{ index: 0, reason: expect.stringContaining('2602 bytes') as string }])
  })

  test('the schema and the key that were written are discovered again, and fit the same columns', async () => {
    const connection = await open()
    const t = table(
      { id: { type: 'string', description: 'who' }, kind: jsonSchema(z.enum(['a', 'b']).nullable()), more: {} },
      ['id'],
    )
    await put(connection, writing(t), [{ id: 'x' }])
    const found = (await discoverAll(connection)).find(({ name }) => name === t.name)
    expect(found).toMatchObject({
      primaryKey: ['id'],
      schema: {
        properties: {
          id: { type: ['string', 'null'], description: 'who' },
          kind: { anyOf: [{ enum: ['a', 'b'] }, { type: 'null' }] },
          more: {},
        },
      },
    })
    const copy = { ...t, ...found, name: `${t.name}_copy` }
    await put(connection, writing(copy), await readAll(connection, t.name))
    expect(await readAll(connection, copy.name)).toEqual([{ id: 'x', kind: null, more: null }])
  })
})
