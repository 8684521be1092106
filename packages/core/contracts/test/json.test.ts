import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromJson, toJson } from '../src/json.ts'

// One-character keys that need an escape, often, which is where V8 13.6 goes wrong.
const key = fc.oneof(
  fc.constantFrom(
    '\0',
    '\n',
    '"',
    '\\',
    '/',
    '\u2028',
    'é',
    'a',
    '',
    '"\\',
    '\\"',
    ',"\\',
    '\ue000',
    '\n\ue000',
    '\n\ue001',
  ),
  fc.string({ maxLength: 3 }),
  fc.constantFrom(':\n', 'a\nb', 'a\\n', 'a\\', '\n\\', ':'),
)
const escaped = (text: string, all: boolean): string =>
  all
    ? `"${[...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`
    : JSON.stringify(text)
interface Written {
  readonly text: string
  readonly pairs: readonly (readonly [string, string])[]
}
const written: fc.Arbitrary<Written> = fc
  .uniqueArray(fc.tuple(key, key, fc.boolean(), fc.constantFrom('', ' ', '\n')), { selector: ([name]) => name })
  .map((fields) => ({
    text: `{${fields.map(([name, value, all, blank]) => `${escaped(name, all)}${blank}:${blank}${escaped(value, all)}`).join(',')}}`,
    pairs: fields.map(([name, value]) => [name, value]),
  }))

test('keys are read as they are written, also those that JSON.parse of V8 13.6 gets wrong', () => {
  fc.assert(
    fc.property(fc.array(written, { maxLength: 3 }), (objects) => {
      const found = fromJson(`[${objects.map(({ text }) => text).join(',')}]`) as readonly object[]
      // Digits as keys come first in JavaScript, whatever the text says.
      const sorted = (pairs: readonly (readonly [string, unknown])[]) =>
        pairs.map((pair) => JSON.stringify(pair)).toSorted()
      expect(found.map((one) => sorted(Object.entries(one)))).toEqual(objects.map(({ pairs }) => sorted(pairs)))
    }),
    { numRuns: 1000, seed: 5 },
  )
})

test('what toJson writes comes back as it was', () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
      fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(-0)),
      fc.string(),
      fc.constantFrom(null, true, false),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  })).value
  // Integers that a number holds come back as numbers.
  const small = (one: unknown): unknown =>
    typeof one === 'bigint' && Number.isSafeInteger(Number(one))
      ? Number(one)
      : Array.isArray(one)
        ? one.map(small)
        : typeof one === 'object' && one !== null
          ? Object.fromEntries(Object.entries(one).map(([name, field]) => [name, small(field)]))
          : typeof one === 'number' && Number.isInteger(one) && !Number.isSafeInteger(one) && !String(one).includes('e')
            ? BigInt(String(one))
            : one
  fc.assert(
    fc.property(value, (one) => {
      expect(fromJson(toJson(one))).toEqual(small(one))
    }),
    { numRuns: 1000 },
  )
})

test('the sign of zero is kept wherever a number may stand', () => {
  expect(toJson(-0)).toBe('-0')
  expect(toJson({ a: -0, b: [0, -0, { c: -0 }], d: '-0' })).toBe('{"a":-0,"b":[0,-0,{"c":-0}],"d":"-0"}')
  expect(Object.is(fromJson(toJson(-0)), -0)).toBe(true)
  expect(fromJson(toJson([-0, 2n ** 60n]))).toEqual([-0, 2n ** 60n])
})
