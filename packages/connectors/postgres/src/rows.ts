import { fromJson, integrationError } from '@ecokit/contracts'
import type { AnyRecord } from '@ecokit/contracts'
import { copyEncoder } from './encode.ts'
import { refusal, refuse } from './refused.ts'
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

/** The lines of NDJSON bytes, without the empty ones. */
export const linesOf = function* (bytes: Uint8Array): Iterable<Uint8Array> {
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(10, start)
    const stop = end === -1 ? bytes.length : end
    const line = bytes.subarray(start, bytes[stop - 1] === 13 ? stop - 1 : stop)
    if (line.length > 0) yield line
    start = stop + 1
  }
}
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** The record of one line. */
export const parseLine = (line: Uint8Array): unknown => {
  let text: string
  try {
    text = decoder.decode(line)
  } catch {
    return refuse('not UTF-8')
  }
  try {
    return fromJson(text)
  } catch {
    return refuse('not JSON')
  }
}

/** Turns records into rows of the table's columns; refuses a record with a field that has no column. */
export const rowMaker = (columns: readonly Column[]): ((record: unknown) => string) => {
  const encoders = columns.map(({ name, type }) => ({ name, encode: copyEncoder(type) }))
  const known = new Set(columns.map(({ name }) => name))
  return (record) => {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return refuse('not an object')
    const fields = record as AnyRecord
    for (const name of Object.keys(fields))
      if (!known.has(name) && fields[name] !== undefined) refuse(`${name}: there is no such column`)
    let row = ''
    let first = true
    for (const { name, encode } of encoders) {
      if (!first) row += '\t'
      first = false
      try {
        row += encode(Object.hasOwn(fields, name) ? fields[name] : undefined)
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

/** The rows of deletes: the key's columns filled, the others empty. A key that cannot be read ends the write. */
export const sortDeletes = (
  deleted: readonly AnyRecord[],
  keys: readonly string[],
  columns: readonly Column[],
  about: { readonly partner: string; readonly table: string },
): readonly string[] => {
  if (deleted.length === 0) return []
  if (keys.length === 0)
    throw integrationError('unsupported', {
      partner: about.partner,
      what: `table ${about.table} has no primary key, so nothing can be deleted from it`,
      details: { what: 'deleted' },
    })
  const makeRow = rowMaker(columns)
  return deleted.map((record) => {
    try {
      return makeRow(Object.fromEntries(keys.map((key) => [key, record[key]])))
    } catch (thrown) {
      const reason = refusal(thrown)
      if (reason === undefined) throw thrown
      throw integrationError('invalid_data', {
        partner: about.partner,
        what: `table ${about.table}: a deleted record's key cannot be read: ${reason}`,
        details: { stream: about.table, field: keys.join(', ') },
      })
    }
  })
}
