import { refusal, refuse } from '@ecokit/connect/writing'
import type { AnyRecord } from '@ecokit/contracts'
import { copyEncoder } from './encode.ts'
import type { Column } from './columns.ts'

/** One row in COPY's text format, without the end of its line, and where its record stood. */
export interface Row {
  readonly index: number
  readonly text: string
}
export interface Rejected {
  readonly index: number
  readonly reason: string
}

/** How many characters a column of somebody's table holds, by its type: PostgreSQL cuts off blanks that are too many without a word. */
export const lengthOf = (sql: string): number | undefined => {
  const most = /^character varying\((\d+)\)$/.exec(sql)?.[1]
  return most === undefined ? undefined : Number(most)
}

/** Turns records into rows of the table's columns; refuses a record with a field that has no column. `json`: they were read from JSON text, where a number has no type of its own. */
export const rowMaker = (columns: readonly Column[], json = false): ((record: unknown) => string) => {
  const encoders = columns.map(({ name, type, sql }) => ({
    name,
    encode: copyEncoder(type, json),
    most: lengthOf(sql),
  }))
  const known = new Set(columns.map(({ name }) => name))
  return (record) => {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return refuse('not an object')
    const fields = record as AnyRecord
    for (const name of Object.keys(fields))
      if (!known.has(name) && fields[name] !== undefined) refuse(`${name}: there is no such column`)
    let row = ''
    let first = true
    for (const { name, encode, most } of encoders) {
      if (!first) row += '\t'
      first = false
      try {
        const value = Object.hasOwn(fields, name) ? fields[name] : undefined
        if (most !== undefined && typeof value === 'string' && value.length > most && Array.from(value).length > most)
          refuse(`too long for the ${most} characters that the column holds`)
        row += encode(value)
      } catch (thrown) {
        const reason = refusal(thrown)
        if (reason === undefined) throw thrown
        refuse(`${name}: ${reason}`)
      }
    }
    return row
  }
}

/** Sorts records into rows that can be stored and those that cannot, by their index. */
export const sortRecords = (
  records: Iterable<() => unknown>,
  makeRow: (record: unknown) => string,
): { readonly rows: Row[]; readonly rejected: Rejected[] } => {
  const rows: Row[] = []
  const rejected: Rejected[] = []
  let index = 0
  for (const give of records) {
    try {
      rows.push({ index, text: makeRow(give()) })
    } catch (thrown) {
      const reason = refusal(thrown)
      if (reason === undefined) throw thrown
      rejected.push({ index, reason })
    }
    index += 1
  }
  return { rows, rejected }
}
