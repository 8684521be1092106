import { toJson } from '@ecokit/contracts'
import type { Paint, Shade } from './terminal.ts'
import { cut, cutStart, visible, width } from './text.ts'

/** One column: its heading and how a row's cell reads. */
export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | number | null | undefined
  /** Numbers stand at the right. */
  readonly right?: boolean
  readonly shade?: (row: Row) => Shade | undefined
  /** Cells below which it is not cut, for less of it says nothing: `whole` for names, ids, times. Numbers are whole anyhow. Default 8. */
  readonly least?: number
  /** Left out before the others where the line is short; of several the last one first. */
  readonly spare?: boolean
  /** Where it has to be cut, its end is what tells, as of a path. */
  readonly end?: boolean
}

/** A column that is shown whole or not at all. */
export const whole = Infinity

export interface TableOptions {
  readonly paint: Paint
  /** Cells that a line may take; undefined where nobody counts them (a pipe). */
  readonly columns?: number | undefined
}

const gap = 2
const narrowest = 8

interface Fitting {
  /** Where the column stands among all of them. */
  readonly at: number
  readonly width: number
  readonly least: number
  readonly spare: boolean
}

/** The columns that fit with their widths: where the least of each is too much, spare ones go, then those at the right; then the widest are cut. */
const fit = (natural: readonly Fitting[], limit: number): readonly Fitting[] => {
  const total = (widths: readonly number[]) => widths.reduce((sum, one) => sum + one + gap, -gap)
  let kept = natural
  while (kept.length > 1 && total(kept.map(({ least }) => least)) > limit) {
    const gone = kept.findLast(({ spare }) => spare) ?? kept.at(-1)
    kept = kept.filter((column) => column !== gone)
  }
  while (total(kept.map(({ width }) => width)) > limit) {
    const widest = Math.max(...kept.map(({ width, least }) => (width > least ? width : 0)))
    if (widest === 0) return kept.map((column) => ({ ...column, width: Math.max(1, limit) }))
    const last = kept.findLast(({ width, least }) => width === widest && width > least)
    const next = Math.max(...kept.map(({ width }) => (width < widest ? width : 0)))
    const over = total(kept.map(({ width }) => width)) - limit
    kept = kept.map((column) =>
      column === last
        ? { ...column, width: Math.max(column.least, Math.min(next || 1, widest - 1), widest - over) }
        : column,
    )
  }
  return kept
}

/** Lines of an aligned table; on a terminal it is cut to fit, and says how many columns it left out. */
export const table = <Row>(columns: readonly Column<Row>[], rows: readonly Row[], options: TableOptions): string => {
  const { paint } = options
  const cells = rows.map((row) => columns.map(({ cell }) => visible(String(cell(row) ?? ''))))
  const natural = columns.map(({ title, right, least = narrowest, spare = false }, at) => {
    const widest = Math.max(0, ...cells.map((line) => width(line[at] ?? '')))
    const full = Math.max(width(title), widest)
    // A number that is cut is another number; its title may be.
    const uncut = right === true || least === whole ? widest : least
    return { at, width: full, least: Math.min(full, Math.max(uncut, Math.min(narrowest, full))), spare }
  })
  const shown = options.columns === undefined ? natural : fit(natural, options.columns)
  const line = (texts: readonly string[], shades: (at: number) => Shade | undefined) =>
    shown
      .map(({ at, width: cells }, place) => {
        const text = (columns[at]?.end === true ? cutStart : cut)(texts[at] ?? '', cells)
        const padding = ' '.repeat(cells - width(text))
        const shade = shades(at)
        const painted = shade === undefined ? text : paint(shade, text)
        if (columns[at]?.right === true) return padding + painted
        return place === shown.length - 1 ? painted : painted + padding
      })
      .join(' '.repeat(gap))
  const lines = [
    line(
      columns.map(({ title }) => title),
      () => 'bold',
    ),
    ...rows.map((row, index) => line(cells[index] ?? [], (at) => columns[at]?.shade?.(row))),
  ]
  const left = columns.filter((_, at) => !shown.some((column) => column.at === at)).map(({ title }) => title)
  if (left.length > 0)
    lines.push(
      paint('dim', `${left.length} more ${left.length === 1 ? 'column' : 'columns'} did not fit: ${left.join(', ')}`),
    )
  return `${lines.join('\n')}\n`
}

/** How one value of a record reads in a cell or a CSV field. */
export const plain = (value: unknown): string => {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (value === null || value === undefined) return ''
  return value instanceof Date ? value.toISOString() : toJson(value)
}

/** Columns for records of any shape, in the order of `names`. */
export const recordColumns = (
  names: readonly string[],
  rows: readonly Readonly<Record<string, unknown>>[],
): readonly Column<Readonly<Record<string, unknown>>>[] =>
  names.map((name) => ({
    title: name,
    cell: (row) => plain(row[name]),
    right: rows.some((row) => ['number', 'bigint'].includes(typeof row[name])),
  }))
