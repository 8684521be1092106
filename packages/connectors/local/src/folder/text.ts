import { readJson, refuse } from '@ecokit/connect/writing'
import { formatDate, formatTime } from '../time.ts'
import { dateInfinity, nullable, storer, timeInfinity } from '../values.ts'
import type { Column, ColumnType } from '../columns.ts'
import type { Stored } from '../values.ts'

type Some = NonNullable<Stored>

const decimalText = (value: bigint, scale: number): string => {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  const whole = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return value < 0n ? `-${whole}` : whole
}
const timeText = (value: bigint, zone: '' | 'Z'): string =>
  value === timeInfinity ? 'infinity' : value === -timeInfinity ? '-infinity' : formatTime(value, 6, zone)
const dateText = (value: number): string =>
  value === dateInfinity ? 'infinity' : value === -dateInfinity ? '-infinity' : formatDate(value)
const numberText = (value: number): string => (Object.is(value, -0) ? '-0.0' : String(value))

/** The text of a stored value: of a cell in CSV, of a value in JSON once it is quoted where `quoted` says so. */
export const plainText = (type: ColumnType): ((stored: Some) => string) => {
  switch (type.kind) {
    case 'boolean':
    case 'bigint':
      return String
    case 'double':
      return (stored) => numberText(stored as number)
    case 'varchar':
    case 'json':
      return (stored) => stored as string
    case 'date':
      return (stored) => dateText(stored as number)
    case 'timestamptz':
      return (stored) => timeText(stored as bigint, 'Z')
    case 'timestamp':
      return (stored) => timeText(stored as bigint, '')
    case 'decimal':
      return (stored) => decimalText(stored as bigint, type.scale)
    case 'list': {
      const item = jsonOf(type.of)
      return (stored) => `[${(stored as readonly Stored[]).map(item).join(',')}]`
    }
    case 'struct': {
      const fields = type.fields.map((field) => ({ key: `${JSON.stringify(field.name)}:`, json: jsonOf(field.type) }))
      return (stored) =>
        `{${fields.map(({ key, json }, index) => key + json((stored as readonly Stored[])[index] ?? null)).join(',')}}`
    }
    case 'map': {
      const field = jsonOf(type.of)
      return (stored) =>
        `{${(stored as readonly (readonly [string, Stored])[])
          .map(([key, value]) => `${JSON.stringify(key)}:${field(value)}`)
          .join(',')}}`
    }
  }
}
const quoted = (type: ColumnType): boolean =>
  ['varchar', 'date', 'timestamptz', 'timestamp', 'decimal'].includes(type.kind)

/** JSON of a stored value; NaN and the infinities are strings, as in contracts' toJson. */
export const jsonOf = (type: ColumnType): ((stored: Stored) => string) => {
  const text = plainText(type)
  if (quoted(type)) return (stored) => (stored === null ? 'null' : JSON.stringify(text(stored)))
  if (type.kind === 'double')
    return (stored) => (stored === null ? 'null' : Number.isFinite(stored) ? text(stored) : `"${text(stored)}"`)
  return (stored) => (stored === null ? 'null' : text(stored))
}

/** A CSV cell (RFC 4180): null is empty, the empty text is `""`. */
export const cellOf = (type: ColumnType): ((stored: Stored) => string) => {
  const text = plainText(type)
  return (stored) => (stored === null ? '' : csvCell(text(stored)))
}
// A byte order mark that begins a file is not read as part of it, and a header may begin with one.
export const csvCell = (text: string): string =>
  text === '' || /^\ufeff|[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text

/** How rows of these columns stand in a file: what it begins with, and the line of each row. */
export const textForm = (
  format: 'csv' | 'ndjson',
  columns: readonly Column[],
): { readonly header: string; readonly lineOf: (row: readonly Stored[]) => string } => {
  if (format === 'csv') {
    const cells = columns.map(({ type }) => cellOf(type))
    return {
      header: `${columns.map(({ name }) => csvCell(name)).join(',')}\r\n`,
      lineOf: (row) => `${cells.map((cell, index) => cell(row[index] ?? null)).join(',')}\r\n`,
    }
  }
  const fields = columns.map(({ name, type }) => {
    const [key, json] = [`${JSON.stringify(name)}:`, jsonOf(type)]
    return (stored: Stored) => key + json(stored)
  })
  return { header: '', lineOf: (row) => `{${fields.map((field, index) => field(row[index] ?? null)).join(',')}}\n` }
}

/** A stored value as records hold it. */
const recordValue = (type: ColumnType): ((stored: Stored) => unknown) => {
  const some = ((): ((stored: Some) => unknown) => {
    switch (type.kind) {
      case 'bigint':
        return (stored) => (Number.isSafeInteger(Number(stored)) ? Number(stored) : stored)
      case 'json':
        return (stored) => readJson(stored as string, type.schema)
      case 'list': {
        const item = recordValue(type.of)
        return (stored) => (stored as readonly Stored[]).map(item)
      }
      case 'struct': {
        const fields = type.fields.map((field) => ({ name: field.name, load: recordValue(field.type) }))
        return (stored) =>
          Object.fromEntries(
            fields.map(({ name, load }, index) => [name, load((stored as readonly Stored[])[index] ?? null)]),
          )
      }
      case 'map': {
        const field = recordValue(type.of)
        return (stored) =>
          Object.fromEntries(
            (stored as readonly (readonly [string, Stored])[]).map(([key, value]) => [key, field(value)]),
          )
      }
      case 'boolean':
      case 'double':
      case 'varchar':
        return (stored) => stored
      default:
        return plainText(type)
    }
  })()
  return (stored) => (stored === null ? null : some(stored))
}

/** Checks a value that came from JSON by its column and gives it as records hold it. */
export const fromValue = (type: ColumnType): ((value: unknown) => unknown) => {
  const store = nullable(storer(type, true))
  const load = recordValue(type)
  return (value) => load(store(value))
}

/** The same for the text of a CSV cell. */
export const fromCell = (type: ColumnType): ((cell: string | null) => unknown) => {
  const read = fromValue(type)
  const parse = ((): ((cell: string) => unknown) => {
    switch (type.kind) {
      case 'boolean':
        return (cell) => (cell === 'true' ? true : cell === 'false' ? false : refuse(`${cell} is not a boolean`))
      case 'double':
        // Number() takes '' and hexadecimal too; a column of numbers does not.
        return (cell) => (/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(cell) ? Number(cell) : cell)
      case 'json':
      case 'list':
      case 'map':
      case 'struct':
        return (cell) => {
          try {
            return readJson(cell, type.kind === 'json' ? type.schema : undefined)
          } catch {
            return refuse('not JSON')
          }
        }
      default:
        return (cell) => cell
    }
  })()
  return (cell) => (cell === null ? null : read(parse(cell)))
}
