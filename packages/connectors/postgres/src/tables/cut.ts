import { linesOf, parseLine, refusal } from '@ecokit/connect/writing'
import { lengthOf } from '../rows.ts'
import { openValues } from './cut-values.ts'
import type { Column } from '../columns.ts'
import type { Rejected } from '../rows.ts'

/** Rows in COPY's text format, and what became of the records. */
export interface Cut {
  /** Good until the next call. */
  readonly bytes: Uint8Array
  readonly rows: number
  readonly rejected: readonly Rejected[]
}

const [comma, openBrace, closeBrace] = [44, 123, 125]

/**
 * Cuts proven NDJSON into rows without making objects. What it does not take for plain goes, line by line, to `makeRow`.
 * `tail` follows the row of that place.
 */
export const openCutter = (
  columns: readonly Column[],
  makeRow: (record: unknown) => string,
  longest: number,
): ((lines: Uint8Array, tail: (place: number) => string) => Cut) => {
  let bytes: Uint8Array = new Uint8Array(0)
  const values = openValues()
  const parts = columns.map((column) => ({
    key: Buffer.from(`${JSON.stringify(column.name)}:`),
    step: lengthOf(column.sql) === undefined ? values.stepOf(column.type) : () => -1,
  }))
  const isKey = (key: Uint8Array, at: number): boolean => {
    for (let index = 0; index < key.length; index += 1) if (bytes[at + index] !== key[index]) return false
    return true
  }
  const missing = (column: number): void => {
    if (column > 0) values.byte(9)
    values.byte(92)
    values.byte(78)
  }
  /** Puts the row of the line that is in `bytes`; false where it is not plain. */
  const line = (): boolean => {
    let at = 1
    let column = 0
    if (bytes[0] !== openBrace) return false
    while (bytes[at] !== closeBrace) {
      let part = parts[column]
      while (part !== undefined && !isKey(part.key, at)) {
        missing(column)
        part = parts[(column += 1)]
      }
      if (part === undefined) return false
      at += part.key.length
      if (values.isNull(at)) {
        missing(column)
        at += 4
      } else {
        if (column > 0) values.byte(9)
        at = part.step(at)
        if (at < 0) return false
      }
      column += 1
      if (bytes[at] === comma) at += 1
      else if (bytes[at] !== closeBrace) return false
    }
    for (; column < parts.length; column += 1) missing(column)
    return at === bytes.length - 1
  }
  return (lines, tail) => {
    values.rewind(0)
    let rows = 0
    let index = 0
    const rejected: Rejected[] = []
    for (const found of linesOf(lines)) {
      bytes = found
      values.load(found)
      // No byte becomes more than two, but for what stands around values.
      values.reserve(found.length * 2 + columns.length * 5 + 64)
      const start = values.end()
      let stored = found.length <= longest && line()
      if (!stored) {
        values.rewind(start)
        try {
          const text = makeRow(parseLine(found))
          values.reserve(Buffer.byteLength(text) + 64)
          values.text(text)
          stored = true
        } catch (thrown) {
          const reason = refusal(thrown)
          if (reason === undefined) throw thrown
          rejected.push({ index, reason })
        }
      }
      if (stored) {
        values.text(`${tail(rows)}\n`)
        rows += 1
      }
      index += 1
    }
    return { bytes: values.bytes(), rows, rejected }
  }
}
