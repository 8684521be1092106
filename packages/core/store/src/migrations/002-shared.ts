import type { Kysely } from 'kysely'
import type { Database } from '../schema.ts'

/** What `openShared` keeps; leases learn when they were taken, so that a clock that was put back does not make them last. */
export const shared = async ({ schema }: Kysely<Database>): Promise<void> => {
  await schema
    .createTable('shared_values')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'double precision')
    .execute()
  await schema.createIndex('shared_values_expires').on('shared_values').column('expires_at').execute()
  await schema
    .createTable('shared_buckets')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('full_at', 'double precision', (column) => column.notNull())
    .addColumn('held_until', 'double precision', (column) => column.notNull())
    .addColumn('seen_at', 'double precision', (column) => column.notNull())
    .execute()
  await schema
    .alterTable('leases')
    .addColumn('taken_at', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute()
}
