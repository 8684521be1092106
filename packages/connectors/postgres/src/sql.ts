import { identifier } from '@ecokit/connect/writing'

/** A table's name for SQL, with its schema. */
export const qualified = (schema: string, table: string): string => `${identifier(schema)}.${identifier(table)}`
