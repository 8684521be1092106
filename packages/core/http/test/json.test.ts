import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toJson } from '@ecokit/contracts'
import { readJson } from '../src/json.ts'

describe('integers', () => {
  test('beyond 2^53 arrive as bigint, exactly, wherever a number may stand', () => {
    expect(readJson('9007199254740993')).toBe(9007199254740993n)
    expect(readJson(' -9007199254740993 ')).toBe(-9007199254740993n)
    expect(readJson('[9223372036854775807,-9223372036854775808]')).toEqual([9223372036854775807n, -(2n ** 63n)])
    expect(readJson('{"a":{"b":[1, 18446744073709551615]}}')).toEqual({ a: { b: [1, 18446744073709551615n] } })
    expect(readJson('{"a"\n:\t12345678901234567890123}')).toEqual({ a: 12345678901234567890123n })
    expect(readJson(`[${'9'.repeat(400)}]`)).toEqual([BigInt('9'.repeat(400))])
  })
  test('up to 2^53 - 1 stay numbers, and so do fractions, exponents and digits in strings', () => {
    const same = '{"a":9007199254740991,"b":0.8333333333333334,"c":1e300,"d":"9007199254740993","e":-0,"f":1.5e-7}'
    expect(readJson(same)).toEqual(JSON.parse(same))
    expect(Object.is((readJson('[-0, 1234567890123456789]') as number[])[0], -0)).toBe(true)
    expect(readJson('[1e400, 1234567890123456789]')).toEqual([Infinity, 1234567890123456789n])
    const mixed = '["1,12345678901234567", 12345678901234567.5]'
    expect(readJson(mixed)).toEqual(JSON.parse(mixed))
  })
  test('a number of more digits than any value has is not turned into one', () => {
    expect(readJson(`[${'9'.repeat(1001)}]`)).toEqual([Infinity])
  })
})

describe('NaN and the infinities', () => {
  test('are read where Python writes them as bare words', () => {
    expect(readJson('{"a": NaN, "b": [Infinity, -Infinity,NaN], "c":{"d":NaN}}')).toEqual({
      a: NaN,
      b: [Infinity, -Infinity, NaN],
      c: { d: NaN },
    })
    expect(readJson('NaN')).toBe(NaN)
    expect(readJson('-Infinity\n')).toBe(-Infinity)
  })
  test('are left alone inside of strings and keys, however these are escaped', () => {
    const quoted = String.raw`{"NaN": "NaN, -Infinity", "a\"": "\"NaN\"", "b\\": [NaN], "c": "\\\\", "d": Infinity, "e": "\\\" NaN,"}`
    expect(readJson(quoted)).toEqual({
      NaN: 'NaN, -Infinity',
      'a"': '"NaN"',
      'b\\': [NaN],
      c: '\\\\',
      d: Infinity,
      e: '\\" NaN,',
    })
  })
  test('stand beside integers beyond 2^53 and beside zeros of any spelling', () => {
    expect(readJson('[NaN, 9007199254740993, 0e0, 0e00, 0e000, 0]')).toEqual([NaN, 9007199254740993n, 0, 0, 0, 0])
  })
  test.for([
    '-NaN',
    '[1NaN]',
    '[NaN1]',
    '[1.NaN]',
    '[NaNNaN]',
    '{NaN:1}',
    '[- Infinity]',
    '[+Infinity]',
    '[NaN',
    '["NaN]',
    '["NaN\\',
    '[nan]',
    '[undefined]',
  ])('do not make JSON of %s', (broken) => {
    expect(() => readJson(broken)).toThrow(SyntaxError)
  })
  test('cost linear time on a text made to be slow', () => {
    const hostile = `[NaN,"${'\\"'.repeat(2_000_000)}`
    expect(() => readJson(hostile)).toThrow(SyntaxError)
  })
})

test('an empty body and one of white space read as an empty object; a byte order mark is skipped', () => {
  expect(readJson('')).toEqual({})
  expect(readJson(' \r\n\t')).toEqual({})
  expect(readJson('\ufeff{"a":1}')).toEqual({ a: 1 })
  expect(readJson('\ufeff')).toEqual({})
})
test('a key named __proto__ is a key like any other', () => {
  const value = readJson('{"__proto__":{"polluted":12345678901234567890}}') as object
  expect(Object.keys(value)).toEqual(['__proto__'])
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  expect('polluted' in {}).toBe(false)
})
test('nesting beyond the stack is refused or read, never worse', () => {
  const deep = `${'['.repeat(100_000)}12345678901234567890${']'.repeat(100_000)}`
  expect(() => readJson(deep)).toThrow(RangeError)
})

const anything = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('"', '\\', 'NaN', 'Infinity', '-', ',', ':', '[', '1234567890123456', ' ') }),
    fc.oneof(fc.double(), fc.constant(-0)),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n }),
    fc.bigInt({ min: -(2n ** 80n), max: -(2n ** 53n) }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { maxKeys: 5 }),
  ),
})).value

/** As Python's json module writes it: bare words for what JSON cannot say. */
const python = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, field]) => `${JSON.stringify(key)}: ${python(field)}`)
      .join(', ')}}`
  if (Object.is(value, -0)) return '-0.0'
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}
/** A double that is whole and beyond 2^53 is written as digits only, so it comes back as the bigint of the same value. */
const whole = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(whole)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, whole(field)]))
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return value
  return /^-?\d+$/.test(String(value)) ? BigInt(String(value)) : value
}

test('what is written comes back, bigints, NaN and the infinities included', () => {
  fc.assert(
    fc.property(anything, (value) => {
      expect(readJson(python(value))).toEqual(whole(value))
    }),
    { numRuns: 2000 },
  )
})
test('what toJson writes comes back', () => {
  const finite = anything.filter((value) => !/NaN|Infinity/.test(python(value).replace(/"(?:[^"\\]|\\.)*"/g, '')))
  fc.assert(
    fc.property(finite, (value) => {
      expect(readJson(toJson(value))).toEqual(whole(value))
    }),
    { numRuns: 1000 },
  )
})
