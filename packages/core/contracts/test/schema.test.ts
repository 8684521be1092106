import { z } from 'zod'
import { expect, test } from 'vitest'
import fc from 'fast-check'
import { bytes, double, firstIssue, int64, jsonSchema, secret, secretFields, toJson } from '../src/index.ts'

test('int64 keeps every 64-bit integer and refuses what lies beyond', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      expect(int64().parse(value)).toBe(value)
      expect(int64().parse(String(value))).toBe(value)
    }),
  )
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      expect(int64().parse(value)).toBe(BigInt(value))
    }),
  )
  for (const refused of [2n ** 63n, -(2n ** 63n) - 1n, 1.5, 2 ** 53, 'x', '', '1.0', null])
    expect([refused, int64().safeParse(refused).success]).toEqual([refused, false])
})

test('double takes what an IEEE 754 double can be', () => {
  for (const value of [0.1, NaN, Infinity, -Infinity, -0]) expect(double().parse(value)).toBe(value)
  for (const refused of ['1', 1n, null, undefined]) expect(double().safeParse(refused).success).toBe(false)
})

test('bytes takes an array or a stream of bytes and nothing else', () => {
  const stream = new ReadableStream<Uint8Array>()
  const array = new Uint8Array([1])
  expect(bytes().parse(stream)).toBe(stream)
  expect(bytes().parse(array)).toBe(array)
  expect(bytes().safeParse('text').success).toBe(false)
})

test('a JSON Schema carries what columns and forms need', () => {
  const schema = z.strictObject({
    id: int64(),
    count: z.bigint(),
    value: double(),
    file: bytes(),
    token: secret(),
    at: z.date(),
    state: z.enum(['on', 'off']).default('on'),
  })
  expect(jsonSchema(schema, 'input')).toMatchObject({
    type: 'object',
    additionalProperties: false,
    required: ['id', 'count', 'value', 'file', 'token', 'at'],
    properties: {
      id: { type: 'integer', format: 'int64' },
      count: { type: 'integer', format: 'int64' },
      value: { type: 'number', format: 'double' },
      file: { bytes: true },
      token: { type: 'string', secret: true },
      state: { enum: ['on', 'off'], default: 'on' },
    },
  })
  expect(jsonSchema(int64(), 'input')).not.toHaveProperty('anyOf')
})

test('secret fields are found wherever they stand', () => {
  const schema = z.object({
    user: z.string(),
    password: secret(),
    spare: secret().optional(),
    old: secret().nullable(),
    nested: z.object({ key: secret() }),
    several: z.array(z.object({ key: secret() })),
    either: z.union([z.object({ pin: secret() }), z.object({ token: secret(), pin: secret() })]),
  })
  expect(secretFields(schema)).toEqual([
    'password',
    'spare',
    'old',
    'nested.key',
    'several.key',
    'either.pin',
    'either.token',
  ])
  expect(secretFields(z.object({ user: z.string() }))).toEqual([])
})

test('the first issue names the field by its dotted path, an unknown key too', () => {
  const schema = z.strictObject({ server: z.strictObject({ port: z.number() }), list: z.array(z.string()) })
  const refuse = (value: unknown) => firstIssue(schema.safeParse(value).error!, 'config')
  expect(refuse({ server: { port: 'x' }, list: [] })).toEqual({
    field: 'config.server.port',
    message: 'Invalid input: expected number, received string',
  })
  expect(refuse({ server: { port: 1 }, list: ['a', 2] }).field).toBe('config.list.1')
  expect(refuse({ server: { port: 1, prot: 2 }, list: [] }).field).toBe('config.server.prot')
  expect(refuse(undefined).field).toBe('config')
  expect(firstIssue(z.string().safeParse(1).error!).field).toBe('')
})

test('JSON text loses no digit and no number', () => {
  expect(toJson({ id: 2n ** 62n, list: [NaN, Infinity, -Infinity, 1.5] })).toBe(
    '{"id":4611686018427387904,"list":["NaN","Infinity","-Infinity",1.5]}',
  )
  expect(toJson({ a: 1 }, 2)).toBe('{\n  "a": 1\n}')
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(toJson(value)).toBe(JSON.stringify(value))
    }),
  )
})
