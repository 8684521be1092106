import { toJson } from '@ecokit/contracts'
import type { Paint, Shade } from './terminal.ts'
import { cut, visible, width } from './text.ts'

/** One column: its heading and how a row's cell reads. */
export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | number | null | undefined
  /** Numbers stand at the right. */
  readonly right?: boolean
  readonly shade?: (row: Row) => Shade | undefined
}

export interface TableOptions {
  readonly paint: Paint
  /** Cells that a line may take; undefined where nobody counts them (a pipe). */
  readonly columns?: number | undefined
}

const gap = 2
const narrowest = 8

/** The widths of the columns that fit, from the left; the widest are cut first. */
const fit = (natural: readonly number[], limit: number): readonly number[] => {
  let widths = [...natural]
  const total = () => widths.reduce((sum, one) => sum + one + gap, -gap)
  while (total() > limit) {
    const widest = Math.max(...widths)
    if (widest > narrowest) {
      const over = total() - limit
      const next = Math.max(narrowest, ...widths.filter((one) => one < widest))
      const last = widths.lastIndexOf(widest)
      widths[last] = Math.max(next === widest ? widest - 1 : next, widest - over)
    } else if (widths.length > 1) widths = widths.slice(0, -1)
    else return [Math.max(1, limit)]
  }
  return widths
}

/** Lines of an aligned table; on a terminal it is cut to fit, and says how many columns it left out. */
export const table = <Row>(columns: readonly Column<Row>[], rows: readonly Row[], options: TableOptions): string => {
  const { paint } = options
  const cells = rows.map((row) => columns.map(({ cell }) => visible(String(cell(row) ?? ''))))
  const natural = columns.map(({ title }, at) => Math.max(width(title), ...cells.map((line) => width(line[at] ?? ''))))
  const widths = options.columns === undefined ? natural : fit(natural, options.columns)
  const line = (texts: readonly string[], shades: (at: number) => Shade | undefined) =>
    widths
      .map((cells, at) => {
        const text = cut(texts[at] ?? '', cells)
        const padding = ' '.repeat(cells - width(text))
        const shade = shades(at)
        const painted = shade === undefined ? text : paint(shade, text)
        if (columns[at]?.right === true) return padding + painted
        return at === widths.length - 1 ? painted : painted + padding
      })
      .join(' '.repeat(gap))
  const titles = columns.map(({ title }) => title)
  const lines = [
    line(titles, () => 'bold'),
    ...rows.map((row, index) => line(cells[index] ?? [], (at) => columns[at]?.shade?.(row))),
  ]
  const left = columns.length - widths.length
  if (left > 0) lines.push(paint('dim', `${left} more columns did not fit: ${titles.slice(-left).join(', ')}`))
  return `${lines.join('\n')}\n`
}

/** How one value of a record reads in a cell or a CSV field. */
export const plain = (value: unknown): string => {
  if (typeof value === 'string' || typeof value === 'number') return String(value)
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
