import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Form } from '../src/form.ts'
import { decide } from '../src/road.ts'
import { plainLane, wasmLane } from '../src/lane.ts'
import { scannerOver } from '../src/scanner.ts'

const form: Form = {
  kind: 'struct',
  unknownFields: 'strip',
  fields: [
    { name: 'id', form: { kind: 'string', minLength: 1 } },
    { name: 'n', form: { kind: 'integer' } },
    { name: 'x', form: { kind: 'double', nullable: true } },
    { name: 'at', form: { kind: 'timestamp' }, optional: true },
    { name: 'price', form: { kind: 'decimal', precision: 10, scale: 2 }, optional: true },
    { name: 'tags', form: { kind: 'map', value: { kind: 'string' } }, optional: true },
    { name: 'list', form: { kind: 'list', item: { kind: 'boolean' } }, optional: true },
  ],
}
const plain = scannerOver(form, plainLane(form))
const fast = scannerOver(form, wasmLane(form))
const scanPlain = plain.page
const scanWasm = fast.page
const scan = (page: string, path: readonly string[] = []) => {
  const [plain, fast] = [scanPlain, scanWasm].map((run) => {
    const { chunks, ...rest } = run(Buffer.from(page), path)
    return { ...rest, lines: Buffer.concat(chunks).toString('utf8').split('\n').slice(0, -1) }
  })
  expect(fast).toEqual(plain)
  return plain
}

test('plain records are the page’s own bytes; others are written again or decided alone', () => {
  const page =
    '{"next":"b","data":{"runs":[{"id":"a","n":1,"x":null},{"n":2, "id":"b","x":1.5,"more":[]}  ,{"id":"c","n":1e2,"x":-0},{"id":"","n":3,"x":0},7]},"z":1}'
  expect(scan(page, ['data', 'runs'])).toEqual({
    lines: ['{"id":"a","n":1,"x":null}', '{"id":"b","n":2,"x":1.5}', '{"id":"c","n":100,"x":-0.0}'],
    count: 3,
    exceptions: 3,
    envelope: { next: 'b', data: { runs: [] }, z: 1 },
    rejected: [
      { index: 3, field: 'id', reason: 'shorter than 1 characters', record: '{"id":"","n":3,"x":0}' },
      { index: 4, field: '', reason: 'expected an object, got a number', record: '7' },
    ],
  })
})

test.each([
  ['[', 'the page ends within a record'],
  ['[{"id":"a"', 'the page ends within a record'],
  ['[] x', 'the page is not JSON behind its records'],
  ['{"a":[]}', 'the page is not a list of records'],
  ['', 'the page is not a list of records'],
])('a page that is broken outside of its records is an error: %s', (page, message) => {
  expect(() => scan(page)).toThrow(message)
})
test('a page without its list, or with two of them, is an error', () => {
  expect(() => scan('{"b":[]}', ['a'])).toThrow('the page has no a')
  expect(() => scan('{"a":[],"a":[]}', ['a'])).toThrow('a stands twice in the page')
})

test('a record that is put aside is told as it came, a byte order mark before it too', () => {
  expect(scan('[ \ufeff{"id":"a"}\n,\u00a07 ]')).toMatchObject({
    rejected: [
      { reason: 'not JSON', record: '\ufeff{"id":"a"}' },
      { reason: 'not JSON', record: '\u00a07' },
    ],
  })
})

const text = fc.string({ unit: 'binary', maxLength: 6 })
const value = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('2026-01-02T03:04:05Z', '2026-01-02T03:04:05.123+02:00', '2024-02-29T23:59:59-13:30', '12.30', '1e5'),
  fc.dictionary(text, text, { maxKeys: 3 }),
  fc.array(fc.boolean(), { maxLength: 3 }),
)
const mostly = (good: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 40, arbitrary: good }, { weight: 1, arbitrary: value })
const record = fc.record(
  {
    id: mostly(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })),
    n: mostly(fc.integer()),
    x: mostly(fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }))),
    at: mostly(fc.date({ noInvalidDate: true, min: new Date(0) }).map((date) => date.toISOString())),
    price: mostly(fc.integer({ min: -999, max: 999 }).map((cents) => cents / 100)),
    tags: mostly(fc.dictionary(text, text, { maxKeys: 3 })),
    list: mostly(fc.array(fc.boolean())),
    more: fc.oneof(fc.constant(undefined), value),
  },
  { requiredKeys: ['id', 'n', 'x'] },
)
/** A record with bytes changed, so that it is nearly what it should be. */
const damaged = fc
  .tuple(record, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 2 }), fc.boolean())
  .map(([given, edits, spaced]) => {
    const bytes = Buffer.from(JSON.stringify(given, undefined, spaced ? 1 : undefined))
    for (const [place, code] of edits) if (place < bytes.length) bytes[place] = code
    return bytes
  })

/** What a scanner says of one page: undefined where it is no page at all. */
const judged = (run: typeof scanPlain, bytes: Uint8Array) => {
  try {
    const { chunks, ...rest } = run(Buffer.concat([Buffer.from('['), bytes, Buffer.from(']')]), [])
    return { ...rest, text: Buffer.concat(chunks).toString('utf8') }
  } catch (error) {
    return { broken: String(error) }
  }
}

const runs = {
  numRuns: Number(process.env['ECOKIT_FUZZ'] ?? 20_000),
  seed: Number(process.env['ECOKIT_SEED'] ?? 20261122),
}

test(
  'whatever is proved has the value that the object road gives, and whatever is refused is refused by it for the same reason',
  { timeout: 3_600_000 },
  () => {
    let proved = 0
    fc.assert(
      fc.property(damaged, (bytes) => {
        const plain = judged(scanPlain, bytes)
        expect(judged(scanWasm, bytes)).toEqual(plain)
        // The damage may have made two records of one, or no page.
        if ('broken' in plain || plain.count + plain.rejected.length !== 1) return
        if (plain.count === 1 && plain.exceptions === 0) proved++
        const verdict = decide(form, bytes)
        const again = plain.count === 1 ? decide(form, Buffer.from(plain.text.trim())) : plain.rejected[0]
        expect(again).toMatchObject(verdict)
      }),
      runs,
    )
    expect(proved).toBeGreaterThan(1000)
  },
)

/** What lines come to when each is cut by hand and decided alone. */
const oracle = (bytes: Buffer): { readonly rows: readonly string[]; readonly rejected: readonly object[] } => {
  const rows: string[] = []
  const rejected: object[] = []
  let index = 0
  for (const line of bytes.toString('latin1').split('\n')) {
    if (/^[ \t\r]*$/.test(line)) continue
    const verdict = decide(form, Buffer.from(line, 'latin1'))
    if ('row' in verdict) rows.push(verdict.row)
    else rejected.push({ ...verdict, index })
    index++
  }
  return { rows, rejected }
}

test('lines are judged as the object road judges each alone, whatever ends them', { timeout: 3_600_000 }, () => {
  let broken = 0
  let proved = 0
  const between = fc.constantFrom('\n', '\n', '\n', '\r\n', '\n\n', '\n \t\r\n', '\r\r\n', ' \n ')
  const page = fc.tuple(
    fc.constantFrom('', '', '\n', '\r\n', '\r', '\ufeff'),
    fc.array(
      fc.tuple(
        fc.oneof({ weight: 3, arbitrary: record.map((given) => Buffer.from(JSON.stringify(given))) }, damaged),
        between,
      ),
      {
        maxLength: 6,
      },
    ),
    fc.boolean(),
  )
  fc.assert(
    fc.property(page, ([head, given, ended]) => {
      const all = given.flatMap(([line, end], index) =>
        ended || index < given.length - 1 ? [line, Buffer.from(end)] : [line],
      )
      const bytes = Buffer.concat([Buffer.from(head), ...all])
      const [slow, quick] = [plain, fast].map(({ lines }) => {
        const { chunks, ...rest } = lines(Buffer.from(bytes))
        return { ...rest, text: Buffer.concat(chunks).toString('utf8') }
      })
      expect(quick).toEqual(slow)
      const { rows, rejected } = oracle(bytes)
      expect(slow?.rejected).toMatchObject(rejected)
      const lines = slow?.text.split('\n') ?? []
      expect(lines.pop()).toBe('')
      // Each line that was let through is proved plain, and stands for what the object road makes of it.
      expect(lines.map((line) => decide(form, Buffer.from(line)))).toEqual(rows.map((row) => ({ row })))
      expect(slow?.count).toBe(rows.length)
      broken += rejected.length
      proved += (slow?.count ?? 0) - (slow?.exceptions ?? 0) + rejected.length
    }),
    { ...runs, numRuns: Math.ceil(runs.numRuns / 4) },
  )
  expect(proved).toBeGreaterThan(1000)
  expect(broken).toBeGreaterThan(1000)
})

test('bytes that are no UTF-8 cost only the record that holds them', () => {
  const good = Buffer.from('{"id":"a","n":1,"x":null}')
  const bad = Buffer.from([...Buffer.from('{"id":"'), 0xff, ...Buffer.from('","n":1,"x":null}')])
  for (const { page, lines } of [plain, fast]) {
    const comma = Buffer.from(',')
    const cut = page(Buffer.concat([Buffer.from('['), good, comma, bad, comma, good, Buffer.from(']')]), [])
    expect(cut).toMatchObject({ count: 2, exceptions: 1, rejected: [{ index: 1, reason: 'not UTF-8' }] })
    const end = Buffer.from('\n')
    const read = lines(Buffer.concat([good, end, bad, end, good]))
    expect(read).toMatchObject({ count: 2, exceptions: 1, rejected: [{ index: 1, reason: 'not UTF-8' }] })
  }
})
