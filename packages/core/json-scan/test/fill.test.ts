import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openFiller } from '../src/fill.ts'
import type { Filler } from '../src/fill.ts'
import type { Field, Form, Struct } from '../src/form.ts'
import { daysOf, writeOut } from '../src/numbers.ts'
import { isNumberText, isObjectValue, parseExact } from '../src/parse.ts'
import type { Value } from '../src/parse.ts'
import { openScanner } from '../src/index.ts'

const runs = {
  numRuns: Number(process.env['ECOKIT_FUZZ'] ?? 20_000),
  seed: Number(process.env['ECOKIT_SEED'] ?? 20261122),
}

/** The values of one chunk, each as the bits or the text that it has. */
const valuesOf = (filler: Filler, rows: number): readonly (readonly unknown[])[] => {
  const view = new DataView(filler.buffer)
  const bytes = new Uint8Array(filler.buffer)
  const long = new Map(filler.longTexts().map(({ column, row, bytes: text }) => [`${column} ${row}`, text]))
  return Array.from({ length: rows }, (_, row) =>
    filler.columns.map(({ kind, width, scale, dataAt, validAt, blobAt }, column) => {
      const at = dataAt + row * width
      if (((bytes[validAt + (row >> 3)] ?? 0) & (1 << (row & 7))) === 0) {
        expect(bytes.subarray(at, at + width).every((byte) => byte === 0)).toBe(true)
        expect(filler.hasNulls(column)).toBe(true)
        return null
      }
      switch (kind) {
        case 'struct':
          return 'object'
        case 'integer':
        case 'timestamp':
          return view.getBigInt64(at, true)
        case 'double':
          return view.getBigUint64(at, true)
        case 'boolean':
          return bytes[at] === 1
        case 'decimal': {
          const value =
            width === 2
              ? BigInt(view.getInt16(at, true))
              : width === 4
                ? BigInt(view.getInt32(at, true))
                : width === 8
                  ? view.getBigInt64(at, true)
                  : (view.getBigInt64(at + 8, true) << 64n) | view.getBigUint64(at, true)
          return `${value}e-${scale}`
        }
        case 'text':
        case 'json': {
          const listed = long.get(`${column} ${row}`)
          if (listed !== undefined) return Buffer.from(listed).toString('utf8')
          const length = view.getInt32(at, true)
          if (length <= 12) return Buffer.from(bytes.subarray(at + 4, at + 4 + length)).toString('utf8')
          const from = blobAt + Number(view.getBigInt64(at + 8, true))
          expect(bytes.subarray(at + 4, at + 8)).toEqual(bytes.subarray(from, from + 4))
          expect(from + length).toBeLessThanOrEqual(blobAt + filler.blobLength(column))
          return Buffer.from(bytes.subarray(from, from + length)).toString('utf8')
        }
      }
    }),
  )
}
const filled = (filler: Filler, lines: Uint8Array): readonly (readonly unknown[])[] | 'off' => {
  const all: (readonly unknown[])[] = []
  try {
    filler.load(lines)
    for (let rows = filler.next(); rows > 0; rows = filler.next()) {
      expect(rows).toBeLessThanOrEqual(2048)
      all.push(...valuesOf(filler, rows))
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid_data' })
    return 'off'
  }
  return all
}

const microsOf = (text: string): bigint => {
  const [, whole = '', fraction = '', zone = ''] = /^(.{19})(?:\.(\d+))?(.+)$/.exec(text) ?? []
  return BigInt(Date.parse(whole + zone)) * 1000n + BigInt(fraction.padEnd(6, '0'))
}
/** What a column should hold for a value of the line, by way of the exact parser. */
const expected = (form: Form, value: Value | undefined, raw: string): unknown => {
  if (value === null || value === undefined) return null
  switch (form.kind) {
    case 'integer':
      return isNumberText(value) ? BigInt(value.digits) : expect.unreachable()
    case 'double':
      return new BigUint64Array(
        new Float64Array([isNumberText(value) ? Number(value.digits) : expect.unreachable()]).buffer,
      )[0]
    case 'decimal': {
      const plain = writeOut(isNumberText(value) ? value.digits : (value as string))
      if (typeof plain === 'string') return expect.unreachable()
      const digits = BigInt(plain.whole + plain.fraction.padEnd(form.scale, '0'))
      return `${plain.negative ? -digits : digits}e-${form.scale}`
    }
    case 'timestamp':
      return microsOf(value as string)
    case 'string':
    case 'boolean':
      return value
    default:
      return raw
  }
}
/** The fields of a line as they are written, cut by the exact parser's idea of where each ends. */
const rawFields = (line: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  let depth = 0
  let inText = false
  let start = 1
  for (let index = 0; index < line.length; index++) {
    const code = line[index]
    if (inText) {
      if (code === '\\') index++
      else if (code === '"') inText = false
    } else if (code === '"') inText = true
    else if (code === '{' || code === '[') depth++
    else if (code === '}' || code === ']') depth--
    if (!inText && ((code === ',' && depth === 1) || depth === 0)) {
      const field = line.slice(start, index)
      const colon = field.search(/":/) + 1
      if (field !== '') found.set(JSON.parse(field.slice(0, colon)) as string, field.slice(colon + 1))
      start = index + 1
    }
  }
  return found
}
const objectOf = (form: Struct, value: Value, text: string): readonly unknown[] => {
  const raw = rawFields(text)
  if (!isObjectValue(value)) return expect.unreachable()
  return form.fields.flatMap(({ name, form: of }) => {
    const item = value.entries.get(name)
    if (of.kind !== 'struct') return [expected(of, item, raw.get(name) ?? '')]
    return item === null || item === undefined
      ? [null, ...nothing(of)]
      : ['object', ...objectOf(of, item, raw.get(name) ?? '')]
  })
}
const nothing = ({ fields }: Struct): readonly null[] =>
  fields.flatMap(({ form: of }) => (of.kind === 'struct' ? [null, ...nothing(of)] : [null]))
const oracle = (form: Struct, lines: readonly string[]): readonly (readonly unknown[])[] =>
  lines.map((line) => objectOf(form, parseExact(line), line))

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '\0', 'x'.repeat(12), 'x'.repeat(13), '"\\/\b\f\n\r\t', '\u2028😀ä'.repeat(9), '\ud83d\ude00'),
)
const times = fc
  .tuple(
    fc.integer({ min: 1, max: 9998 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 31 }),
    fc.integer({ min: 0, max: 86_399 }),
    fc.oneof(fc.constant(''), fc.stringMatching(/^\.\d{1,6}$/)),
    fc.oneof(fc.constant('Z'), fc.stringMatching(/^[+-](?:0\d|1[0-3]):[0-5]\d$/)),
  )
  .map(([year, month, day, second, fraction, zone]) => {
    const two = (value: number): string => String(value).padStart(2, '0')
    const date = `${String(year).padStart(4, '0')}-${two(month)}-${two(Math.min(day, daysOf(year, month)))}`
    return `${date}T${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}${fraction}${zone}`
  })
const doubles = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential()),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toPrecision(21)),
  fc.stringMatching(/^-?(?:0|[1-9]\d{0,25})(?:\.\d{1,25})?(?:[eE][+-]?\d{1,3})?$/),
  fc.bigInt({ min: 2n ** 52n, max: 2n ** 70n }).map(String),
  fc.constantFrom(
    '0',
    '-0.0',
    '5e-324',
    '2.4703282292062327e-324',
    '2.4703282292062328e-324',
    '1.7976931348623157e308',
  ),
  fc.constantFrom('2.2250738585072011e-308', '9007199254740993', '9007199254740992.5', '1e23', '8.5e-23', '0.1e1'),
)
const written = (value: unknown): string => JSON.stringify(value)
/** Each kind of column with texts of JSON that it may meet. */
const kinds: readonly (readonly [Form, fc.Arbitrary<string>])[] = [
  [{ kind: 'string' }, texts.map(written)],
  [{ kind: 'string' }, fc.constantFrom('"\\u0041\\ud83d\\ude00"', '"\\/\\u00e4"', `"${'\\n'.repeat(20)}"`)],
  [{ kind: 'integer' }, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
  [{ kind: 'integer' }, fc.integer().map(String)],
  [{ kind: 'double' }, doubles],
  [{ kind: 'boolean' }, fc.boolean().map(String)],
  [{ kind: 'timestamp' }, times.map(written)],
  ...[2, 4, 7, 15, 18, 19, 38].flatMap((precision): readonly (readonly [Form, fc.Arbitrary<string>])[] =>
    [0, 2, precision].map((scale) => [
      { kind: 'decimal', precision, scale: Math.min(scale, precision) },
      fc.bigInt({ min: 1n - 10n ** BigInt(precision), max: 10n ** BigInt(precision) - 1n }).map((value) => {
        const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
        const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
        return value < 0n ? `"-${text}"` : precision < 15 ? text : `"${text}"`
      }),
    ]),
  ),
  [{ kind: 'list', item: { kind: 'integer' } }, fc.array(fc.integer()).map(written)],
  [{ kind: 'map', value: { kind: 'string' } }, fc.dictionary(texts, texts, { maxKeys: 3 }).map(written)],
  [{ kind: 'json' }, fc.jsonValue().map(written)],
]
const names = ['id', 'a', 'ä b', 'a_rather_long_name_of_a_field', 'q"\\u', 'z']
interface Column {
  readonly field: Field
  /** A text of JSON, or nothing where the field is missing. */
  readonly text: fc.Arbitrary<string | undefined>
}
const object = (columns: readonly Column[]): fc.Arbitrary<string> =>
  fc
    .tuple(...columns.map(({ field, text }) => text.map((value) => value && `${JSON.stringify(field.name)}:${value}`)))
    .map((fields) => `{${fields.filter((field) => field !== undefined).join(',')}}`)
const struct = (columns: readonly Column[]): Struct => ({
  kind: 'struct',
  unknownFields: 'strip',
  fields: columns.map(({ field }) => field),
})
/** Columns of any kind, some of them objects of such columns. */
const tables = (depth: number): fc.Arbitrary<readonly Column[]> =>
  fc
    .array(
      fc.tuple(
        fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom(...kinds) },
          {
            weight: depth > 0 ? 1 : 0,
            arbitrary:
              depth > 0
                ? tables(depth - 1).map((inner): readonly [Form, fc.Arbitrary<string>] => [
                    struct(inner),
                    object(inner),
                  ])
                : fc.constantFrom(...kinds),
          },
        ),
        fc.boolean(),
        fc.boolean(),
      ),
      { minLength: 1, maxLength: names.length },
    )
    .map((chosen) =>
      chosen.map(([[form, text], nullable, optional], index): Column => {
        const value = nullable
          ? fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: fc.constant('null') })
          : text
        return {
          field: {
            name: names[index] ?? '',
            form: { ...form, ...(nullable && { nullable }) },
            ...(optional && { optional }),
          },
          text: optional ? fc.option(value, { nil: undefined }) : value,
        }
      }),
    )
const given = tables(2).chain((columns) =>
  fc.record({
    form: fc.constant(struct(columns)),
    records: fc.array(object(columns), { minLength: 1, maxLength: 16 }),
    edits: fc.array(fc.tuple(fc.nat(2000), fc.oneof(fc.constantFrom(...Buffer.from('{}[],:"0-.en\n ')), fc.nat(255))), {
      maxLength: 2,
    }),
  }),
)

test(
  'lines fill the values that they hold, bit for bit; a line that is damaged fills nothing or what the other filler fills',
  { timeout: 3_600_000 },
  () => {
    let rows = 0
    let off = 0
    fc.assert(
      fc.property(given, ({ form, records, edits }) => {
        const page = `[${records.join(',')}]`
        const { chunks, rejected } = openScanner(form, { engine: 'javascript' }).scan(Buffer.from(page))
        expect(rejected.filter(({ reason }) => reason !== 'beyond the largest number')).toEqual([])
        const lines = Buffer.concat(chunks)
        const [fast, plain] = [openFiller(form), openFiller(form, { engine: 'javascript' })]
        const wanted = oracle(form, lines.toString('utf8').split('\n').slice(0, -1))
        expect(filled(plain, lines)).toEqual(wanted)
        expect(filled(fast, lines)).toEqual(wanted)
        rows += wanted.length
        if (lines.length === 0) return
        for (const [place, code] of edits) lines[place % lines.length] = code
        const damaged = filled(fast, lines)
        expect(damaged).toEqual(filled(plain, lines))
        if (damaged === 'off') off++
      }),
      { ...runs, numRuns: Math.ceil(runs.numRuns / 16) },
    )
    expect(rows).toBeGreaterThan(runs.numRuns / 4)
    expect(off).toBeGreaterThan(runs.numRuns / 160)
  },
)

test('doubles are those of Number()', () => {
  const form: Form = { kind: 'struct', unknownFields: 'strip', fields: [{ name: 'x', form: { kind: 'double' } }] }
  const filler = openFiller(form)
  fc.assert(
    fc.property(fc.array(doubles, { minLength: 50, maxLength: 100 }), (numbers) => {
      const finite = numbers.filter((text) => Number.isFinite(Number(text)))
      const bits = finite.map((text) => [new BigUint64Array(new Float64Array([Number(text)]).buffer)[0]])
      expect(filled(filler, Buffer.from(finite.map((text) => `{"x":${text}}\n`).join('')))).toEqual(bits)
    }),
    { ...runs, numRuns: Math.ceil(runs.numRuns / 20) },
  )
})

test('a chunk ends where rows, blobs or long texts are full, and nothing is lost between chunks', () => {
  const form: Form = {
    kind: 'struct',
    unknownFields: 'strip',
    fields: [
      { name: 'n', form: { kind: 'integer' } },
      { name: 'text', form: { kind: 'string' } },
      { name: 'more', form: { kind: 'json' }, optional: true },
    ],
  }
  const lengths = [0, 12, 13, 1000, 16_383, 16_384, 16_385, 70_000]
  const large = Array.from({ length: 1500 }, (_, n) => ({
    n,
    text: 'é"'.repeat((lengths[n % lengths.length] ?? 0) / 2),
    ...(n % 3 === 0 && { more: ['x'.repeat(n * 20)] }),
  }))
  const small = Array.from({ length: 5000 }, (_, n) => ({ n, text: `row ${n}` }))
  const huge = [{ n: 1, text: 'y'.repeat(20_000_000) }]
  for (const engine of ['wasm', 'javascript'] as const) {
    const filler = openFiller(form, { engine })
    for (const records of [large, small, huge, []]) {
      const lines = records.map((record) => JSON.stringify(record)).join('\n')
      const wanted = records.map((record) => [
        BigInt(record.n),
        record.text,
        'more' in record ? JSON.stringify(record.more) : null,
      ])
      expect(filled(filler, Buffer.from(lines))).toEqual(wanted)
    }
  }
})

test('addresses are added where a text lies in the blob', () => {
  const form: Form = { kind: 'struct', unknownFields: 'strip', fields: [{ name: 'a', form: { kind: 'string' } }] }
  const lines = Buffer.from(`{"a":"short"}\n{"a":"${'long'.repeat(9)}"}\n{"a":"${'more'.repeat(9)}"}\n`)
  const places = (['wasm', 'javascript'] as const).map((engine) => {
    const filler = openFiller(form, { engine })
    filler.load(lines)
    expect(filler.next()).toBe(3)
    filler.rebase(0, 0x7f00_0000_0000n)
    const view = new DataView(filler.buffer)
    const at = filler.columns[0]?.dataAt ?? 0
    return [0, 1, 2].map((row) => [view.getUint32(at + row * 16, true), view.getBigInt64(at + row * 16 + 8, true)])
  })
  expect(places[0]).toEqual(places[1])
  expect(places[0]?.slice(1)).toEqual([
    [36, 0x7f00_0000_0000n],
    [36, 0x7f00_0000_0024n],
  ])
})

test('what cannot be filled is said in words', () => {
  expect(() => openFiller({ kind: 'string' })).toThrow('its records are no objects')
  const wide: Form = { kind: 'decimal', precision: 39, scale: 0 }
  const form: Form = { kind: 'struct', unknownFields: 'strip', fields: [{ name: 'a', form: wide }] }
  expect(() => openFiller(form)).toThrow('a has more than 38 digits')
  const text = openFiller({ kind: 'struct', unknownFields: 'strip', fields: [{ name: 'a', form: { kind: 'string' } }] })
  expect(() => {
    text.load(Uint8Array.of(0xff))
  }).toThrow('they are no UTF-8')
  text.load(Buffer.from('{"a":"b"}\n{"a":1}'))
  expect(() => text.next()).toThrow('what begins at byte 10 is not a line of the form')
})
