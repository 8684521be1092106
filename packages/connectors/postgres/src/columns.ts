import { columnTypes, fieldsOf } from '@ecokit/connect/writing'
import type { Discovered, JsonSchema } from '@ecokit/contracts'

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

const isScalar = ({ kind }: ColumnType): boolean => kind !== 'json' && kind !== 'list'
const textType = (schema: JsonSchema): ColumnType => {
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

/** The column type for the JSON Schema of a field. */
export const columnType: (field: unknown, root: JsonSchema) => ColumnType = columnTypes<ColumnType>({
  sql: sqlType,
  anyText: { kind: 'text' },
  texts: ['text', 'date', 'timestamptz', 'timestamp', 'decimal', 'bytea'],
  text: textType,
  list: (of) => (isScalar(of) ? { kind: 'list', of } : undefined),
})

const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'])
/** The columns of a table and the reasons against it: `invalid_input` names the field. */
export const columnsOf = (table: Discovered, partner: string): readonly Column[] =>
  fieldsOf(table, partner, (name, what) =>
    Buffer.byteLength(name) > 63
      ? 'a name may have 63 bytes at most in PostgreSQL, which cuts off what is longer'
      : what === 'column' && systemColumns.has(name)
        ? 'PostgreSQL has a column of its own by that name'
        : undefined,
  ).map(([name, schema]) => {
    const type = columnType(schema, table.schema)
    return { name, type, sql: sqlType(type) }
  })
