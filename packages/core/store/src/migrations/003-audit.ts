import { type Kysely, sql } from 'kysely'
import type { TableDialect } from '../engine.ts'
import type { Database } from '../schema.ts'

/** The audit log. What an entry says stands once, in `entry`; the columns that are searched are derived from it, so that they cannot say something else. */
export const audit =
  ({ jsonField, refuseChanges }: TableDialect) =>
  async (db: Kysely<Database>): Promise<void> => {
    const { schema } = db
    const derived = (['at', 'tenant', 'actor', 'action', 'target', 'outcome'] as const).reduce(
      (table, name) =>
        table.addColumn(name, name === 'at' ? 'bigint' : 'text', (column) =>
          column.generatedAlwaysAs(jsonField('entry', name)),
        ),
      schema
        .createTable('audit_entries')
        .addColumn('position', 'integer', (column) => column.primaryKey())
        .addColumn('entry', 'text', (column) => column.notNull()),
    )
    await derived.execute()
    for (const name of ['actor', 'action', 'target'])
      await schema.createIndex(`audit_entries_${name}`).on('audit_entries').columns([name, 'position']).execute()
    await schema
      .createTable('audit_heads')
      .addColumn('position', 'integer', (column) => column.primaryKey())
      .addColumn('head', 'text', (column) => column.notNull())
      .addColumn('marks', 'text', (column) => column.notNull())
      .addColumn('signature', 'text', (column) => column.notNull())
      .execute()
    await schema
      .createTable('audit_newest')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('head', 'text', (column) => column.notNull())
      .addColumn('marks', 'text', (column) => column.notNull())
      .addColumn('signature', 'text', (column) => column.notNull())
      .execute()
    for (const statement of [...refuseChanges('audit_entries'), ...refuseChanges('audit_heads')])
      await sql.raw(statement).execute(db)
  }
