import type { DuckDBConnection } from '@duckdb/node-api'
import { identifier, literal } from '@ecokit/connect/writing'
import type { JsonSchema } from '@ecokit/contracts'
import { sqlType } from './columns.ts'
import { vectorReader } from './vectors.ts'
import type { Column, ColumnType } from './columns.ts'
import type { Duck } from './database.ts'
import type { Segment } from './segments.ts'

/** Lines that SQL can read as rows of the table's columns, in the columns' names and types and in the order of the lines. */
export interface Lines {
  /** What stands after FROM. */
  readonly from: string
  /** Call it when the statements that read them have ended. */
  readonly close: () => void
}
/** Makes SQL read proven segments, in their order. */
export type LineSource = (duck: Duck, connection: DuckDBConnection, segments: readonly Segment[]) => Promise<Lines>

/** The type that DuckDB's JSON reader takes exactly: decimals and times as their text, for it would take numbers through a double and times of other forms. */
const readType = (type: ColumnType): string => {
  switch (type.kind) {
    case 'decimal':
    case 'date':
    case 'timestamptz':
    case 'timestamp':
      return 'VARCHAR'
    case 'list':
      return `${readType(type.of)}[]`
    case 'map':
      return `MAP(VARCHAR, ${readType(type.of)})`
    case 'struct':
      return `STRUCT(${type.fields.map((field) => `${identifier(field.name)} ${readType(field.type)}`).join(', ')})`
    default:
      return sqlType(type)
  }
}

const isObject = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
/** True where a time was proved by nothing but its being a text. */
const looseTimes = (schema: unknown): boolean => {
  if (Array.isArray(schema)) return schema.some(looseTimes)
  if (!isObject(schema)) return false
  const { format, pattern, anyOf, oneOf, items, properties, additionalProperties } = schema
  return (
    (typeof format === 'string' && /date|time/.test(format) && typeof pattern !== 'string') ||
    '$ref' in schema ||
    [anyOf, oneOf, items, additionalProperties].some(looseTimes) ||
    (isObject(properties) && Object.values(properties).some(looseTimes))
  )
}
/** True where the type, or one inside of it, is of one of these kinds. */
export const hasKind = (type: ColumnType, kinds: readonly string[]): boolean =>
  kinds.includes(type.kind) ||
  (type.kind === 'struct' && type.fields.some((field) => hasKind(field.type, kinds))) ||
  ((type.kind === 'list' || type.kind === 'map') && hasKind(type.of, kinds))

/**
 * True where proven lines can be read without looking at them again. JSON columns cannot: DuckDB writes their numbers anew and drops the sign of -0. Times can where
 * the schema proved their form, and not those without a zone, for which there is no such proof.
 */
export const readsProven = (columns: readonly Column[]): boolean =>
  columns.every(({ type, schema }) => !hasKind(type, ['json', 'timestamp']) && !looseTimes(schema))

/** How DuckDB's own JSON reader reads segments. Left to guess, it takes a line that has none of a table's fields for the value of its only column. */
export const jsonReader = (columns: readonly Column[]): LineSource => {
  const spec = columns.map(({ name, type }) => `${literal(name)}: ${literal(readType(type))}`).join(', ')
  const select = columns
    .map(({ name, type }) => {
      const [read, wanted, column] = [readType(type), sqlType(type), identifier(name)]
      return read === wanted ? column : `CAST(${column} AS ${wanted}) AS ${column}`
    })
    .join(', ')
  return (_duck, _connection, segments) => {
    // Characters that DuckDB takes for patterns stand for themselves in brackets.
    const files = segments.map(({ file }) => literal(file.replace(/[*?[]/g, '[$&]'))).join(', ')
    // The reader takes twice this much memory at once, and a line must fit into it.
    const size = Math.max(1_000_000, ...segments.map(({ longest }) => longest + 16))
    return Promise.resolve({
      from: `(SELECT ${select} FROM read_json([${files}], format = 'newline_delimited', columns = {${spec}}, records = 'true', maximum_object_size = ${size}, compression = 'uncompressed', hive_partitioning = false))`,
      close: () => undefined,
    })
  }
}

/** How the lines of a table are read; undefined where each must be parsed here. `ECOKIT_VECTORS=off` has DuckDB's own JSON reader read all of them. */
export const lineSource = (columns: readonly Column[]): LineSource | undefined => {
  if (!readsProven(columns)) return undefined
  return (process.env['ECOKIT_VECTORS'] === 'off' ? undefined : vectorReader(columns)) ?? jsonReader(columns)
}
