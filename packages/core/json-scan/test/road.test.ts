import fc from 'fast-check'
import { expect, test } from 'vitest'
import { int64 } from '@ecokit/contracts'
import { z } from 'zod'
import { formOf } from '../src/zod.ts'
import { decide } from '../src/road.ts'
import type { Form } from '../src/form.ts'

const form = (schema: z.ZodType): Form => {
  const found = formOf(schema)
  return 'form' in found ? found.form : expect.unreachable(found.why)
}
const decided = (schema: z.ZodType, text: string | Uint8Array) =>
  decide(form(schema), typeof text === 'string' ? Buffer.from(text) : text)

const Run = z.object({
  id: z.string().min(1),
  seq: int64(),
  at: z.iso.datetime({ offset: true }),
  score: z.number().nullable(),
  status: z.enum(['ok', 'bad']),
  tags: z.record(z.string(), z.string()),
  note: z.string().optional(),
})
const run = { id: 'a', seq: 1, at: '2026-01-02T03:04:05Z', score: 0.5, status: 'ok', tags: { a: 'b' } }

test('a good record is written in the schema’s order, without what the schema does not name', () => {
  expect(decided(Run, JSON.stringify({ extra: [1, { a: 2 }], ...run }))).toEqual({
    row: '{"id":"a","seq":1,"at":"2026-01-02T03:04:05Z","score":0.5,"status":"ok","tags":{"a":"b"}}',
  })
})

test.each([
  ['{', '', 'not JSON'],
  ['{"id":"a",}', '', 'not JSON'],
  [`${'['.repeat(600)}${']'.repeat(600)}`, '', 'nested deeper than 512'],
  [JSON.stringify({ ...run, id: '' }), 'id', 'shorter than 1 characters'],
  [JSON.stringify({ ...run, id: 7 }), 'id', 'expected a text, got a number'],
  [JSON.stringify({ ...run, id: null }), 'id', 'null, which this field does not take'],
  [JSON.stringify({ ...run, seq: 1.5 }), 'seq', 'not a whole number'],
  [JSON.stringify({ ...run, seq: '1' }), 'seq', 'expected a whole number, got a text'],
  [JSON.stringify(run).replace('"seq":1', '"seq":9223372036854775808'), 'seq', 'beyond 64 bits'],
  [JSON.stringify(run).replace('0.5', '1e400'), 'score', 'beyond the largest number'],
  [JSON.stringify(run).replace('"seq":1', '"seq":1,"seq":2'), 'seq', 'stands there twice'],
  [JSON.stringify({ ...run, status: 'odd' }), 'status', 'expected one of: ok, bad'],
  [JSON.stringify({ ...run, at: '2026-02-30T00:00:00Z' }), 'at', 'not a time of the calendar'],
  [JSON.stringify({ ...run, at: '2026-02-03' }), 'at', 'expected a time as RFC 3339 writes it, with a zone'],
  [JSON.stringify({ ...run, tags: { a: 1 } }), 'tags.a', 'expected a text, got a number'],
  [JSON.stringify({ ...run, id: undefined }), 'id', 'missing'],
  [JSON.stringify(run).replace('"a"', '"\\ud800"'), '', 'a lone surrogate'],
  [JSON.stringify({ ...run, note: null }), 'note', 'null, which this field does not take'],
])('%s is refused at %s', (text, field, reason) => {
  expect(decided(Run, text)).toEqual({ field, reason })
})

test('bytes that are not UTF-8 are refused', () => {
  expect(decided(Run, Buffer.from([0x22, 0xff, 0x22]))).toEqual({ field: '', reason: 'not UTF-8' })
})

test.each([
  ['1.0', '1'],
  ['1e3', '1000'],
  ['-0', '0'],
  ['9223372036854775807', '9223372036854775807'],
  ['-9223372036854775808', '-9223372036854775808'],
  ['92233720368547758.07e2', '9223372036854775807'],
])('the integer %s is %s', (given, row) => {
  expect(decided(int64(), given)).toEqual({ row })
})

test('every JSON value of a schema gives what zod gives, where zod is exact', () => {
  const shape = z.object({ a: z.string(), b: z.number(), c: z.boolean().nullable(), d: z.array(z.string()).optional() })
  const arbitrary = fc.record(
    {
      a: fc.oneof(fc.string({ unit: 'binary' }), fc.integer()),
      b: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string()),
      c: fc.oneof(fc.boolean(), fc.constant(null), fc.integer()),
      d: fc.oneof(fc.array(fc.string()), fc.array(fc.integer())),
    },
    { requiredKeys: ['a', 'b'] },
  )
  fc.assert(
    fc.property(arbitrary, (value) => {
      const text = JSON.stringify(value)
      const judged = shape.safeParse(JSON.parse(text))
      const ours = decided(shape, text)
      const read = 'row' in ours ? (JSON.parse(ours.row) as unknown) : undefined
      expect([read !== undefined, read]).toEqual([judged.success, judged.data])
    }),
  )
})

test.each([
  z.string().refine((text) => text !== ''),
  z.string().transform(Number),
  z.union([z.string(), z.number()]),
  z.string().trim(),
  z.looseObject({}),
  z.coerce.number(),
  // What a decimal is asked beside its digits.
  z.string().meta({ format: 'decimal', precision: 10, scale: 2 }).regex(/^1/),
  z.number().min(0).meta({ format: 'decimal', precision: 10, scale: 2 }),
])('a schema with code has no form (%#)', (schema) => {
  expect(formOf(z.object({ field: schema }))).toHaveProperty('why')
})
