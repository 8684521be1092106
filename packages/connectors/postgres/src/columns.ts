import { integrationError } from '@ecokit/contracts'
import type { Discovered, JsonSchema } from '@ecokit/contracts'
import { isWellFormed } from './json.ts'

type Scalar = 'boolean' | 'bigint' | 'double' | 'text' | 'date' | 'timestamptz' | 'timestamp' | 'bytea'
/** What a column holds. `json` keeps the schema of its values. */
export type ColumnType =
  | { readonly kind: Scalar }
  /** Without a precision: as many digits as PostgreSQL can hold. */
  | { readonly kind: 'decimal'; readonly precision?: number; readonly scale?: number }
  | { readonly kind: 'list'; readonly of: ColumnType }
  | { readonly kind: 'json'; readonly schema: unknown }
export interface Column {
  readonly name: string
  readonly type: ColumnType
  /** The type in the database: that of a table that is there may hold more than the stream needs. */
  readonly sql: string
}

const sqlNames: Readonly<Record<Scalar | 'json', string>> = {
  boolean: 'boolean',
  bigint: 'bigint',
  double: 'double precision',
  text: 'text',
  date: 'date',
  timestamptz: 'timestamp with time zone',
  timestamp: 'timestamp without time zone',
  bytea: 'bytea',
  json: 'jsonb',
}
/** The type as PostgreSQL's `format_type` writes it. */
export const sqlType = (type: ColumnType): string =>
  type.kind === 'decimal'
    ? type.precision === undefined
      ? 'numeric'
      : `numeric(${type.precision},${type.scale ?? 0})`
    : type.kind === 'list'
      ? `${sqlType(type.of)}[]`
      : sqlNames[type.kind]

type Schema = Readonly<Record<string, unknown>>
const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const follow = (schema: Schema, root: Schema): Schema => {
  const reference = schema['$ref']
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return schema
  let found: unknown = root
  for (const step of reference.slice(2).split('/'))
    found = isSchema(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
  return isSchema(found) ? found : {}
}
const isNull = (schema: unknown): boolean =>
  isSchema(schema) && (schema['type'] === 'null' || ('const' in schema && schema['const'] === null))
const isScalar = (type: ColumnType): boolean => type.kind !== 'json' && type.kind !== 'list'
const isText = (type: ColumnType): boolean =>
  ['text', 'date', 'timestamptz', 'timestamp', 'decimal', 'bytea'].includes(type.kind)
const isNumeric = (type: ColumnType): boolean => ['bigint', 'double'].includes(type.kind)

/** The one type that holds every member: the same, text for texts, a double for numbers, else JSON. */
const common = (types: readonly ColumnType[], schema: Schema): ColumnType => {
  const [first] = types
  if (first !== undefined && types.every((type) => sqlType(type) === sqlType(first))) return first
  if (first !== undefined && types.every(isText)) return { kind: 'text' }
  if (first !== undefined && types.every(isNumeric)) return { kind: 'double' }
  return { kind: 'json', schema }
}

const textType = (schema: Schema): ColumnType => {
  const { format, precision, scale, contentEncoding } = schema
  if (format === 'date-time') return { kind: 'timestamptz' }
  if (format === 'local-date-time') return { kind: 'timestamp' }
  if (format === 'date') return { kind: 'date' }
  if (contentEncoding === 'base64') return { kind: 'bytea' }
  if (format !== 'decimal') return { kind: 'text' }
  const fits =
    typeof precision === 'number' && typeof scale === 'number' && precision <= 1000 && scale >= 0 && scale <= precision
  return fits ? { kind: 'decimal', precision, scale } : { kind: 'decimal' }
}
const byType = (type: unknown, schema: Schema, root: Schema): ColumnType => {
  switch (type) {
    case 'boolean':
      return { kind: 'boolean' }
    case 'integer':
      return { kind: 'bigint' }
    case 'number':
      return { kind: 'double' }
    case 'string':
      return textType(schema)
    case 'array': {
      const items =
        isSchema(schema['items']) && !('prefixItems' in schema) ? columnType(schema['items'], root) : undefined
      return items !== undefined && isScalar(items) ? { kind: 'list', of: items } : { kind: 'json', schema }
    }
    default:
      return { kind: 'json', schema }
  }
}
const typeOfValue = (value: unknown): string =>
  typeof value === 'number' ? (Number.isInteger(value) ? 'integer' : 'number') : typeof value

/** The column type for the JSON Schema of a field; null in a union only says that the column may be empty, as every column may. */
export const columnType = (field: unknown, root: JsonSchema): ColumnType => {
  if (!isSchema(field)) return { kind: 'json', schema: {} }
  const schema = follow(field, root)
  for (const union of [schema['anyOf'], schema['oneOf']])
    if (Array.isArray(union)) {
      const members = union.filter((member) => !isNull(member)).map((member) => columnType(member, root))
      return common(members, schema)
    }
  const { type } = schema
  if (type === undefined) {
    const values: readonly unknown[] =
      'const' in schema ? [schema['const']] : Array.isArray(schema['enum']) ? schema['enum'] : []
    const types = values.filter((value) => value !== null).map((value) => byType(typeOfValue(value), schema, root))
    return common(types, schema)
  }
  if (!Array.isArray(type)) return byType(type, schema, root)
  return common(
    type.filter((member) => member !== 'null').map((member) => byType(member, schema, root)),
    schema,
  )
}

const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'])
/** Names that PostgreSQL or this connector cannot hold, with the reason. */
const nameFault = (name: string): string | undefined => {
  if (name === '') return 'a name may not be empty'
  if (name.includes('\0') || !isWellFormed(name)) return 'a name may not hold NUL or half of a surrogate pair'
  if (Buffer.byteLength(name) > 63)
    return 'a name may have 63 bytes at most in PostgreSQL, which cuts off what is longer'
  if (name.startsWith('_ecokit_')) return 'names that start with _ecokit_ are kept for bookkeeping'
  return undefined
}

/** The columns of a table and the reasons against it: `invalid_input` names the field. */
export const columnsOf = (table: Discovered, partner: string): readonly Column[] => {
  const wrong = (field: string, reason: string) =>
    integrationError('invalid_input', { partner, what: `table ${table.name}: ${field}: ${reason}`, details: { field } })
  const tableFault = nameFault(table.name)
  if (tableFault !== undefined) throw wrong('table.name', tableFault)
  const properties = table.schema['properties']
  if (!isSchema(properties) || Object.keys(properties).length === 0)
    throw wrong('table.schema', 'needs at least one property, which becomes a column')
  const columns = Object.entries(properties).map(([name, schema]): Column => {
    const fault =
      nameFault(name) ?? (systemColumns.has(name) ? 'PostgreSQL has a column of its own by that name' : undefined)
    if (fault !== undefined) throw wrong(`table.schema.properties.${name}`, fault)
    const type = columnType(schema, table.schema)
    return { name, type, sql: sqlType(type) }
  })
  for (const key of table.primaryKey ?? [])
    if (!columns.some(({ name }) => name === key))
      throw wrong('table.primaryKey', `${key} is not a property of the schema`)
  return columns
}

/** A field's schema without its reference, as it is kept when the schema that it stood in is gone. */
export const inlined = (field: unknown, root: JsonSchema): unknown => (isSchema(field) ? follow(field, root) : field)
