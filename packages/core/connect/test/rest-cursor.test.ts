import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { int64, stream } from '@ecokit/contracts'
import type { AnyRecord, RestStream, TimeForm } from '@ecokit/contracts'
import { boundOf, cursorOf } from '../src/rest/cursor.ts'
import { valueFinder } from '../src/rest/lines.ts'
import { formOf, openScanner } from '@ecokit/json-scan'
import type { Struct } from '@ecokit/json-scan'
import { failure } from './support.ts'
import { declared, openStreams, readAll, serve, slice } from './rest-support.ts'

const Row = z.object({ id: z.int(), at: z.iso.datetime({ offset: true }).nullable() })
const times = [
  '2026-01-01T00:00:00Z',
  '2026-01-01T02:00:00.000001+01:00', // 01:00:00.000001 in UTC
  '2026-01-01T01:00:00Z',
  '2025-12-31T23:30:00-02:00', // 01:30 in UTC
  '2026-01-02T00:00:00.123456Z',
  '2026-01-02T00:00:00.123457Z',
]
const rows: readonly AnyRecord[] = times.map((at, id) => ({ id, at }))
const declare = (incremental: RestStream['incremental'], more: Partial<RestStream> = {}) => ({
  rows: declared({
    schema: Row,
    primaryKey: ['id'],
    cursor: 'at',
    rest: {
      path: 'rows',
      records: 'items',
      paging: { kind: 'token', parameter: 'after', next: 'next' },
      ...(incremental && { incremental }),
      ...more,
    },
  }),
})
const pages = (all: () => readonly AnyRecord[]) =>
  serve(({ query }) => ({ body: slice(all(), Number(query['after'] ?? 0), 2) }))
const ids = (found: readonly AnyRecord[]) => found.map(({ id }) => id)

test('the highest time is kept to the microsecond, whatever its zone; what came before is asked for no more', async () => {
  let all = rows
  const { url, asked } = await pages(() => all)
  const connection = openStreams(url, declare({ since: { parameter: 'since' } }))
  const first = await readAll(connection, 'rows')
  expect(first.rows).toEqual(rows)
  expect(first.checkpoint).toEqual({ rest: 1, cursor: times[5] })
  expect(asked.every(({ query }) => !('since' in query))).toBe(true)

  asked.length = 0
  all = [
    ...rows,
    { id: 6, at: '2026-01-02T00:00:00.123456Z' },
    { id: 7, at: '2026-01-02T00:00:01Z' },
    { id: 8, at: null },
  ]
  const next = await readAll(connection, 'rows', { checkpoint: first.checkpoint })
  expect(asked[0]?.query['since']).toBe('2026-01-02T00:00:00.123457Z')
  // The bound is inclusive; what has no time is in no doubt handed on.
  expect(ids(next.rows)).toEqual([5, 7, 8])
  expect(next.checkpoint).toEqual({ rest: 1, cursor: '2026-01-02T00:00:01Z' })
  const lagging = await readAll(connection, 'rows', { checkpoint: first.checkpoint, lagMs: 1 })
  expect(ids(lagging.rows)).toEqual([4, 5, 6, 7, 8])
  expect(lagging.checkpoint).toEqual(next.checkpoint)
})

test.each<[TimeForm | 'as_is' | undefined, string, string]>([
  [undefined, '2026-01-02T00:00:00.123457Z', '2026-01-03T01:00:00.000Z'],
  ['iso', '2026-01-02T00:00:00.123457Z', '2026-01-03T01:00:00.000Z'],
  ['date', '2026-01-02', '2026-01-04'],
  ['epoch_ms', '1767312000123', '1767402000000'],
  ['epoch_s', '1767312000', '1767402000'],
  ['as_is', '2026-01-02T00:00:00.123457Z', '2026-01-03T01:00:00.000Z'],
])('bounds are sent as %s, rounded so that nothing is missed, and kept to exactly', async (form, since, until) => {
  const { url, asked } = await pages(() => rows)
  const incremental = { since: { parameter: 'since' }, until: { parameter: 'until' }, ...(form && { form }) }
  const connection = openStreams(url, declare(incremental))
  const window = { since: times[5]!, until: '2026-01-03T02:00:00+01:00' }
  const read = await readAll(connection, 'rows', window)
  expect(asked[0]?.query).toMatchObject({ since, until })
  expect(ids(read.rows)).toEqual([5])
  // A window moves no cursor, and a pass over it goes on where it was left.
  expect(read.checkpoint).toEqual({ rest: 1 })
  const { checkpoint } = read.batches[0]!
  expect(checkpoint).toMatchObject({ pass: { window: { since: times[5] } } })
  expect(ids((await readAll(connection, 'rows', { ...window, checkpoint })).rows)).toEqual([5])
})

test('a stream without a filter is read whole, and hands on what lies behind the cursor', async () => {
  let all = rows
  const { url } = await pages(() => all)
  const connection = openStreams(url, declare(undefined))
  const { checkpoint } = await readAll(connection, 'rows')
  all = [...rows, { id: 9, at: '2026-01-02T00:00:00.123458Z' }]
  expect(ids((await readAll(connection, 'rows', { checkpoint })).rows)).toEqual([9])
  expect(ids((await readAll(connection, 'rows', { checkpoint: { rest: 1, cursor: times[1] } })).rows)).toEqual([
    3, 4, 5, 9,
  ])
})

test('a read goes on from each checkpoint, and a later one never brings more', async () => {
  for (const ordered of [true, false]) {
    const sorted = [0, 2, 1, 3, 4, 5].map((index) => rows[index]!)
    const { url } = await pages(() => sorted)
    const connection = openStreams(url, declare({ since: { parameter: 'since' }, ordered }))
    const { batches } = await readAll(connection, 'rows')
    for (const [index, { checkpoint }] of batches.entries()) {
      const before = batches.slice(0, index + 1).flatMap((batch) => batch.rows)
      const rest = await readAll(connection, 'rows', { checkpoint })
      expect(new Set(ids([...before, ...rest.rows]))).toEqual(new Set(ids(rows)))
      expect(rest.checkpoint).toEqual({ rest: 1, cursor: times[5] })
    }
    // The partner has forgotten the token: an ordered stream goes on behind what was stored, another one from its beginning.
    const cut = batches[1]!.checkpoint!
    let asked = 0
    const other = await serve(({ query }) => {
      if ((asked += 1) === 1) return { status: 400, body: {} }
      return {
        body: slice(
          sorted.filter(({ at }) => String(at) >= (query['since'] ?? '')),
          Number(query['after'] ?? 0),
          2,
        ),
      }
    })
    const on = await readAll(openStreams(other.url, declare({ since: { parameter: 'since' }, ordered })), 'rows', {
      checkpoint: cut,
    })
    expect(other.asked[1]?.query['since']).toBe(ordered ? '2026-01-01T01:30:00.000Z' : undefined)
    expect(on.checkpoint).toEqual({ rest: 1, cursor: times[5] })
  }
})

test('columns narrow what is read, and the cursor is known all the same', async () => {
  const { url } = await pages(() => rows)
  const connection = openStreams(url, declare({ since: { parameter: 'since' } }))
  const narrow = await readAll(connection, 'rows', { columns: ['id'] })
  expect(narrow.rows).toEqual(rows.map(({ id }) => ({ id })))
  expect(narrow.checkpoint).toEqual({ rest: 1, cursor: times[5] })
  const kept = await readAll(connection, 'rows', { columns: ['at'] })
  expect(kept.rows).toEqual(rows.map(({ at }) => ({ at })))
  expect([...kept.encodings]).toEqual(['ndjson'])
  const error = await failure(() => connection.read?.('rows', { columns: ['no'] }))
  expect(error).toMatchObject({ code: 'invalid_input', details: { field: 'columns' } })
  for (const since of ['yesterday', ''])
    expect(await failure(() => connection.read?.('rows', { since }))).toMatchObject({ code: 'invalid_input' })
})

test('a sequence of 64 bits is compared digit by digit and sent as it is', async () => {
  const big = 9007199254740993n
  const schema = z.object({ seq: int64() })
  const { url, asked } = await serve(() => ({ body: `[{"seq":${big - 2n}},{"seq":${big}},{"seq":${big - 1n}}]` }))
  const rest = { path: 'rows', incremental: { since: { parameter: 'from' } } }
  const connection = openStreams(url, { rows: stream({ schema, cursor: 'seq', rest }) })
  const { checkpoint } = await readAll(connection, 'rows')
  expect(checkpoint).toEqual({ rest: 1, cursor: String(big) })
  expect((await readAll(connection, 'rows', { checkpoint, lagMs: 5_000 })).rows).toEqual([{ seq: big }])
  expect(asked[1]?.query['from']).toBe(String(big))
})

const cursor = (schema: z.ZodType, rest?: object) =>
  cursorOf(stream({ schema: z.object({ at: schema }), cursor: 'at', rest: { path: '', ...rest } } as never))!

test('values of a cursor are put in order exactly', () => {
  const number = cursor(z.number())
  const time = cursor(z.iso.datetime({ offset: true }).nullable())
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), fc.bigInt({ min: -3n, max: 3n }), (one, more) => {
      const other = one + more
      expect(Math.sign(number.compare(String(one), String(other)))).toBe(one < other ? -1 : one > other ? 1 : 0)
      expect(Math.sign(number.compare(`${one}.5`, `${one}.50`))).toBe(0)
    }),
    { seed: 1 },
  )
  const zone = fc.constantFrom(0, 330, -480, 59)
  const written = (micros: number, minutes: number) => {
    const local = new Date(Math.floor(micros / 1000) + minutes * 60_000).toISOString().slice(0, 19)
    const sign = minutes < 0 ? '-' : '+'
    const [hour, minute] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((n) =>
      String(n).padStart(2, '0'),
    )
    const below = String(((micros % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, '0')
    return `${local}.${below}${minutes === 0 ? 'Z' : `${sign}${hour}:${minute}`}`
  }
  fc.assert(
    fc.property(
      fc.integer({ min: -(2 ** 45), max: 2 ** 45 }),
      fc.integer({ min: -2, max: 2 }),
      zone,
      zone,
      (at, more, here, there) => {
        const [one, other] = [at * 1000 + 7, at * 1000 + 7 + more]
        expect(Math.sign(time.compare(written(one, here), written(other, there)))).toBe(Math.sign(one - other))
        expect(time.time(written(one, here))).toBe(Math.floor(one / 1000))
      },
    ),
    { seed: 2 },
  )
})

describe('a value in a line of proven NDJSON', () => {
  const schema = z.object({
    'o"dd': z.string().optional(),
    deep: z.record(z.string(), z.unknown()),
    list: z.array(z.string()),
    at: z.string().nullish(),
    end: z.unknown().optional(),
  })
  const { form } = formOf(schema) as { form: Struct }
  const text = fc.oneof(fc.string(), fc.constantFrom('"at":"x"', '\\"at":', '","at":"', '{"at":1}', '\\'))
  test('is found whatever stands around it', () => {
    const find = valueFinder(form, 'at')
    const scanner = openScanner(form)
    fc.assert(
      fc.property(
        fc.record(
          {
            'o"dd': text,
            deep: fc.dictionary(fc.oneof(text, fc.constant('at')), fc.jsonValue()),
            list: fc.array(text),
            at: fc.option(text),
            end: fc.jsonValue(),
          },
          { requiredKeys: ['deep', 'list'] },
        ),
        (record) => {
          const { chunks, count } = scanner.scan(Buffer.from(JSON.stringify([record, record])))
          if (count === 0) return
          const bytes = Buffer.concat(chunks).toString('latin1')
          const end = bytes.indexOf('\n')
          for (const [from, to] of [
            [0, end],
            [end + 1, bytes.length - 1],
          ] as const)
            expect(find(bytes, from, to)).toBe(record.at ?? undefined)
        },
      ),
      { seed: 3, numRuns: 300 },
    )
  })
  test('is found on the short way too', () => {
    const short = z.object({ text: z.string(), many: z.array(z.string()), at: z.string(), n: z.int() })
    const found = formOf(short) as { form: Struct }
    const find = valueFinder(found.form, 'at')
    const number = valueFinder(found.form, 'n')
    const scanner = openScanner(found.form)
    fc.assert(
      fc.property(fc.record({ text, many: fc.array(text), at: text, n: fc.integer() }), (record) => {
        const { chunks, count } = scanner.scan(Buffer.from(JSON.stringify([record])))
        if (count === 0) return
        const bytes = Buffer.concat(chunks).toString('latin1')
        expect(find(bytes, 0, bytes.length - 1)).toBe(record.at)
        expect(number(bytes, 0, bytes.length - 1)).toBe(String(record.n))
      }),
      { seed: 4, numRuns: 300 },
    )
  })
})

describe('times that say less', () => {
  const zone = process.env['TZ']
  afterEach(() => {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  })
  test.each(['America/Los_Angeles', 'Asia/Tokyo', 'UTC'])(
    'a time without a zone is one of UTC, on a machine in %s too',
    (here) => {
      process.env['TZ'] = here
      expect(new Date(2026, 0, 1).getTimezoneOffset()).toBe(
        { 'America/Los_Angeles': 480, 'Asia/Tokyo': -540 }[here] ?? 0,
      )
      const local = cursor(z.iso.datetime({ local: true }))
      expect(local.sent('2026-01-01T10:00:00.25', 'iso')).toBe('2026-01-01T10:00:00.250Z')
      expect(local.sent('2026-01-01T10:00', 'epoch_s')).toBe(String(Date.UTC(2026, 0, 1, 10) / 1000))
      expect(local.time('2026-01-01T10:00:00')).toBe(Date.UTC(2026, 0, 1, 10))
      const about = { partner: 'shop', name: 'rows' }
      const time = cursor(z.iso.datetime())
      expect(boundOf(time, about, 'since', '2026-01-01T10:00:00')).toBe('2026-01-01T10:00:00.000Z')
    },
  )
  test('a minute stands for its first second', () => {
    const time = cursor(z.iso.datetime())
    expect(Math.sign(time.compare('2026-01-01T10:00Z', '2026-01-01T10:00:30Z'))).toBe(-1)
    expect(Math.sign(time.compare('2026-01-01T10:01Z', '2026-01-01T10:00:30Z'))).toBe(1)
  })
  test('a date stands for its day: its lag are days, and bounds that are times lose none', () => {
    for (const day of [cursor(z.iso.date()), cursor(z.iso.date().nullable())]) {
      expect(day.less('2026-03-01', 1)).toBe('2026-02-28')
      expect(day.less('2026-03-01', 86_400_000)).toBe('2026-02-28')
      expect(day.less('2026-03-01', 0)).toBe('2026-03-01')
      expect(day.sent('2026-03-01', undefined)).toBe('2026-03-01')
      expect(day.sent('2026-03-01', 'epoch_s')).toBe(String(Date.UTC(2026, 2, 1) / 1000))
      const about = { partner: 'shop', name: 'rows' }
      expect(boundOf(day, about, 'since', '2026-03-01T05:00:00Z')).toBe('2026-03-01')
      expect(boundOf(day, about, 'until', '2026-03-01T05:00:00Z')).toBe('2026-03-02')
      expect(boundOf(day, about, 'until', '2026-03-02')).toBe('2026-03-02')
      expect(() => boundOf(day, about, 'since', 'lately')).toThrow('is no time')
    }
  })
})

test('numbers that are times keep their fractions in bounds, and have a lag in windows too', () => {
  const since = { parameter: 'since' }
  const seconds = cursor(z.number(), { incremental: { since, form: 'epoch_s' } })
  expect(seconds.sent('1700000000.5', 'epoch_s', 'up')).toBe('1700000001')
  expect(seconds.sent('1700000000.5', 'epoch_s')).toBe('1700000000')
  expect(seconds.sent('-1.5', 'epoch_s')).toBe('-2')
  expect(seconds.less('1700000000.5', 250)).toBe('1700000000')
  const windows = { partitions: { windowMs: 1000, from: '2026-01-01T00:00:00Z', since, until: since } }
  expect(cursor(z.int(), windows).less('1700000000000', 5_000)).toBe('1699999995000')
})

describe('what changes while a pass runs', () => {
  const minute = (count: number) => new Date(Date.UTC(2026, 0, 1, 0, count)).toISOString()
  const cursors: readonly [string, (at: string) => unknown, z.ZodType, TimeForm | undefined][] = [
    ['times', (at) => at, Row.shape.at, undefined],
    ['epoch milliseconds', (at) => Date.parse(at), z.int(), 'epoch_ms'],
    ['epoch seconds', (at) => Date.parse(at) / 1000, z.int(), 'epoch_s'],
  ]
  test.each(cursors)('is handed on by the next one: %s', async (_name, of, schema, form) => {
    const all = Array.from({ length: 6 }, (_, id) => ({ id, name: 'old', at: of(minute(id)) }))
    let now = Date.UTC(2026, 0, 1, 1)
    const { url } = await serve(({ query }, count) => {
      const from = Number(query['after'] ?? 0)
      if (count === 2) {
        // Behind the page that was read already, and below what the last page is about to hold.
        Object.assign(all[0]!, { name: 'new', at: of(minute(60)) })
        Object.assign(all[5]!, { name: 'new', at: of(minute(61)) })
      }
      const least =
        query['since'] === undefined ? undefined : form === undefined ? query['since'] : Number(query['since'])
      return {
        body: slice(
          all.filter(({ at }) => least === undefined || (at as string) >= (least as string)),
          from,
          2,
        ),
      }
    })
    const clock = { now: () => now, sleep: () => Promise.resolve() }
    const declaration = declare({ since: { parameter: 'since' }, ...(form && { form }) }).rows
    const streams = { rows: { ...declaration, schema: Row.extend({ name: z.string(), at: schema }) } }
    const connection = openStreams(url, streams, { runtime: { clock } })
    const first = await readAll(connection, 'rows')
    expect(first.rows.map(({ name }) => name)).toEqual(['old', 'old', 'old', 'old', 'old', 'new'])
    now += 3_600_000
    const next = await readAll(connection, 'rows', { checkpoint: first.checkpoint })
    expect(next.rows.map(({ id, name }) => [id, name])).toEqual([
      [0, 'new'],
      [5, 'new'],
    ])
    const last = await readAll(connection, 'rows', { checkpoint: next.checkpoint })
    expect(ids(last.rows)).toEqual([5])
  })

  test.each([true, false])('a record that is dated into the future hides none (ordered: %s)', async (ordered) => {
    const all = [
      { id: 0, at: minute(0) },
      { id: 1, at: '2099-01-01T00:00:00Z' },
    ]
    const { url } = await serve(({ query }) => ({
      body: slice(
        all.filter(({ at }) => at >= (query['since'] ?? '')),
        Number(query['after'] ?? 0),
        1,
      ),
    }))
    let now = Date.UTC(2026, 0, 1, 1)
    const clock = { now: () => now, sleep: () => Promise.resolve() }
    const connection = openStreams(url, declare({ since: { parameter: 'since' }, ordered }), { runtime: { clock } })
    const first = await readAll(connection, 'rows')
    expect(ids(first.rows)).toEqual([0, 1])
    now += 3_600_000
    all.splice(1, 0, { id: 2, at: minute(90) })
    const next = await readAll(connection, 'rows', { checkpoint: first.checkpoint })
    expect(ids(next.rows)).toEqual([2, 1])
    // A clock that is wrong by years takes nothing back.
    now = Date.UTC(1999, 0, 1)
    const last = await readAll(connection, 'rows', { checkpoint: next.checkpoint })
    expect(last.checkpoint).toEqual(next.checkpoint)
  })

  test('a day is handed on again until it is over, where the partner has no filter', async () => {
    const all = [
      { id: 0, at: '2026-01-01' },
      { id: 1, at: '2026-01-02' },
    ]
    const { url } = await serve(({ query }) => ({ body: slice(all, Number(query['after'] ?? 0), 9) }))
    let now = Date.UTC(2026, 0, 2, 9)
    const clock = { now: () => now, sleep: () => Promise.resolve() }
    const declaration = declare(undefined).rows
    const streams = { rows: { ...declaration, schema: z.object({ id: z.int(), at: z.iso.date() }) } }
    const connection = openStreams(url, streams, { runtime: { clock } })
    const morning = await readAll(connection, 'rows')
    expect(morning.checkpoint).toEqual({ rest: 1, cursor: '2026-01-01' })
    now = Date.UTC(2026, 0, 2, 17)
    all.push({ id: 2, at: '2026-01-02' })
    const evening = await readAll(connection, 'rows', { checkpoint: morning.checkpoint })
    expect(ids(evening.rows)).toEqual([1, 2])
    now = Date.UTC(2026, 0, 3, 9)
    const over = await readAll(connection, 'rows', { checkpoint: evening.checkpoint })
    expect(over.checkpoint).toEqual({ rest: 1, cursor: '2026-01-02' })
    expect((await readAll(connection, 'rows', { checkpoint: over.checkpoint })).rows).toEqual([])
  })
})
