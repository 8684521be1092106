import { linesOf, parseLine, refusal, refuse } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { Batch, Written } from '@ecokit/contracts'
import { nullable, storer } from './values.ts'
import type { Column } from './columns.ts'
import type { Stored } from './values.ts'

type Row = readonly Stored[]
type AnyBatch = Batch<Readonly<Record<string, unknown>>>

/** `json`: the record was read from JSON text, where a number has no type of its own. */
export type RowMaker = (record: unknown, json?: boolean) => Row
/** Turns records into rows of the table's columns; refuses a record with a field that has no column. */
export const rowMaker = (columns: readonly Column[]): RowMaker => {
  const [ofRecords, ofJson] = [false, true].map((json) => columns.map((column) => nullable(storer(column.type, json))))
  const known = new Set(columns.map(({ name }) => name))
  return (record, json = false) => {
    const stores = json ? ofJson : ofRecords
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return refuse('not an object')
    const fields = record as Readonly<Record<string, unknown>>
    for (const name of Object.keys(fields))
      if (!known.has(name) && fields[name] !== undefined) refuse(`${name}: there is no such column`)
    return columns.map(({ name }, index) => {
      try {
        return stores?.[index]?.(Object.hasOwn(fields, name) ? fields[name] : undefined) ?? null
      } catch (thrown) {
        const reason = refusal(thrown)
        if (reason === undefined) throw thrown
        return refuse(`${name}: ${reason}`)
      }
    })
  }
}

/** Sorts a batch into rows that can be stored and records that cannot, by their index. */
export const sortBatch = (
  batch: AnyBatch,
  makeRow: RowMaker,
  about: { readonly partner: string; readonly table: string },
): { readonly rows: readonly Row[]; readonly rejected: Written['rejected'] } => {
  if (batch.encoding === 'arrow')
    throw integrationError('unsupported', {
      partner: about.partner,
      what: `table ${about.table}: Arrow batches are not taken`,
      next: 'Hand over records or NDJSON',
      details: { what: 'arrow' },
    })
  const rows: Row[] = []
  const rejected: { index: number; reason: string }[] = []
  let index = 0
  const take = (give: () => unknown) => {
    try {
      rows.push(makeRow(give(), batch.encoding === 'ndjson'))
    } catch (thrown) {
      const reason = refusal(thrown)
      if (reason === undefined) throw thrown
      rejected.push({ index, reason })
    }
    index += 1
  }
  if (batch.encoding === 'records') for (const record of batch.records) take(() => record)
  else for (const line of linesOf(batch.bytes)) take(() => parseLine(line))
  return { rows, rejected }
}
