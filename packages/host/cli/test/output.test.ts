import fc from 'fast-check'
import { expect, test } from 'vitest'
import { csvLine } from '../src/output/csv.ts'
import { openProgress } from '../src/output/progress.ts'
import { plain, table, whole } from '../src/output/table.ts'
import type { Paint, Terminal } from '../src/output/terminal.ts'
import { cut, cutStart, duration, size, visible, width } from '../src/output/text.ts'

const paint: Paint = (_shade, text) => text
const columns = [
  { title: 'NAME', cell: (row: readonly [string, number]) => row[0] },
  { title: 'COUNT', cell: (row: readonly [string, number]) => row[1], right: true },
]

test('a table is aligned, numbers at the right', () => {
  expect(
    table(
      columns,
      [
        ['a', 5],
        ['名前', 12_345],
      ],
      { paint },
    ),
  ).toBe('NAME  COUNT\na         5\n名前  12345\n')
  expect(table(columns, [], { paint })).toBe('NAME  COUNT\n')
})

test('a table never is wider than the terminal, and says what it left out', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.integer())), fc.integer({ min: 12, max: 100 }), (rows, limit) => {
      const lines = table(columns, rows, { paint, columns: limit }).trimEnd().split('\n')
      for (const line of lines.slice(0, rows.length + 1)) expect(width(line)).toBeLessThanOrEqual(limit)
    }),
  )
  const many = Array.from({ length: 9 }, (_, at) => ({ title: `COLUMN${at}`, cell: () => 'some text' }))
  expect(table(many, [{}], { paint, columns: 30 })).toMatch(/6 more columns did not fit: COLUMN3, .*COLUMN8\n$/)
})

test('words of a partner cannot move the cursor, change colours or turn the direction', () => {
  expect(visible('\u001b[2Jgone\u0007\u202e\nnext\tcell')).toBe('\ufffd[2Jgone\ufffd\ufffd next cell')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // eslint-disable-next-line no-control-regex -- the point of the test
      expect(visible(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
    }),
  )
})

test('a text is cut to the cells that it may take', () => {
  expect(cut('abcdef', 4)).toBe('abc…')
  expect(cut('名前名前', 5)).toBe('名前…')
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 20 }), (text, limit) => {
      expect(width(cut(visible(text), limit))).toBeLessThanOrEqual(limit)
    }),
  )
})

test('sizes and durations for people', () => {
  expect([0, 999, 1000, 1_234_567, 5e15].map(size)).toEqual(['0 B', '999 B', '1.0 kB', '1.2 MB', '5000.0 TB'])
  expect([12.4, 3400, 60_000, 312_000, 7_200_000, 300_000_000].map(duration)).toEqual([
    '12 ms',
    '3.4 s',
    '1 min',
    '5 min 12 s',
    '2 h',
    '3 d',
  ])
})

const parseCsv = (line: string): string[] =>
  [...line.slice(0, -1).matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, bare]) =>
    quoted === undefined ? (bare ?? '') : quoted.replaceAll('""', '"'),
  )

test('CSV keeps every text, tells an empty one from null, and writes objects as JSON', () => {
  expect(csvLine([1n, null, '', 'a,b', 'say "hi"\n', { a: [1] }, new Date(0), NaN])).toBe(
    '1,,"","a,b","say ""hi""\n","{""a"":[1]}",1970-01-01T00:00:00.000Z,NaN\n',
  )
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1 }), (texts) => {
      expect(parseCsv(csvLine(texts))).toEqual(texts)
    }),
  )
})

const progress = (stream: string, status: 'running' | 'completed', read: number) =>
  ({
    run: 'r',
    pipeline: 'p',
    stream,
    status,
    mode: 'incremental',
    requests: 1,
    read,
    written: read,
    quarantined: 0,
    deduplicated: 0,
    deleted: 0,
    bytes: 1000,
  }) as const

const recorder = (live: boolean): { terminal: Terminal; written: () => string } => {
  let text = ''
  const note = (part: string) => void (text += part)
  const terminal = {
    out: () => Promise.resolve(),
    note,
    paint,
    paintNote: paint,
    columns: undefined,
    ask: undefined,
    askSecret: undefined,
    live,
  }
  return { terminal, written: () => text }
}

test('progress in a pipe is plain lines, at a state and now and then', () => {
  const { terminal, written } = recorder(false)
  let now = 0
  const view = openProgress(terminal, { now: () => now })
  view.plan(1)
  view.show(progress('runs', 'running', 0))
  view.show(progress('runs', 'running', 10))
  now = 6000
  view.show(progress('runs', 'running', 600))
  view.show(progress('runs', 'completed', 700))
  view.end()
  expect(written()).toBe(
    [
      'runs: incremental  0 read  0 written  1.0 kB',
      'runs: incremental  600 read  600 written  1.0 kB  100 rows/s',
      'runs: completed  700 read  700 written  1.0 kB  117 rows/s',
      '',
    ].join('\n'),
  )
})

test('progress on a terminal is redrawn in place under a bar', () => {
  const { terminal, written } = recorder(true)
  const view = openProgress(terminal, { now: () => 0 })
  view.plan(2)
  view.show(progress('runs', 'running', 1))
  view.show(progress('runs', 'completed', 2))
  view.end()
  expect(written()).toBe(
    `\u001b[2K▸ runs: incremental  1 read  1 written  1.0 kB\n\u001b[2K${'░'.repeat(20)}  0/2 streams\n` +
      `\u001b[2A\u001b[2K✓ runs: completed  2 read  2 written  1.0 kB\n\u001b[2K${'█'.repeat(10)}${'░'.repeat(10)}  1/2 streams\n`,
  )
})

test('what is left is told where the engine knows it', () => {
  const { terminal, written } = recorder(false)
  let now = 0
  const view = openProgress(terminal, { now: () => now })
  for (const [read, leftMs] of [[0], [250, 30_000], [1001]] as const) {
    view.show({ ...progress('runs', 'running', read), expected: 1000, ...(leftMs !== undefined && { leftMs }) })
    now += 10_000
  }
  view.show(progress('other', 'running', 0))
  now += 10_000
  view.show(progress('other', 'running', 250))
  expect(written().trimEnd().split('\n')).toEqual([
    'runs: incremental  0 read  0 written  1.0 kB',
    'runs: incremental  250 read  250 written  1.0 kB  25 rows/s  25 %, about 30.0 s left',
    'runs: incremental  1,001 read  1,001 written  1.0 kB  50 rows/s',
    'other: incremental  0 read  0 written  1.0 kB',
    'other: incremental  250 read  250 written  1.0 kB  25 rows/s',
  ])
})

test('the rate of a stream that has ended stands still', () => {
  const { terminal, written } = recorder(true)
  let now = 0
  const view = openProgress(terminal, { now: () => now })
  view.show(progress('done', 'running', 0))
  now = 10_000
  view.show(progress('done', 'completed', 1000))
  now = 100_000
  view.show(progress('other', 'running', 0))
  expect(
    written()
      .match(/done: completed .* rows\/s/g)
      ?.map((line) => line.split('  ').at(-1)),
  ).toEqual(['100 rows/s', '100 rows/s'])
})

test('of many streams a terminal shows those that run, as many as it has lines', () => {
  const { terminal, written } = recorder(true)
  const view = openProgress(terminal, { now: () => 0, rows: () => 6 })
  view.plan(1000)
  for (let at = 0; at < 40; at += 1) view.show(progress(`s${at}`, 'completed', 1))
  view.show(progress('last', 'running', 1))
  const drawn = written().split('\u001b[4A').at(-1)?.split('\n') ?? []
  expect(drawn.map((line) => line.replaceAll('\u001b[2K', ''))).toEqual([
    '✓ s38: completed  1 read  1 written  1.0 kB',
    '✓ s39: completed  1 read  1 written  1.0 kB',
    '▸ last: incremental  1 read  1 written  1.0 kB',
    `${'█'.repeat(1)}${'░'.repeat(19)}  40/1000 streams`,
    '',
  ])
})

test('what says nothing when it is cut stays whole or goes, spare columns first', () => {
  const row = {
    id: '01a2020b-e96c',
    pipeline: 'crm-to-warehouse',
    at: '2026-11-22 06:57:44',
    read: '1,234,567,890',
    why: 'x'.repeat(60),
  }
  const all = [
    { title: 'AT', cell: () => row.at, least: whole, spare: true },
    { title: 'RUN', cell: () => row.id, least: whole },
    { title: 'PIPELINE', cell: () => row.pipeline, least: 12 },
    { title: 'RECORDS THAT WERE READ', cell: () => row.read, right: true },
    { title: 'WHY', cell: () => row.why, least: 20 },
  ]
  const at = (limit: number) => table(all, [row], { paint, columns: limit })
  expect(at(80)).toBe(
    [
      'RUN            PIPELINE          RECORDS THAT WERE READ  WHY',
      '01a2020b-e96c  crm-to-warehouse           1,234,567,890  xxxxxxxxxxxxxxxxxxxxxx…',
      '1 more column did not fit: AT\n',
    ].join('\n'),
  )
  expect(at(43)).toContain('01a2020b-e96c  crm-to-wareh…  1,234,567,890')
  expect(at(200)).toContain(`${row.at}  ${row.id}  ${row.pipeline}`)
})

test('of a path its end is kept', () => {
  expect(cutStart('file/lake.duckdb/desk', 8)).toBe('…db/desk')
  expect(cutStart('名前名前', 5)).toBe('…名前')
  expect(cutStart('desk', 8)).toBe('desk')
})

test('the sign of zero is shown and written', () => {
  expect(plain(-0)).toBe('-0')
  expect(plain({ a: [-0] })).toBe('{"a":[-0]}')
  expect(csvLine([-0, 0, -1])).toBe('-0,0,-1\n')
})
