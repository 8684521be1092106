import { columnTypes, fieldsOf, identifier, nameFault } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { Discovered, JsonSchema } from '@ecokit/contracts'

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

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isScalar = ({ kind }: ColumnType): boolean => !['json', 'list', 'map', 'struct'].includes(kind)

/**
 * The fields of an object that a STRUCT holds without loss: all of them must be there, and no others may be; a STRUCT cannot tell a missing field from null. DuckDB does
 * not tell `Id` from `id` either, and JavaScript objects of its reader cannot hold `__proto__`.
 */
const structFields = (
  schema: JsonSchema,
  typeOf: (field: unknown) => ColumnType,
): readonly StructField[] | undefined => {
  const { properties, required, additionalProperties } = schema
  if (additionalProperties !== false || !isSchema(properties) || !Array.isArray(required)) return undefined
  const names = Object.keys(properties)
  const fits = names.every((name) => required.includes(name) && name !== '__proto__' && nameFault(name) === undefined)
  if (!fits || new Set(names.map((name) => name.toLowerCase())).size !== names.length) return undefined
  const fields = names.map((name) => ({ name, type: typeOf(properties[name]) }))
  return fields.some(({ type }) => type.kind === 'json') ? undefined : fields
}
const objectType = (schema: JsonSchema, typeOf: (field: unknown) => ColumnType): ColumnType | undefined => {
  const named = isSchema(schema['properties']) && Object.keys(schema['properties']).length > 0
  const fields = named ? structFields(schema, typeOf) : undefined
  if (fields !== undefined) return { kind: 'struct', fields }
  const values = schema['additionalProperties']
  const of = !named && isSchema(values) ? typeOf(values) : undefined
  return of !== undefined && isScalar(of) ? { kind: 'map', of } : undefined
}
const textType = (schema: JsonSchema): ColumnType => {
  const { format, precision, scale } = schema
  if (format === 'date-time') return { kind: 'timestamptz' }
  if (format === 'local-date-time') return { kind: 'timestamp' }
  if (format === 'date') return { kind: 'date' }
  if (format !== 'decimal' || typeof precision !== 'number' || typeof scale !== 'number') return { kind: 'varchar' }
  const fits = precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
  return fits ? { kind: 'decimal', width: precision, scale } : { kind: 'varchar' }
}

/** The column type for the JSON Schema of a field. */
export const columnType: (field: unknown, root: JsonSchema) => ColumnType = columnTypes<ColumnType>({
  sql: sqlType,
  anyText: { kind: 'varchar' },
  texts: ['varchar', 'date', 'timestamptz', 'timestamp', 'decimal'],
  text: textType,
  list: (of) => (isScalar(of) || of.kind === 'struct' ? { kind: 'list', of } : undefined),
  object: objectType,
})

/** The columns of a table and the reasons against it: `invalid_input` names the field. */
export const columnsOf = (table: Discovered, partner: string): readonly Column[] => {
  const seen = new Map<string, string>()
  const twice = (name: string): string | undefined => {
    const other = seen.get(name.toLowerCase())
    seen.set(name.toLowerCase(), name)
    return other === undefined ? undefined : `differs from ${other} only by case, which DuckDB does not tell apart`
  }
  return fieldsOf(table, partner, (name, what) => (what === 'column' ? twice(name) : undefined)).map(
    ([name, schema]) => ({ name, type: columnType(schema, table.schema), schema: isSchema(schema) ? schema : {} }),
  )
}

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
