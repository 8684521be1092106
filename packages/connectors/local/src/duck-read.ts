import { orNull, readJson } from '@ecokit/connect/writing'
import type { JsonSchema } from '@ecokit/contracts'
import type {
  DuckDBType,
  DuckDBValue,
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
} from '@duckdb/node-api'
import { formatDate, formatTime } from './time.ts'
import { dateInfinity, timeInfinity } from './values.ts'
import type { Duck } from './database.ts'

type Decode = (value: NonNullable<DuckDBValue>) => unknown

const integer = (value: bigint): number | bigint => {
  const near = Number(value)
  return Number.isSafeInteger(near) ? near : value
}
const time =
  (digits: 0 | 3 | 6 | 9, zone: '' | 'Z', countOf: (value: never) => bigint): Decode =>
  (value) => {
    const count = countOf(value as never)
    return count === timeInfinity ? 'infinity' : count === -timeInfinity ? '-infinity' : formatTime(count, digits, zone)
  }

/** JSON Schema of what `decoder` makes of a type; formats of our own: `local-date-time` has no zone, `decimal` has precision and scale. */
export const schemaOf = (duck: Duck, type: DuckDBType): JsonSchema => {
  const id = duck.DuckDBTypeId
  switch (type.typeId) {
    case id.BOOLEAN:
      return { type: 'boolean' }
    case id.BIGINT:
      return { type: 'integer', format: 'int64' }
    case id.TINYINT:
    case id.SMALLINT:
    case id.INTEGER:
    case id.UTINYINT:
    case id.USMALLINT:
    case id.UINTEGER:
    case id.UBIGINT:
    case id.HUGEINT:
    case id.UHUGEINT:
    case id.BIGNUM:
      return { type: 'integer' }
    case id.FLOAT:
    case id.DOUBLE:
      return { type: 'number', format: 'double' }
    case id.DECIMAL:
      return { type: 'string', format: 'decimal', precision: type.width, scale: type.scale }
    case id.DATE:
      return { type: 'string', format: 'date' }
    case id.TIMESTAMP_TZ:
      return { type: 'string', format: 'date-time' }
    case id.TIMESTAMP:
    case id.TIMESTAMP_S:
    case id.TIMESTAMP_MS:
    case id.TIMESTAMP_NS:
      return { type: 'string', format: 'local-date-time' }
    case id.BLOB:
      return { type: 'string', contentEncoding: 'base64' }
    case id.ENUM:
      return { type: 'string', enum: [...type.values] }
    case id.LIST:
    case id.ARRAY:
      return { type: 'array', items: orNull(schemaOf(duck, type.valueType)) }
    case id.STRUCT:
      return {
        type: 'object',
        properties: Object.fromEntries(
          type.entryNames.map((name, index) => [name, orNull(schemaOf(duck, type.entryTypes[index] ?? duck.ANY))]),
        ),
        required: [...type.entryNames],
        additionalProperties: false,
      }
    case id.MAP:
      return type.keyType.typeId === id.VARCHAR
        ? { type: 'object', additionalProperties: orNull(schemaOf(duck, type.valueType)) }
        : { type: 'array', items: { type: 'object' } }
    case id.VARCHAR:
      return type.alias === 'JSON' ? {} : { type: 'string' }
    case id.UNION:
      return {}
    default:
      return { type: 'string' }
  }
}
/** Makes records' values of DuckDB's: exact, and JSON data but for bigint beyond 2^53, NaN and the infinities. `schema` is the kept one, for JSON columns. */
export const decoder = (duck: Duck, type: DuckDBType, schema?: unknown): ((value: DuckDBValue) => unknown) => {
  const some = someDecoder(duck, type, schema)
  return (value) => (value === null ? null : some(value))
}
const someDecoder = (duck: Duck, type: DuckDBType, schema: unknown): Decode => {
  const id = duck.DuckDBTypeId
  switch (type.typeId) {
    case id.BIGINT:
    case id.UBIGINT:
    case id.HUGEINT:
    case id.UHUGEINT:
    case id.BIGNUM:
      return (value) => integer(value as bigint)
    case id.VARCHAR:
      return type.alias === 'JSON' ? (value) => readJson(value as string, schema) : (value) => value
    case id.DATE:
      return (value) => {
        const { days } = value as DuckDBDateValue
        return days === dateInfinity ? 'infinity' : days === -dateInfinity ? '-infinity' : formatDate(days)
      }
    case id.TIMESTAMP_TZ:
      return time(6, 'Z', ({ micros }: DuckDBTimestampTZValue) => micros)
    case id.TIMESTAMP:
      return time(6, '', ({ micros }: DuckDBTimestampValue) => micros)
    case id.TIMESTAMP_S:
      return time(0, '', ({ seconds }: DuckDBTimestampSecondsValue) => seconds)
    case id.TIMESTAMP_MS:
      return time(3, '', ({ millis }: DuckDBTimestampMillisecondsValue) => millis)
    case id.TIMESTAMP_NS:
      return time(9, '', ({ nanos }: DuckDBTimestampNanosecondsValue) => nanos)
    case id.BLOB:
      return (value) => Buffer.from((value as Pick<DuckDBBlobValue, 'bytes'>).bytes).toString('base64')
    case id.LIST:
    case id.ARRAY: {
      const item = decoder(duck, type.valueType)
      return (value) => (value as DuckDBListValue | DuckDBArrayValue).items.map(item)
    }
    case id.STRUCT: {
      const fields = type.entryNames.map(
        (name, index) => [name, decoder(duck, type.entryTypes[index] ?? duck.ANY)] as const,
      )
      return (value) => {
        const { entries } = value as DuckDBStructValue
        return Object.fromEntries(fields.map(([name, field]) => [name, field(entries[name] ?? null)]))
      }
    }
    case id.MAP: {
      const [key, field] = [decoder(duck, type.keyType), decoder(duck, type.valueType)]
      const named = type.keyType.typeId === id.VARCHAR
      return (value) => {
        const { entries } = value as DuckDBMapValue
        return named
          ? Object.fromEntries(entries.map((entry) => [key(entry.key) as string, field(entry.value)]))
          : entries.map((entry) => ({ key: key(entry.key), value: field(entry.value) }))
      }
    }
    case id.UNION:
      return (value) => {
        const { tag, value: inner } = value as DuckDBUnionValue
        return { [tag]: decoder(duck, type.memberTypes[type.memberTags.indexOf(tag)] ?? duck.ANY)(inner) }
      }
    default:
      return (value) => (typeof value === 'object' ? value.toString() : value)
  }
}
