import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as duck from '@duckdb/node-api'
import { openScanner } from '@ecokit/json-scan'
import type { Form } from '@ecokit/json-scan'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqlType } from '../src/columns.ts'
import type { Column, ColumnType } from '../src/columns.ts'
import { jsonReader } from '../src/proven.ts'
import type { LineSource } from '../src/proven.ts'
import { rowMaker } from '../src/rows.ts'
import { openStage } from '../src/stage.ts'
import { vectorReader } from '../src/vectors.ts'

const numRuns = Number(process.env['ECOKIT_FUZZ'] ?? 20_000)
const seed = Number(process.env['ECOKIT_SEED'] ?? 20261122)
const folder = mkdtempSync(join(tmpdir(), 'vectors-'))
let instance: duck.DuckDBInstance
let connection: duck.DuckDBConnection
beforeAll(async () => {
  instance = await duck.DuckDBInstance.create(':memory:', { threads: '2' })
  connection = await instance.connect()
})
afterAll(() => {
  connection.closeSync()
  instance.closeSync()
  rmSync(folder, { recursive: true })
})

const column = (name: string, type: ColumnType): Column => ({ name, type, schema: {} })
const segmentOf = (lines: Uint8Array, rows: number) => {
  const file = join(folder, 'lines')
  writeFileSync(file, lines)
  return { file, rows, bytes: lines.length, longest: lines.length }
}
/** Every row in its order, as text that tells null, and a sum over the bits of all. */
const read = async (from: string): Promise<readonly unknown[]> => {
  const rows = await connection.runAndReadAll(
    `SELECT count(*), bit_xor(hash(row_number, r)), list(r::VARCHAR) FROM (SELECT row_number() OVER () AS row_number, t AS r FROM ${from} t)`,
  )
  return rows.getRowsJson()[0] ?? []
}
const readAs = async (source: LineSource, lines: Uint8Array, rows: number): Promise<readonly unknown[]> => {
  const opened = await source(duck, connection, [segmentOf(lines, rows)])
  try {
    return await read(opened.from)
  } finally {
    opened.close()
  }
}
const vectors = (columns: readonly Column[]): LineSource =>
  vectorReader(columns) ?? expect.unreachable('these columns have vectors')

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom(
    '',
    'x'.repeat(12),
    'x'.repeat(13),
    'é'.repeat(9000),
    '\0',
    'a\0b',
    '"\\/\b\f\n\r\t\u2028',
    '\ufeff',
    'null',
  ),
)
const doubles = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 5e-324, 1.7976931348623157e308, 0.1, 1e23, 123456.789, 2 ** 53 + 2),
)
const written = JSON.stringify
const two = (value: number): string => String(value).padStart(2, '0')
const days = fc
  .tuple(fc.integer({ min: 2, max: 9998 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([year, month, day]) => `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`)
const times = fc
  .tuple(
    days,
    fc.nat(23),
    fc.nat(59),
    fc.nat(59),
    fc.constantFrom('', '.5', '.123456', '.000001'),
    fc.constantFrom('Z', '+13:59', '-00:01', '+00:00'),
  )
  .map(
    ([day, hour, minute, second, fraction, zone]) =>
      `${day}T${two(hour)}:${two(minute)}:${two(second)}${fraction}${zone}`,
  )

interface Kind {
  readonly type: ColumnType
  readonly form: Form
  readonly text: fc.Arbitrary<string>
}
const decimal = (width: number, scale: number): Kind => ({
  type: { kind: 'decimal', width, scale },
  form: { kind: 'decimal', precision: width, scale },
  text: fc.bigInt({ min: 1n - 10n ** BigInt(width), max: 10n ** BigInt(width) - 1n }).map((value) => {
    const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
    const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
    return written(value < 0n ? `-${text}` : text)
  }),
})
const scalars: readonly Kind[] = [
  { type: { kind: 'varchar' }, form: { kind: 'string' }, text: texts.map((text) => written(text)) },
  { type: { kind: 'varchar' }, form: { kind: 'string' }, text: fc.constantFrom('"\\u0041\\ud83d\\ude00"', '"\\/"') },
  {
    type: { kind: 'bigint' },
    form: { kind: 'integer' },
    text: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  },
  {
    type: { kind: 'double' },
    form: { kind: 'double' },
    text: doubles.map((value) => (Object.is(value, -0) ? '-0.0' : String(value))),
  },
  { type: { kind: 'boolean' }, form: { kind: 'boolean' }, text: fc.boolean().map(String) },
  { type: { kind: 'timestamptz' }, form: { kind: 'timestamp' }, text: times.map((text) => written(text)) },
  { type: { kind: 'date' }, form: { kind: 'string' }, text: days.map((text) => written(text)) },
  ...[decimal(4, 2), decimal(9, 0), decimal(18, 6), decimal(38, 10), decimal(38, 0)],
]
interface Given {
  readonly name: string
  readonly kind: Kind
  readonly optional: boolean
}
const names = ['id', 'Value', 'ä b', 'order', 'a"b', "it's"]
const object = (given: readonly Given[]): Kind => ({
  type: { kind: 'struct', fields: given.map(({ name, kind }) => ({ name, type: kind.type })) },
  form: {
    kind: 'struct',
    unknownFields: 'strip',
    fields: given.map(({ name, kind, optional }) => ({ name, form: { ...kind.form, nullable: true }, optional })),
  },
  text: fc
    .tuple(
      ...given.map(({ name, kind, optional }) => {
        const value = fc.oneof({ weight: 5, arbitrary: kind.text }, { weight: 1, arbitrary: fc.constant('null') })
        return (optional ? fc.option(value, { nil: undefined }) : value).map(
          (text) => text && `${written(name)}:${text}`,
        )
      }),
    )
    .map((fields) => `{${fields.filter((field) => field !== undefined).join(',')}}`),
})
const records = (depth: number): fc.Arbitrary<readonly Given[]> =>
  fc
    .array(
      fc.tuple(
        depth === 0
          ? fc.constantFrom(...scalars)
          : fc.oneof(
              { weight: 5, arbitrary: fc.constantFrom(...scalars) },
              { weight: 1, arbitrary: records(depth - 1).map(object) },
            ),
        fc.boolean(),
      ),
      { minLength: 1, maxLength: names.length },
    )
    .map((chosen) => chosen.map(([kind, optional], index) => ({ name: names[index] ?? '', kind, optional })))

test(
  'tables of any shape: vectors, DuckDB’s JSON reader and the object road hold the same rows, bit for bit',
  { timeout: 600_000 },
  async () => {
    let rows = 0
    await fc.assert(
      fc.asyncProperty(
        records(2).chain((given) => {
          const whole = object(given)
          return fc.tuple(
            fc.constant(given),
            fc.constant(whole.form),
            fc.array(whole.text, { minLength: 1, maxLength: 40 }),
          )
        }),
        async ([given, form, texts]) => {
          const columns = given.map(({ name, kind }) => column(name, kind.type))
          const { chunks, count, rejected } = openScanner(form).lines(Buffer.from(texts.join('\n')))
          expect(rejected).toEqual([])
          const lines = Buffer.concat(chunks)
          const filled = await readAs(vectors(columns), lines, count)
          expect(filled).toEqual(await readAs(jsonReader(columns), lines, count))
          rows += count
          // Objects lose -0 and what a double cannot hold, unless a schema says otherwise, so these stay out of this one.
          if (lines.includes('-0.0') || columns.some(({ type }) => sqlType(type).includes('STRUCT'))) return
          const make = rowMaker(columns)
          const stage = await openStage(duck, connection, columns, folder)
          const parsed = lines.toString('utf8').split('\n').slice(0, -1)
          await stage.add(
            parsed.map((line) => make(exact(line))),
            false,
          )
          await stage.gather()
          const names = columns.map(({ name }) => `"${name.replaceAll('"', '""')}"`)
          const staged = await read(`(SELECT ${names.join(', ')} FROM ${stage.from} ORDER BY _ecokit_order)`)
          await stage.close()
          expect(staged).toEqual(filled)
        },
      ),
      { numRuns: Math.ceil(numRuns / 200), seed },
    )
    expect(rows).toBeGreaterThan(numRuns / 40)
  },
)
/** A line as objects, its whole numbers beyond a double as bigint. */
const exact = (line: string): Readonly<Record<string, unknown>> =>
  JSON.parse(line, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? 0)
      : value,
  ) as Readonly<Record<string, unknown>>

test('what all rows lack is null, also where it is the only column', async () => {
  const object: ColumnType = { kind: 'struct', fields: [{ name: 'a', type: { kind: 'bigint' } }] }
  for (const type of [object, { kind: 'varchar' } as const])
    for (const source of [vectors, jsonReader])
      expect(await readAs(source([column('o', type)]), Buffer.from('{}\n{}\n'), 2)).toEqual([
        '2',
        expect.any(String),
        ["{'o': NULL}", "{'o': NULL}"],
      ])
})

test('segments are read one after the other, more than once, in statements side by side, and given up half-way', async () => {
  const columns = [column('n', { kind: 'bigint' }), column('text', { kind: 'varchar' })]
  const rows = Array.from({ length: 60_000 }, (_, n) => ({
    n,
    ...(n % 7 !== 0 && { text: `${n} ${'ä'.repeat(n % 90)}` }),
  }))
  const files = [rows.slice(0, 5), rows.slice(5, 40_000), [], rows.slice(40_000)].map((part, index) => {
    const file = join(folder, `${index}.lines`)
    // Some files end without a line end.
    writeFileSync(file, part.map((row) => written(row)).join('\n') + (index === 1 ? '\n' : ''))
    return { file, rows: part.length, bytes: 0, longest: 0 }
  })
  const opened = await vectors(columns)(duck, connection, files)
  const other = await instance.connect()
  const wanted = rows.map(({ n, text = null }) => [String(n), text])
  const sql = `SELECT * FROM ${opened.from}`
  const [one, two] = await Promise.all([connection.runAndReadAll(sql), other.runAndReadAll(sql)])
  expect(one.getRowsJson()).toEqual(wanted)
  expect(two.getRowsJson()).toEqual(wanted)
  const few = await connection.runAndReadAll(`${sql} WHERE n > 20000 LIMIT 2`)
  expect(few.getRowsJson()).toEqual(wanted.slice(20_001, 20_003))
  const twice = await connection.runAndReadAll(`SELECT count(*) FROM ${opened.from} JOIN ${opened.from} USING (n)`)
  expect(twice.getRowsJson()).toEqual([['60000']])
  opened.close()
  other.closeSync()
  await expect(connection.run(sql)).rejects.toThrow('these lines have been read already')
})

test('lines in another order are written again; a line that is broken later ends the statement', async () => {
  const columns = [column('n', { kind: 'bigint' }), column('text', { kind: 'varchar' })]
  const lines = Buffer.from('{"text":"a","n":1}\n')
  expect(await readAs(vectors(columns), lines, 1)).toEqual(await readAs(jsonReader(columns), lines, 1))
  const broken = Buffer.from('{"n":1,"text":"a"}\n{"n":1.5,"text":"a"}\n')
  await expect(readAs(vectors(columns), broken, 2)).rejects.toThrow('is not a line of the form')
})
