import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { double, int64, toJson } from '@ecokit/contracts'
import { readJson } from '@ecokit/http'
import { formOf } from '@ecokit/json-scan'
import type { Form } from '@ecokit/json-scan'
import { handOverCounts, progressOf } from '../../../../tools/proofs/counts.ts'
import { roadOf, valueOf } from '../src/rest/road.ts'
import type { Found, Road } from '../src/rest/road.ts'
import { rowsOf } from './rest-support.ts'

/** A type of field, and texts that such a field is sent with; some fit. */
interface Kind {
  readonly type: () => z.ZodType
  readonly texts: readonly string[]
}
const anyText = [
  'null',
  'true',
  '"x"',
  '0',
  '-0',
  '1.5',
  '[]',
  '{}',
  '[1]',
  '{"a":1}',
  '"',
  'nul',
  '1e999',
  '01',
  '"\\ud800"',
  '',
]
const integers = [
  '0',
  '-1',
  '7',
  '1.0',
  '1e3',
  '1E-2',
  '9007199254740991',
  '9007199254740993',
  '-9223372036854775808',
  '9223372036854775808',
  '2147483648',
  '"5"',
]
const numbers = [
  '0.1',
  '-0.0',
  '1e21',
  '1e-400',
  '12345678901234567890',
  '0.1234567890123456789',
  '1e308',
  '-1e309',
  'NaN',
  'Infinity',
]
const texts = [
  '""',
  '"a"',
  '"ä"',
  '"abcd"',
  '"😀😀"',
  '"\\u0041"',
  '"\\ud83d\\ude00"',
  '"a\\"b"',
  '"\\\\"',
  '"a\tb"',
  '"ab-12"',
  '"\u2028"',
]
const times = [
  '"2026-01-01T00:00:00Z"',
  '"2026-01-01T00:00:00.123456Z"',
  '"2026-01-01T00:00:00.1234567Z"',
  '"2024-02-29T23:59:59+05:30"',
  '"2026-02-29T00:00:00Z"',
  '"2026-01-01T24:00:00Z"',
  '"0000-01-01T00:00:00Z"',
  '"2026-01-01T00:00:00"',
  '"2026-01-01"',
  '"9999-12-31T23:59:59-23:00"',
  '"2026-01-01T00:00:60Z"',
]
const decimal = () => z.string().meta({ format: 'decimal', precision: 20, scale: 15 })
const kinds: readonly Kind[] = [
  { type: () => z.string(), texts },
  { type: () => z.string().min(2).max(3), texts },
  { type: () => z.string().regex(/^[a-z]+-\d+$/), texts },
  { type: () => z.enum(['a', 'abcd', 'ä']), texts },
  { type: () => z.int(), texts: integers },
  { type: () => z.int32(), texts: integers },
  { type: () => int64(), texts: integers },
  { type: () => z.number(), texts: [...integers, ...numbers] },
  { type: () => z.number().min(-1).lt(1000), texts: [...integers, ...numbers] },
  {
    type: () => decimal(),
    texts: ['1.5', '"1.50"', '0.0000001', '1e3', '-0', '12345.678901234567891', '"00.1"', '"1e3"', '99999999', '1e-16'],
  },
  { type: () => double(), texts: [...integers, ...numbers] },
  { type: () => z.iso.date(), texts: ['"2026-01-01"', '"2024-02-29"', '"2026-02-29"', '"2026-1-1"', ...times] },
  { type: () => z.literal(['a', 'ä']), texts },
  { type: () => z.uuid(), texts: ['"f47ac10b-58cc-4372-a567-0e02b2c3d479"', '"F47AC10B-58CC-4372-A567-0E02B2C3D479"'] },
  {
    type: () => z.array(z.object({ n: int64(), d: decimal() })).min(1),
    texts: [
      '[{"n":9007199254740993,"d":1.5}]',
      '[{"n":1,"d":"0.10"}]',
      '[]',
      '[{"n":1,"d":1e-17}]',
      '[{"d":1,"n":1e2}]',
    ],
  },
  {
    type: () => z.record(z.string(), decimal().nullable()),
    texts: ['{}', '{"x":0.10}', '{"x":null,"y":12345.678901234567891}', '{"x":"1e3"}', '{"x":1,"x":1}'],
  },
  { type: () => z.boolean(), texts: ['true', 'false', 'True', '0'] },
  { type: () => z.iso.datetime(), texts: times },
  { type: () => z.iso.datetime({ offset: true }), texts: times },
  {
    type: () => z.array(z.int()).max(2),
    texts: ['[]', '[1]', '[1,2]', '[1,2,3]', '[ 1 , 2 ]', '[1.0]', '[1,]', '["1"]', '[null]'],
  },
  {
    type: () => z.object({ a: z.int(), b: z.number().optional() }),
    texts: ['{"a":1}', '{"b":12345678901234567890,"a":1}', '{"a":1,"a":2}', '{"a":null}', '{}', '{"a":1,"c":[]}'],
  },
  { type: () => z.strictObject({ a: z.int() }), texts: ['{"a":1}', '{"a":1,"c":1}', '{ "a" : 1 }'] },
  {
    type: () => z.record(z.string(), z.number()),
    texts: ['{}', '{"x":1}', '{"x":1,"x":2}', '{"x":"1"}', '{"y":1e400}', '{"z":98765432109876543210}'],
  },
  { type: () => z.unknown(), texts: [...integers, ...numbers, '{"a":{"b":[1,{}]}}', '{"q":1,"q":1}'] },
]
const names = ['id', 'a"b', 'ä', 'x.y', '__proto'] as const
type Change = (type: z.ZodType) => z.ZodType
const changes: readonly Change[] = [
  (type) => type,
  (type) => type.nullable(),
  (type) => type.optional(),
  (type) => type.nullish(),
]

const field = fc.record({ kind: fc.constantFrom(...kinds), change: fc.constantFrom(...changes) })
const cases = fc
  .record({
    fields: fc.array(field, { minLength: 1, maxLength: names.length }),
    strict: fc.boolean(),
    code: fc.constantFrom('record', 'fields'),
  })
  .chain(({ fields, strict, code }) => {
    const blank = fc.constantFrom('', '', '', ' ', '\n', '\t ')
    const member = (name: string, kind: Kind) =>
      fc
        .tuple(
          fc.oneof(
            { weight: 6, arbitrary: fc.constantFrom(...kind.texts.slice(0, 2)) },
            { weight: 3, arbitrary: fc.constantFrom(...kind.texts) },
            { weight: 1, arbitrary: fc.constantFrom(...anyText) },
          ),
          fc.nat(20),
          blank,
        )
        .map(([value, luck, space]) =>
          luck === 0
            ? []
            : luck === 1
              ? [`${JSON.stringify(name)}:${value}`, `${JSON.stringify(name)}:${value}`]
              : [`${JSON.stringify(name)}${space}:${space}${value}`],
        )
    const members = fc.tuple(...fields.map(({ kind }, index) => member(names[index] ?? '', kind)))
    const record = fc.tuple(members, fc.nat(12), blank).chain(([parts, luck, space]) => {
      const more = luck === 0 ? ['"unknown":[{"deep":1}]'] : luck === 1 ? ['"unknown":nonsense'] : []
      const all = [...parts.flat(), ...more]
      return (luck === 2 ? fc.shuffledSubarray(all, { minLength: all.length }) : fc.constant(all)).map(
        (given) => `${space}{${given.join(`,${space}`)}}${space}`,
      )
    })
    const nasty = fc.oneof(
      { weight: 12, arbitrary: record },
      { weight: 1, arbitrary: fc.constantFrom('7', 'null', '[]', '"x"', 'nonsense', '{"id":1', '{}}') },
    )
    const shape = (change: Change) =>
      Object.fromEntries(fields.map((one, index) => [names[index] ?? '', one.change(change(one.kind.type()))]))
    const make = strict ? z.strictObject : z.object
    const coded =
      code === 'record'
        ? make(shape((type) => type)).refine(() => true)
        : make(shape((type) => type.refine(() => true)))
    return fc.record({
      plain: fc.constant(make(shape((type) => type)) as z.ZodType),
      coded: fc.constant(coded as z.ZodType),
      page: fc.tuple(fc.array(nasty, { maxLength: 12 }), fc.nat(30), blank).map(([records, luck, space]) => {
        const list = `[${space}${records.join(',')}]`
        const before = luck === 0 ? '{"n":1,' : '{'
        return `${before}"list":${list}${luck === 1 ? ',"list":[]' : ''}${luck === 2 ? ' x' : ''}}${space}`
      }),
    })
  })

const outcome = (road: Road, page: string, form: Form) => {
  let found: Found
  try {
    found = road(Buffer.from(page))
  } catch (error) {
    return { error: String(error) }
  }
  const { rows, refused, records, envelope } = found
  return {
    rows: [...rows.batches({})].flatMap(rowsOf).map((row) => toJson(valueOf(form, row))),
    refused,
    records,
    envelope,
  }
}

const runs = Number(process.env['ECOKIT_ROADS'] ?? 1_000)
test(
  'bytes and objects give the same rows, the same refusals and the same errors',
  { timeout: 60_000 + runs * 30 },
  () => {
    let taken = 0
    let refused = 0
    let broken = 0
    const progress = progressOf('pages', runs)
    fc.assert(
      fc.property(cases, ({ plain, coded, page }) => {
        progress()
        const base = { partner: 'p', rest: { path: '', records: 'list' }, cursor: undefined, hidden: false }
        const { form } = formOf(plain) as { form: Form }
        const bytes = outcome(roadOf({ ...base, schema: plain }), page, form)
        const objects = outcome(roadOf({ ...base, schema: coded }), page, form)
        expect(objects).toEqual(bytes)
        if ('error' in bytes) broken += 1
        else {
          taken += bytes.rows.length
          refused += bytes.refused.length
        }
      }),
      { numRuns: runs, seed: Number(process.env['ECOKIT_SEED'] ?? 11) },
    )
    handOverCounts({ rows: taken, refused, broken })
    // Enough of everything, or the property says nothing.
    expect(taken).toBeGreaterThan(500)
    expect(refused).toBeGreaterThan(500)
    expect(broken).toBeGreaterThan(20)
  },
)

test('a refinement sees only what the gate let through, and is the last word', () => {
  const schema = z.object({ at: z.iso.datetime().refine((text) => text.startsWith('2026')), n: z.int() })
  const road = roadOf({ partner: 'p', rest: { path: '' }, schema, cursor: 'at', hidden: false })
  const { rows, refused } = road(
    Buffer.from(
      '[{"at":"2026-01-01T00:00:00Z","n":1},{"at":"2025-01-01T00:00:00Z","n":2},{"at":"2026-01-01T24:00:00Z","n":3}]',
    ),
  )
  expect([...rows.batches({})].flatMap(rowsOf)).toEqual([{ at: '2026-01-01T00:00:00Z', n: 1 }])
  expect(refused.map(({ field }) => field)).toEqual(['at', 'at'])
  expect(readJson(String(refused[0]?.record))).toMatchObject({ n: 2 })
})

test('no key of a map is left out, `__proto__` neither', () => {
  const map = z.record(z.string(), z.object({ n: z.int() }))
  const schema = z.object({ map, list: z.array(map) })
  const coded = schema.refine(() => true)
  const about = { partner: 'p', rest: { path: '' }, cursor: undefined, hidden: false }
  const page = Buffer.from(
    '[{"map":{"__proto__":{"n":1},"a":{"n":2}},"list":[{"\\u005f_proto__":{"n":3}}]},{"map":{"__proto__":{"n":"x"}},"list":[]}]',
  )
  for (const type of [schema, coded]) {
    const { rows, refused } = roadOf({ ...about, schema: type })(page)
    expect([...rows.batches({})].flatMap(rowsOf).map((row) => toJson(row))).toEqual([
      '{"map":{"__proto__":{"n":1},"a":{"n":2}},"list":[{"__proto__":{"n":3}}]}',
    ])
    expect(refused).toMatchObject([{ field: 'map.__proto__.n', reason: 'expected a whole number, got a text' }])
  }
})

test('a field that every object inherits is missing where the record does not have it', () => {
  const schema = z
    .object({ k: z.int(), constructor: z.string().optional(), deep: z.object({ toString: z.string().optional() }) })
    .refine(() => true)
  const road = roadOf({ partner: 'p', rest: { path: '' }, schema, cursor: undefined, hidden: false })
  const { rows, refused } = road(Buffer.from('[{"k":1,"deep":{}},{"k":2,"constructor":"x","deep":{"toString":"y"}}]'))
  expect(refused).toEqual([])
  expect([...rows.batches({})].flatMap(rowsOf).map((row) => toJson(row))).toEqual([
    '{"k":1,"deep":{}}',
    '{"k":2,"constructor":"x","deep":{"toString":"y"}}',
  ])
})
