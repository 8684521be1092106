import { integrationError } from '@ecokit/contracts'
import type { Column } from '../columns.ts'

const numeric = /^numeric(?:\((\d+),(-?\d+)\))?$/
const whole: Readonly<Record<string, number>> = { smallint: 5, integer: 10, bigint: 19 }

/** Whether every value of one type is a value of the other and reads the same. */
const holds = (wider: string, narrower: string): boolean => {
  if (wider === narrower) return true
  if (wider === 'bigint') return narrower === 'integer' || narrower === 'smallint'
  if (wider === 'integer') return narrower === 'smallint'
  if (wider === 'double precision') return narrower === 'real'
  if (wider === 'text') return narrower.startsWith('character varying')
  const [one, other] = [numeric.exec(wider), numeric.exec(narrower)]
  if (one === null) return false
  if (one[1] === undefined) return other !== null || whole[narrower] !== undefined
  const [digits, places] = [Number(one[1]), Number(one[2])]
  const digitsNeeded = whole[narrower]
  if (digitsNeeded !== undefined) return digits - places >= digitsNeeded
  if (other?.[1] === undefined) return false
  return places >= Number(other[2]) && digits - places >= Number(other[1]) - Number(other[2])
}
/** Types of other people's tables that take a stream's texts as they are, or refuse them one by one. */
const takes = (present: string, wanted: string): boolean =>
  holds(present, wanted) || (wanted === 'text' && /^(?:character varying|citext)/.test(present))

/** How a stream's columns go into a table that is there. */
export interface Fit {
  /** The columns with the types that the table has, or will have. */
  readonly columns: readonly Column[]
  readonly added: readonly Column[]
  readonly widened: readonly Column[]
}

/** Compares; a type that changed in a way that could lose something is `invalid_data`. `there` maps the table's columns to their types. */
export const fit = (
  columns: readonly Column[],
  there: ReadonlyMap<string, string>,
  table: string,
  partner: string,
): Fit => {
  const added: Column[] = []
  const widened: Column[] = []
  const fitted = columns.map((column) => {
    const before = there.get(column.name)
    if (before === undefined) {
      added.push(column)
      return column
    }
    if (takes(before, column.sql)) return { ...column, sql: before }
    if (!holds(column.sql, before))
      throw integrationError('invalid_data', {
        partner,
        what: `table ${table}: column ${column.name} holds ${before}, and the stream brings ${column.sql}`,
        next: 'Rename the field, write to another table, or replace the whole table with overwrite',
        details: { stream: table, field: column.name },
      })
    widened.push(column)
    return column
  })
  return { columns: fitted, added, widened }
}
