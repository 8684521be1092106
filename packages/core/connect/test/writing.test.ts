import fc from 'fast-check'
import { double, int64, jsonSchema } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  columnTypes,
  fieldsOf,
  holdsDecimals,
  jsonText,
  linesOf,
  oneByOne,
  orNull,
  parseLine,
  plainDecimals,
  plainZeros,
  readJson,
  refusal,
  sortDeletes,
} from '../src/writing.ts'

const about = { partner: 'lake', table: 't' }

test('a text that looks like a number that JSON does not have stays a text, whatever else its schema takes', () => {
  const union = jsonSchema(z.record(z.string(), z.union([z.string(), z.number()])))
  const value = { a: 'NaN', b: '-Infinity', c: 1 }
  expect(readJson(jsonText(value, union), union)).toEqual(value)
  const oneOf = { properties: { v: { oneOf: [{ type: 'number' }, { enum: ['NaN', 'x'] }] } } }
  expect(readJson(jsonText({ v: 'NaN' }, oneOf), oneOf)).toEqual({ v: 'NaN' })
  // Where a text could be meant, the number is refused.
  for (const schema of [union, oneOf]) {
    let reason: string | undefined
    try {
      jsonText({ a: NaN, v: NaN }, schema)
    } catch (thrown) {
      reason = refusal(thrown)
    }
    expect(reason).toMatch(/NaN has no form in JSON/)
  }
  const numbers = jsonSchema(z.record(z.string(), double().nullable()))
  expect(readJson(jsonText({ a: NaN, b: -0, c: 1e22, d: null }, numbers), numbers)).toEqual({
    a: NaN,
    b: -0,
    c: 1e22,
    d: null,
  })
})

test('any JSON value comes back, with every digit', () => {
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constant(null),
      fc.boolean(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string(),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('__proto__', '\n', '"', '\\')), tie('value'), {
        maxKeys: 3,
        noNullPrototype: true,
      }),
    ),
  })).value
  fc.assert(
    fc.property(value, (one) => {
      expect(readJson(jsonText(one, {}), {})).toStrictEqual(one)
      expect(parseLine(Buffer.from(jsonText(one, undefined)))).toStrictEqual(one)
    }),
    { numRuns: 300 },
  )
})

type Type = { readonly kind: 'boolean' | 'bigint' | 'double' | 'text' } | { readonly kind: 'json'; schema: unknown }
const typeOf = columnTypes<Type>({
  sql: ({ kind }) => kind,
  anyText: { kind: 'text' },
  texts: ['text'],
  text: () => ({ kind: 'text' }),
  list: () => undefined,
})
test('a column of several kinds of objects is read by the schema of all of them', () => {
  const field = jsonSchema(z.union([z.object({ v: z.number() }), z.object({ v: z.string() })]))
  const type = typeOf(field, {})
  expect(type.kind).toBe('json')
  const schema = type.kind === 'json' ? type.schema : undefined
  expect(readJson(jsonText({ v: 'NaN' }, schema), schema)).toEqual({ v: 'NaN' })
  expect(typeOf({ type: ['integer', 'number', 'null'] }, {})).toEqual({ kind: 'double' })
  expect(typeOf({ $ref: '#/$defs/a' }, { $defs: { a: { type: 'string' } } })).toEqual({ kind: 'text' })
  expect(typeOf({ enum: ['a', null] }, {})).toEqual({ kind: 'text' })
})

test('names that no store can hold are refused by field', () => {
  const fault = (properties: Record<string, object>, name = 't', primaryKey: readonly string[] = []) => {
    try {
      fieldsOf({ name, schema: { type: 'object', properties }, primaryKey }, 'lake', (one) =>
        one === 'odd' ? 'odd' : undefined,
      )
      return undefined
    } catch (thrown) {
      return (thrown as { details: { field: string } }).details.field
    }
  }
  expect(fault({ a: {} })).toBeUndefined()
  expect(fault({})).toBe('table.schema')
  expect(fault({ odd: {} })).toBe('table.schema.properties.odd')
  expect(fault({ '': {} })).toBe('table.schema.properties.')
  expect(fault({ _Ecokit_x: {} })).toBe('table.schema.properties._Ecokit_x')
  expect(fault({ a: {} }, 'a\0')).toBe('table.name')
  expect(fault({ a: {} }, 't', ['b'])).toBe('table.primaryKey')
  // A key that every object has by its nature is no property.
  expect(fault({ a: {} }, 't', ['constructor'])).toBe('table.primaryKey')
})

test('lines, deletes, null in schemas and work in turn', async () => {
  expect([...linesOf(Buffer.from('a\r\n\n\r\nb'))].map(String)).toEqual(['a', 'b'])
  expect(sortDeletes([{ a: 1, x: 2 }, {}], ['a', 'constructor'], (record) => JSON.stringify(record), about)).toEqual([
    '{"a":1}',
    '{}',
  ])
  expect(() => sortDeletes([{}], [], String, about)).toThrow('no primary key')
  expect(orNull({ enum: ['a'] })).toEqual({ anyOf: [{ enum: ['a'] }, { type: 'null' }] })
  expect(orNull({ type: ['string', 'null'] })).toEqual({ type: ['string', 'null'] })
  const order: number[] = []
  const inTurn = oneByOne()
  const first = inTurn(() =>
    Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => void order.push(1)),
  )
  const failing = inTurn(() => Promise.reject(new Error('no')))
  const last = inTurn(async () => Promise.resolve(void order.push(2)))
  await expect(failing).rejects.toThrow('no')
  await Promise.all([first, last])
  expect(order).toEqual([1, 2])
})

test('-0 keeps its sign among numbers and is 0 among whole numbers, wherever these stand', () => {
  const schema = jsonSchema(
    z.object({
      n: z.number(),
      i: z.int().nullable(),
      big: int64().optional(),
      either: z.union([z.int(), z.number()]),
      deep: z.array(z.object({ at: z.int(), x: z.number() })),
      map: z.record(z.string(), z.int()),
      free: z.unknown(),
    }),
  )
  const value = { n: -0, i: -0, big: -0, either: -0, deep: [{ at: -0, x: -0 }], map: { a: -0 }, free: [-0], more: -0 }
  const wanted = { n: -0, i: 0, big: 0, either: -0, deep: [{ at: 0, x: -0 }], map: { a: 0 }, free: [-0], more: -0 }
  expect(plainZeros(value, schema)).toEqual(wanted)
  expect(readJson(jsonText(value, schema), schema)).toEqual(wanted)
  expect(jsonText({ n: -0, i: -0 }, schema)).toBe('{"n":-0.0,"i":0}')
})

test('a decimal in JSON is a text, whether it came as one or as a number; a double comes back as one however many digits it was sent with', () => {
  const money = () => z.string().meta({ format: 'decimal', precision: 20, scale: 4 })
  const schema = jsonSchema(
    z.object({ d: money().nullable(), list: z.array(money()), map: z.record(z.string(), money()), x: z.number() }),
  )
  const value = { d: 1.5, list: ['1.50', 1e-4], map: { a: 2n ** 60n, b: '7' }, x: 1.5 }
  const wanted = { d: '1.5', list: ['1.50', '0.0001'], map: { a: '1152921504606846976', b: '7' }, x: 1.5 }
  expect(readJson(jsonText(value, schema), schema)).toEqual(wanted)
  expect(plainDecimals(value, schema)).toEqual(wanted)
  expect(() => jsonText({ d: 0.1 + 0.2 }, schema)).toThrow()
  expect([schema, jsonSchema(z.object({ x: z.number(), s: z.string() })), {}, true].map(holdsDecimals)).toEqual([
    true,
    false,
    false,
    false,
  ])
  // As a proven line may hold it.
  expect(readJson('{"x":-26779092579099430}', schema)).toEqual({ x: -26779092579099430 })
  expect(jsonText({ x: 2n ** 53n + 1n, n: 2n ** 53n + 1n }, schema, { json: true })).toBe(
    '{"x":9007199254740992.0,"n":9007199254740993}',
  )
})
