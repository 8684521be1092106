import { expect, test } from 'vitest'
import { ago, bytes, cell, duration, smallestIsBest } from '../src/app/format.ts'
import type { LineageEvent, Run } from '../src/app/api.ts'
import { ratesOf, remember } from '../src/app/rates.ts'
import { sorted } from '../src/app/sort.ts'
import { ahead, changeWords, whenOf } from '../src/app/words.ts'

test('durations and ages are said as people say them', () => {
  expect([850, 12_340, 60_000, 245_000, 3_600_000, 86_400_000].map(duration)).toEqual([
    '850 ms',
    '12.3 s',
    '1 min',
    '4 min 5 s',
    '1 h',
    '24 h',
  ])
  expect(ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:03:10Z'))).toBe('3 min ago')
  expect([12, 2048, 5 * 1024 ** 2].map(bytes)).toEqual(['12 B', '2.0 kB', '5.0 MB'])
})

test('cells keep what matters', () => {
  expect([null, 0.123456789, 3, '2026-01-01T10:00:00.000Z', { a: 1 }, false].map(cell)).toEqual([
    '',
    '0.12346',
    '3',
    '2026-01-01 10:00:00',
    '{"a":1}',
    'false',
  ])
})

test('a metric is judged by its name, and a row without a value is last either way', () => {
  expect(['accuracy', 'val_loss', 'rmse', 'f1'].map(smallestIsBest)).toEqual([false, true, true, false])
  const rows = [{ v: 2 }, { v: undefined }, { v: 3 }, { v: NaN }]
  expect(sorted(rows, (row) => row.v, true).map((row) => row.v)).toEqual([3, 2, undefined, NaN])
  expect(sorted(rows, (row) => row.v, false).map((row) => row.v)).toEqual([2, 3, undefined, NaN])
})

test('rates are made of what was seen and of what is stored, without going backwards', () => {
  const at = (second: number) => new Date(1_790_000_000_000 + second * 1000).toISOString()
  const run = (read: number, ended: number | undefined): Run => {
    const status = ended === undefined ? 'running' : 'completed'
    const endedAt = ended === undefined ? null : at(ended)
    const counts = { read, written: read, quarantined: 0, deleted: 0, requests: 1, bytes: 0, durationMs: 0, drift: [] }
    const about = { table: 's', mode: 'full_refresh', disposition: 'merge', startedAt: at(0), endedAt }
    const totals = { streams: 1, read, written: read, quarantined: 0, deleted: 0 }
    return {
      ...{ totals, id: 'r', pipeline: 'p', source: 'a', sink: 'b', trigger: 'manual', full: false, warnings: [] },
      ...{ status, startedAt: at(0), endedAt, streams: [{ stream: 's', status, ...about, ...counts }] },
    }
  }
  const event = (second: number, rowCount: number): LineageEvent => ({
    eventType: 'RUNNING',
    eventTime: at(second),
    job: { namespace: 'default', name: 'p.s' },
    inputs: [{ namespace: 'n', name: 's', inputFacets: { inputStatistics: { rowCount } } }],
  })
  remember(run(100, undefined), Date.parse(at(1)))
  remember(run(100, undefined), Date.parse(at(1.1)))
  const rates = ratesOf(run(700, 4), 's', [event(2, 300), event(3, 200)])
  expect(rates.map(({ perSecond }) => Math.round(perSecond))).toEqual([100, 200, 200])
  expect(ratesOf(run(700, 4), 'other', [])).toEqual([])
})

test('schedules and changes are said in words', () => {
  expect(whenOf({ schedule: null, everyMs: 300_000 })).toBe('every 5 min')
  expect(whenOf({ schedule: null, everyMs: null })).toBe('by hand')
  const now = Date.parse('2026-01-01T00:00:00Z')
  expect(
    ['2026-01-01T00:00:12Z', '2026-01-01T02:30:00Z', '2025-12-31T00:00:00Z'].map((time) => ahead(time, now)),
  ).toEqual(['in 12 s', 'in 2 h', 'now'])
  expect(changeWords({ kind: 'type_changed', field: 'size', before: 'integer', after: 'string' })).toBe(
    'column size changed from integer to string',
  )
  expect(changeWords({ kind: 'something_new', field: 'x' })).toBe('something_new x')
})
