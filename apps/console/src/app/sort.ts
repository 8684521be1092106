import { cell } from './format.ts'

const compare = (a: unknown, b: unknown): number => {
  // Rows without a value stand last, whichever way it is sorted.
  const missing = (value: unknown): boolean =>
    value === undefined || value === null || value === '' || Number.isNaN(value)
  if (missing(a) || missing(b)) return missing(a) === missing(b) ? 0 : missing(a) ? Infinity : -Infinity
  return typeof a === 'number' && typeof b === 'number'
    ? a - b
    : cell(a).localeCompare(cell(b), 'en', { numeric: true })
}

/** Rows in an order; a row without a value in that column is last. */
export const sorted = <T>(rows: readonly T[], value: (row: T) => unknown, descending: boolean): readonly T[] =>
  [...rows].sort((a, b) => {
    const order = compare(value(a), value(b))
    return Number.isFinite(order) ? (descending ? -order : order) : Math.sign(order)
  })
