import type { CreateTableBuilder, Dialect, RawBuilder } from 'kysely'

/** What differs between engines when tables are made. */
export interface TableDialect {
  /** Adds `id`: an integer primary key that counts up by itself. */
  readonly identity: <Table extends string>(table: CreateTableBuilder<Table>) => CreateTableBuilder<Table, 'id'>
  /** The column type for bytes. */
  readonly binary: 'blob' | 'bytea'
  /** The value of a member of the JSON object in a text column. */
  readonly jsonField: (column: string, name: string) => RawBuilder<unknown>
  /** Statements after which the engine refuses to change or delete a row of the table. */
  readonly refuseChanges: (table: string) => readonly string[]
}

/** One database engine: all that the rest of the store may not know about it. */
export interface Engine extends TableDialect {
  readonly dialect: Dialect
  /** Where the database is, in full. */
  readonly path: string
}
