import path from 'node:path'
import { inlined } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { JsonSchema, WriteOptions } from '@ecokit/contracts'
import { columnsOf, newColumns, sqlType } from '../columns.ts'
import { endings, namesIn } from './layout.ts'
import type { Column } from '../columns.ts'
import type { FolderManifest, Format } from './layout.ts'

export interface FolderTarget {
  readonly folder: string
  readonly format: Format
  readonly partner: string
  /** A part is closed at about this size, before compression. */
  readonly partBytes?: number | undefined
  /** By table the columns, and units of times, whose values make folders. */
  readonly partitionBy?: Readonly<Record<string, readonly string[]>> | undefined
}

/** The new schema with the columns that only the old one has, so that older parts stay readable. */
export const grown = (old: JsonSchema, now: JsonSchema): JsonSchema => {
  const properties = now['properties'] as Readonly<Record<string, unknown>>
  const before = Object.entries((old['properties'] ?? {}) as Readonly<Record<string, unknown>>)
  const retired = before
    .filter(([name]) => !Object.hasOwn(properties, name))
    .map(([name, field]) => [name, inlined(field, old)])
  return { ...now, properties: { ...properties, ...Object.fromEntries(retired) } }
}

/** Refuses a folder that holds something else than this table in this format. */
export const checkFolder = async (
  directory: string,
  manifest: FolderManifest | undefined,
  { format, partner }: FolderTarget,
  { table, disposition }: WriteOptions,
  columns: readonly Column[],
): Promise<void> => {
  const clash = (what: string) =>
    integrationError('conflict', {
      partner,
      what: `${directory} ${what}`,
      next: 'Choose another table name, or move the files away',
      details: {},
    })
  if (manifest === undefined) {
    const foreign = (await namesIn(directory)).find((name) => path.extname(name).toLowerCase() in endings)
    if (foreign !== undefined) throw clash(`holds files of somebody else (${foreign})`)
    return
  }
  if (manifest.table !== table.name) throw clash(`holds the table ${manifest.table}`)
  if (manifest.format !== format) throw clash(`holds the table as ${manifest.format}`)
  if (disposition === 'append') {
    const present = columnsOf({ name: table.name, schema: manifest.schema }, partner)
    const spelt = new Map(present.map(({ name }) => [name.toLowerCase(), name]))
    const other = columns.find(({ name }) => (spelt.get(name.toLowerCase()) ?? name) !== name)
    if (other !== undefined)
      throw integrationError('invalid_data', {
        partner,
        what: `table ${table.name}: the column ${other.name} stands in the table as ${spelt.get(other.name.toLowerCase()) ?? ''}`,
        next: 'Rename the field, write to another table, or replace the whole table with overwrite',
        details: { stream: table.name, field: other.name },
      })
    newColumns(columns, new Map(present.map(({ name, type }) => [name, sqlType(type)])), table.name, partner)
  }
}

export const sameColumns = (one: JsonSchema, other: readonly Column[], table: string, partner: string): boolean => {
  const present = columnsOf({ name: table, schema: one }, partner)
  const write = (columns: readonly Column[]) =>
    JSON.stringify(columns.map(({ name, type }) => [name, type.kind, JSON.stringify(type)]))
  return write(present) === write(other)
}
