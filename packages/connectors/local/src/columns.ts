import { integrationError } from '@ecokit/contracts'
import type { Discovered, JsonSchema } from '@ecokit/contracts'
import { isWellFormed } from './json.ts'
import { identifier } from './sql.ts'

type Scalar = 'boolean' | 'bigint' | 'double' | 'varchar' | 'date' | 'timestamptz' | 'timestamp'
/** What a column holds. `json` keeps the schema of its values. */
export type ColumnType =
  | { readonly kind: Scalar }
  | { readonly kind: 'decimal'; readonly width: number; readonly scale: number }
  | { readonly kind: 'list' | 'map'; readonly of: ColumnType }
  /** An object whose fields are all always there. */
  | { readonly kind: 'struct'; readonly fields: readonly StructField[] }
  | { readonly kind: 'json'; readonly schema: unknown }
export interface StructField {
  readonly name: string
  readonly type: ColumnType
}
export interface Column {
  readonly name: string
  readonly type: ColumnType
  /** The field's own JSON Schema. */
  readonly schema: JsonSchema
}

const sqlNames: Readonly<Record<Scalar | 'json', string>> = {
  boolean: 'BOOLEAN',
  bigint: 'BIGINT',
  double: 'DOUBLE',
  varchar: 'VARCHAR',
  date: 'DATE',
  timestamptz: 'TIMESTAMP WITH TIME ZONE',
  timestamp: 'TIMESTAMP',
  json: 'JSON',
}
/** The type as DuckDB's catalog writes it. */
export const sqlType = (type: ColumnType): string =>
  type.kind === 'decimal'
    ? `DECIMAL(${type.width},${type.scale})`
    : type.kind === 'list'
      ? `${sqlType(type.of)}[]`
      : type.kind === 'map'
        ? `MAP(VARCHAR, ${sqlType(type.of)})`
        : type.kind === 'struct'
          ? `STRUCT(${type.fields.map(({ name, type: of }) => `${identifier(name)} ${sqlType(of)}`).join(', ')})`
          : sqlNames[type.kind]

/** A type's text for comparing: DuckDB quotes the names of fields only where they need it. */
export const typeName = (text: string): string =>
  text.replaceAll(/"((?:[^"]|"")*)"/g, (whole, name: string) => (/^[A-Za-z_]\w*$/.test(name) ? name : whole))

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
const isScalar = (type: ColumnType): boolean => !['json', 'list', 'map', 'struct'].includes(type.kind)
const isText = (type: ColumnType): boolean =>
  ['varchar', 'date', 'timestamptz', 'timestamp', 'decimal'].includes(type.kind)
const isNumeric = (type: ColumnType): boolean => ['bigint', 'double'].includes(type.kind)

/** The one type that holds every member: the same, text for texts, DOUBLE for numbers, else JSON. */
const common = (types: readonly ColumnType[], schema: Schema): ColumnType => {
  const [first] = types
  if (first !== undefined && types.every((type) => sqlType(type) === sqlType(first))) return first
  if (first !== undefined && types.every(isText)) return { kind: 'varchar' }
  if (first !== undefined && types.every(isNumeric)) return { kind: 'double' }
  return { kind: 'json', schema }
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
      return items !== undefined && (isScalar(items) || items.kind === 'struct')
        ? { kind: 'list', of: items }
        : { kind: 'json', schema }
    }
    case 'object': {
      const named = isSchema(schema['properties']) && Object.keys(schema['properties']).length > 0
      const fields = named ? structFields(schema, root) : undefined
      if (fields !== undefined) return { kind: 'struct', fields }
      const values = schema['additionalProperties']
      const of = !named && isSchema(values) ? columnType(values, root) : undefined
      return of !== undefined && isScalar(of) ? { kind: 'map', of } : { kind: 'json', schema }
    }
    default:
      return { kind: 'json', schema }
  }
}
/**
 * The fields of an object that a STRUCT holds without loss: all of them must be there, and no others may be; a STRUCT cannot tell a missing field from null. DuckDB does
 * not tell `Id` from `id` either, and JavaScript objects of its reader cannot hold `__proto__`.
 */
const structFields = (schema: Schema, root: Schema): readonly StructField[] | undefined => {
  const { properties, required, additionalProperties } = schema
  if (additionalProperties !== false || !isSchema(properties) || !Array.isArray(required)) return undefined
  const names = Object.keys(properties)
  const fits = names.every((name) => required.includes(name) && name !== '__proto__' && nameFault(name) === undefined)
  if (!fits || new Set(names.map((name) => name.toLowerCase())).size !== names.length) return undefined
  const fields = names.map((name) => ({ name, type: columnType(properties[name], root) }))
  return fields.some(({ type }) => type.kind === 'json') ? undefined : fields
}
const textType = (schema: Schema): ColumnType => {
  const { format, precision, scale } = schema
  if (format === 'date-time') return { kind: 'timestamptz' }
  if (format === 'local-date-time') return { kind: 'timestamp' }
  if (format === 'date') return { kind: 'date' }
  if (format === 'decimal' && typeof precision === 'number' && typeof scale === 'number' && precision <= 38)
    return { kind: 'decimal', width: precision, scale }
  return { kind: 'varchar' }
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

/** Names that DuckDB or this connector cannot hold, with the reason. */
const nameFault = (name: string): string | undefined => {
  if (name === '') return 'a name may not be empty'
  if (name.includes('\0') || !isWellFormed(name)) return 'a name may not hold NUL or half of a surrogate pair'
  if (name.toLowerCase().startsWith('_ecokit_')) return 'names that start with _ecokit_ are kept for bookkeeping'
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
    const fault = nameFault(name)
    if (fault !== undefined) throw wrong(`table.schema.properties.${name}`, fault)
    return { name, type: columnType(schema, table.schema), schema: isSchema(schema) ? schema : {} }
  })
  const seen = new Map<string, string>()
  for (const { name } of columns) {
    const other = seen.get(name.toLowerCase())
    if (other !== undefined)
      throw wrong(
        `table.schema.properties.${name}`,
        `differs from ${other} only by case, which DuckDB does not tell apart`,
      )
    seen.set(name.toLowerCase(), name)
  }
  for (const key of table.primaryKey ?? [])
    if (!columns.some(({ name }) => name === key))
      throw wrong('table.primaryKey', `${key} is not a property of the schema`)
  return columns
}

/** A field's schema without its reference, as it is kept when the schema that it stood in is gone. */
export const inlined = (field: unknown, root: JsonSchema): unknown => (isSchema(field) ? follow(field, root) : field)

/** The columns that a table does not have yet; `present` maps its own to their SQL types. A type that changed is `invalid_data`. */
export const newColumns = (
  columns: readonly Column[],
  present: ReadonlyMap<string, string>,
  table: string,
  partner: string,
): readonly Column[] => {
  const types = new Map([...present].map(([name, type]) => [name.toLowerCase(), type]))
  return columns.filter(({ name, type }) => {
    const [before, now] = [types.get(name.toLowerCase()), sqlType(type)]
    if (before !== undefined && typeName(before) !== typeName(now))
      throw integrationError('invalid_data', {
        partner,
        what: `table ${table}: column ${name} holds ${before}, and the stream brings ${now}`,
        next: 'Rename the field, write to another table, or replace the whole table with overwrite',
        details: { stream: table, field: name },
      })
    return before === undefined
  })
}
