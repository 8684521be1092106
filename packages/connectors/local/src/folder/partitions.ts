import { createHash } from 'node:crypto'
import { identifier } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import { partitionPattern } from '../partition-pattern.ts'
import { plainText } from './text.ts'
import type { Column, ColumnType } from '../columns.ts'
import type { Stored } from '../values.ts'

const units = ['year', 'month', 'day', 'hour'] as const
type Unit = (typeof units)[number]
/** By what a table's rows are put into folders. */
export interface Partition {
  /** In the folder's name, before `=`. */
  readonly name: string
  readonly column: string
  /** Absent: by the value itself. */
  readonly unit: Unit | undefined
}

const values = ['boolean', 'bigint', 'varchar', 'date']
const times = ['date', 'timestamptz', 'timestamp']
/** What is against a column of this type. */
const faultOf = ({ column, unit }: Partition, { kind }: ColumnType): string | undefined => {
  if (unit === undefined)
    return values.includes(kind)
      ? undefined
      : times.includes(kind)
        ? `${column} cannot be partitioned by as it is: write ${units
            .map((one) => `${one}(${column})`)
            .join(', ')
            .replace(/, (?=\S+$)/, ' or ')}`
        : `${column} cannot be partitioned by: choose a date, a time, a text, an integer or a boolean`
  if (!times.includes(kind)) return `${column} has no year, month, day or hour: it is neither a date nor a time`
  return unit === 'hour' && kind === 'date' ? `${column} has no hour: it is a date` : undefined
}

/** By what the config partitions a table of these columns. */
export const partitionsOf = (
  partner: string,
  partitionBy: Readonly<Record<string, readonly string[]>> | undefined,
  table: string,
  columns: readonly Column[],
): readonly Partition[] => {
  const by = partitionBy !== undefined && Object.hasOwn(partitionBy, table) ? (partitionBy[table] ?? []) : []
  const wrong = (what: string) =>
    integrationError('invalid_config', {
      partner,
      what: `table ${table}: ${what}`,
      details: { field: `config.partitionBy.${table}` },
    })
  const found: Partition[] = []
  for (const written of by) {
    const [, unit, timed, plain] = partitionPattern.exec(written) ?? []
    const name = timed ?? plain
    if (name === undefined)
      throw wrong(`${written} is neither a column with a plain name nor a unit of a time, as in day(started_at)`)
    const partition = {
      column: name,
      unit: unit as Unit | undefined,
      name: unit === undefined ? name : `${name}_${unit}`,
    }
    const column = columns.find((one) => one.name === name)
    if (column === undefined) throw wrong(`it has no column ${name} to be partitioned by`)
    const fault = faultOf(partition, column.type)
    if (fault !== undefined) throw wrong(fault)
    const clash = columns.find((one) => one.name.toLowerCase() === partition.name.toLowerCase())
    if (unit !== undefined && clash !== undefined)
      throw wrong(
        `${written} makes folders called ${partition.name}, and there is a column ${clash.name}: rename it, or partition by another`,
      )
    if (found.some((one) => one.name === partition.name)) throw wrong(`${written} stands there twice`)
    found.push(partition)
  }
  return found
}

const none = '__HIVE_DEFAULT_PARTITION__'
const longest = 100
/** A value in the name of a folder: letters, digits, `-`, `_` and `.` stand for themselves, all else is percent-encoded as UTF-8; what is too long for a file system ends in its hash instead. */
const encoded = (text: string | null): string => {
  if (text === null) return none
  const plain = (byte: number) => /[\w.-]/.test(String.fromCharCode(byte))
  const whole = [...Buffer.from(text)].map((byte) =>
    byte < 128 && plain(byte) ? String.fromCharCode(byte) : percent(byte),
  )
  // Windows drops a dot at the end of a name. A text that reads as the mark for null is another folder.
  if (whole.at(-1) === '.') whole[whole.length - 1] = percent(46)
  if (text === none) whole[0] = percent(95)
  const name = whole.join('')
  if (name.length <= longest) return name
  // Longer than any that is written in full, so that it stands for no other value.
  let head = ''
  for (const piece of whole) if ((head += piece).length > longest - 30) break
  return `${head}~${createHash('sha256').update(text).digest('hex').slice(0, 40)}`
}
const percent = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`

/** The unit of a time or date in ISO 8601, named as Iceberg names folders. */
const cut = (text: string, unit: Unit): string => {
  if (text.endsWith('infinity')) return text
  const [date = '', clock = ''] = text.split('T')
  return unit === 'year'
    ? date.slice(0, -6)
    : unit === 'month'
      ? date.slice(0, -3)
      : unit === 'day'
        ? date
        : `${date}-${clock.slice(0, 2)}`
}

/** The folder for values of the partitions' columns, as texts: of numbers and booleans those of JSON, of dates and times ISO 8601 in UTC. The one place that decides; `''`: there are no partitions. */
export const folderOf = (partitions: readonly Partition[], texts: readonly (string | null)[]): string =>
  partitions
    .map(({ name, unit }, index) => {
      const text = texts[index] ?? null
      return `${name}=${encoded(text === null || unit === undefined ? text : cut(text, unit))}`
    })
    .join('/')

/** A partition's column where rows of these columns have it. Lines that a writer left may be of an older schema, without it or with another type: their rows are put with those that have no value. */
const fitting = (partition: Partition, columns: readonly Column[]): Column | undefined =>
  columns.find(({ name, type }) => name === partition.column && faultOf(partition, type) === undefined)

/** The folder of a row of these columns. */
export const rowFolder = (
  partitions: readonly Partition[],
  columns: readonly Column[],
): ((row: readonly Stored[]) => string) => {
  const texts = partitions.map((partition) => {
    const column = fitting(partition, columns)
    if (column === undefined) return () => null
    const [index, text] = [columns.indexOf(column), plainText(column.type)]
    return (row: readonly Stored[]) => {
      const stored = row[index] ?? null
      return stored === null ? null : text(stored)
    }
  })
  return (row) =>
    folderOf(
      partitions,
      texts.map((text) => text(row)),
    )
}

/** For SQL: the column of each partition, and a key that is the same for two rows exactly where the partition is. */
export const partitionKeys = (
  partitions: readonly Partition[],
  columns: readonly Column[],
): readonly { readonly column: string; readonly key: string }[] =>
  partitions.map((partition) => {
    const column = fitting(partition, columns)
    if (column === undefined) return { column: 'CAST(NULL AS VARCHAR)', key: 'CAST(NULL AS VARCHAR)' }
    const name = identifier(column.name)
    return { column: name, key: partition.unit === undefined ? name : unitKey(name, partition.unit, column.type) }
  })
const unitKey = (name: string, unit: Unit, { kind }: ColumnType): string => {
  // Without a zone, so that the zone of the session changes nothing. Infinities have no microseconds.
  const time = kind === 'date' ? name : `make_timestamp(epoch_us(${name}))`
  const days = `(CAST(${time} AS DATE) - DATE '1970-01-01')`
  const count = {
    year: `year(${time})`,
    month: `year(${time}) * 12 + month(${time})`,
    day: days,
    hour: `${days} * 24 + hour(${time})`,
  }[unit]
  const infinity = `CASE WHEN ${name} > DATE '2000-01-01' THEN 9e18 ELSE -9e18 END`
  return `CASE WHEN isinf(${name}) THEN CAST(${infinity} AS BIGINT) ELSE CAST(${count} AS BIGINT) END`
}
