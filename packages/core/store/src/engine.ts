import type { Dialect } from 'kysely'
import type { TableDialect } from './migrations.ts'

/** One database engine: all that the rest of the store may not know about it. */
export interface Engine extends TableDialect {
  readonly dialect: Dialect
}
