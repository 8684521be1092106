import { expect, test } from 'vitest'
import { ago, bytes, cell, duration, smallestIsBest } from '../src/app/format.ts'
import { sorted } from '../src/app/sort.ts'

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
