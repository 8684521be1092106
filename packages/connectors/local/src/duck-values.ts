import type { DuckDBType, DuckDBValue } from '@duckdb/node-api'
import type { Duck } from './database.ts'
import type { ColumnType } from './columns.ts'
import type { Stored } from './values.ts'

/** The type of a vector that holds the column; JSON is text to DuckDB. */
export const vectorType = (duck: Duck, type: ColumnType): DuckDBType => {
  switch (type.kind) {
    case 'boolean':
      return duck.BOOLEAN
    case 'bigint':
      return duck.BIGINT
    case 'double':
      return duck.DOUBLE
    case 'varchar':
    case 'json':
      return duck.VARCHAR
    case 'date':
      return duck.DATE
    case 'timestamptz':
      return duck.TIMESTAMPTZ
    case 'timestamp':
      return duck.TIMESTAMP
    case 'decimal':
      return duck.DECIMAL(type.width, type.scale)
    case 'list':
      return duck.LIST(vectorType(duck, type.of))
    case 'map':
      return duck.MAP(duck.VARCHAR, vectorType(duck, type.of))
    case 'struct':
      return duck.STRUCT(Object.fromEntries(type.fields.map(({ name, type: of }) => [name, vectorType(duck, of)])))
  }
}

/** Makes DuckDB's value of a stored one. */
export const toDuck = (duck: Duck, type: ColumnType): ((stored: Stored) => DuckDBValue) => {
  const some = someToDuck(duck, type)
  return (stored) => (stored === null ? null : some(stored))
}
const someToDuck = (duck: Duck, type: ColumnType): ((stored: NonNullable<Stored>) => DuckDBValue) => {
  switch (type.kind) {
    case 'boolean':
    case 'bigint':
    case 'double':
    case 'varchar':
    case 'json':
      return (stored) => stored as DuckDBValue
    case 'date':
      return (stored) => duck.dateValue(stored as number)
    case 'timestamptz':
      return (stored) => duck.timestampTZValue(stored as bigint)
    case 'timestamp':
      return (stored) => duck.timestampValue(stored as bigint)
    case 'decimal':
      return (stored) => duck.decimalValue(stored as bigint, type.width, type.scale)
    case 'list': {
      const item = toDuck(duck, type.of)
      return (stored) => duck.listValue((stored as readonly Stored[]).map(item))
    }
    case 'struct': {
      const fields = type.fields.map((field) => ({ name: field.name, make: toDuck(duck, field.type) }))
      return (stored) =>
        duck.structValue(
          Object.fromEntries(
            fields.map(({ name, make }, index) => [name, make((stored as readonly Stored[])[index] ?? null)]),
          ),
        )
    }
    case 'map': {
      const value = toDuck(duck, type.of)
      return (stored) =>
        duck.mapValue(
          (stored as readonly (readonly [string, Stored])[]).map(([key, field]) => ({ key, value: value(field) })),
        )
    }
  }
}
