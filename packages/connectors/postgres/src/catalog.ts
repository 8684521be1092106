import { identifier } from '@ecokit/connect/writing'
import { fromJson } from '@ecokit/contracts'
import type { JsonSchema } from '@ecokit/contracts'
import { columnType, sqlType } from './columns.ts'
import { listReading, readingOf } from './decode.ts'
import { qualified } from './sql.ts'
import type { Session, Value } from './client.ts'
import type { Reading } from './decode.ts'

export interface Named {
  readonly oid: string
  readonly schema: string
  readonly table: string
  /** By which it is read: without its schema where that is the config's. */
  readonly name: string
}
/** Tables, views and the like that the user may read something of; bookkeeping and parts of partitioned tables are left out. */
export const listTables = async (session: Session, home: string): Promise<readonly Named[]> => {
  const { rows } = await session.run(
    `SELECT c.oid::text, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND left(c.relname, 8) <> '_ecokit_' AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
     ORDER BY n.nspname <> $1, n.nspname, c.relname`,
    [home],
  )
  const found = new Map<string, Named>()
  for (const [oid, schema, table] of rows) {
    const named = { oid: oid ?? '', schema: schema ?? '', table: table ?? '' }
    const name = named.schema === home ? named.table : `${named.schema}.${named.table}`
    if (!found.has(name)) found.set(name, { ...named, name })
  }
  return [...found.values()]
}

export interface ReadColumn extends Reading {
  readonly name: string
  readonly nullable: boolean
  /** The column as it is selected. */
  readonly select: string
  /** The type as `format_type` writes it. */
  readonly sql: string
}
export interface Described {
  readonly columns: readonly ReadColumn[]
  /** Columns by which rows are told apart and ordered: those of the primary key, or of another unique index without empty parts. */
  readonly key: readonly string[]
}

interface TypeRow {
  readonly name: string
  readonly schema: string
  readonly kind: string
  readonly element: string
  readonly isArray: boolean
  readonly base: string
  readonly modifier: number
}
type Types = ReadonlyMap<string, TypeRow>
/** Every type that can stand in a table, with the labels of enums. */
export const loadTypes = async (
  session: Session,
): Promise<{ readonly types: Types; readonly labels: ReadonlyMap<string, readonly string[]> }> => {
  const found = await session.run(
    `SELECT t.oid::text, t.typname, n.nspname, t.typtype, t.typelem::text, t.typcategory = 'A', t.typbasetype::text, t.typtypmod
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('b', 'd', 'e')`,
  )
  const enums = await session.run('SELECT enumtypid::text, enumlabel FROM pg_enum ORDER BY enumtypid, enumsortorder')
  const labels = new Map<string, string[]>()
  for (const [oid, label] of enums.rows) {
    const list = labels.get(oid ?? '') ?? []
    list.push(label ?? '')
    labels.set(oid ?? '', list)
  }
  return {
    types: new Map(
      found.rows.map(([oid, name, schema, kind, element, isArray, base, modifier]) => [
        oid ?? '',
        {
          name: name ?? '',
          schema: schema ?? '',
          kind: kind ?? '',
          element: element ?? '0',
          isArray: isArray === 't',
          base: base ?? '0',
          modifier: Number(modifier),
        },
      ]),
    ),
    labels,
  }
}

interface Context {
  readonly types: Types
  readonly labels: ReadonlyMap<string, readonly string[]>
}
/** How a type is read, through domains to what they are made of. */
const resolve = (
  { types, labels }: Context,
  oid: string,
  modifier: number,
  depth: number,
  kept: JsonSchema | undefined,
): Reading & { readonly list?: boolean } => {
  const type = types.get(oid)
  if (type === undefined) return readingOf('', -1)
  if (type.kind === 'd')
    return resolve({ types, labels }, type.base, modifier === -1 ? type.modifier : modifier, depth, kept)
  if (type.kind === 'e') {
    const values = labels.get(oid) ?? []
    return { schema: { type: 'string', enum: [...values] }, decode: (text) => text }
  }
  if (type.isArray && type.element !== '0')
    return { ...listReading(resolve({ types, labels }, type.element, modifier, 0, undefined), depth), list: true }
  return readingOf(type.schema === 'pg_catalog' ? type.name : '', modifier, kept)
}

const selectOf = (name: string, reading: Reading & { readonly list?: boolean }): string =>
  reading.list === true
    ? `to_json(${identifier(name)}::text[])`
    : reading.cast === undefined
      ? identifier(name)
      : `${identifier(name)}::${reading.cast}`

/** Columns that the user may read, and the key. */
export const describe = async (
  session: Session,
  context: Context,
  oid: string,
  kept: Kept | undefined,
): Promise<Described> => {
  const { rows } = await session.run(
    `SELECT attname, atttypid::text, atttypmod, attndims, NOT attnotnull, format_type(atttypid, atttypmod) FROM pg_attribute
     WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT') ORDER BY attnum`,
    [oid],
  )
  const columns = rows.map(([name, type, modifier, depth, nullable, sql]): ReadColumn => {
    const column = name ?? ''
    const schema = keptColumn(kept, column, sql ?? '')
    const reading = resolve(context, type ?? '', Number(modifier), Number(depth), schema)
    return {
      ...reading,
      ...(schema !== undefined && { schema }),
      name: column,
      nullable: nullable === 't',
      select: selectOf(column, reading),
      sql: sql ?? '',
    }
  })
  const found = await session.run(
    `SELECT array_to_json(ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts ORDER BY k.place))
     FROM pg_index i WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k(attnum) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE NOT a.attnotnull)
     ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1`,
    [oid],
  )
  const key = JSON.parse(found.rows[0]?.[0] ?? '[]') as readonly string[]
  return { columns, key: key.every((name) => columns.some((column) => column.name === name)) ? key : [] }
}

/** What the sink wrote down about a table. */
export interface Kept {
  readonly schema: JsonSchema
  readonly primaryKey: readonly string[]
}
/** What sinks kept about the tables of the schema, where the user may read it. */
export const keptTables = async (session: Session, home: string): Promise<ReadonlyMap<string, Kept>> => {
  const { rows: there } = await session.run(
    `SELECT coalesce((SELECT has_table_privilege(to_regclass($1), 'SELECT')), false)`,
    [qualified(home, '_ecokit_tables')],
  )
  if (there[0]?.[0] !== 't') return new Map()
  const { rows } = await session.run(`SELECT table_name, schema, primary_key FROM ${qualified(home, '_ecokit_tables')}`)
  return new Map(
    rows.map(([name, schema, key]: readonly Value[]) => [
      name ?? '',
      { schema: fromJson(schema ?? '{}') as JsonSchema, primaryKey: fromJson(key ?? '[]') as readonly string[] },
    ]),
  )
}
/** The kept schema of a column, where the column still has the type that the schema asks for. */
const keptColumn = (kept: Kept | undefined, name: string, sql: string): JsonSchema | undefined => {
  const properties = kept?.schema['properties'] as Readonly<Record<string, JsonSchema>> | undefined
  const schema = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined
  return schema !== undefined && sqlType(columnType(schema, kept?.schema ?? {})) === sql ? schema : undefined
}
