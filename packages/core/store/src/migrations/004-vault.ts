import { type Kysely, sql } from 'kysely'
import type { TableDialect } from '../engine.ts'
import type { Database } from '../schema.ts'

/** Sealed values, and the wrapped keys that they are sealed with. */
export const vault =
  ({ binary }: TableDialect) =>
  async ({ schema }: Kysely<Database>): Promise<void> => {
    await schema
      .createTable('vault_keys')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('tenant', 'text', (column) => column.notNull())
      .addColumn('kek_id', 'text', (column) => column.notNull())
      .addColumn('wrapped', binary)
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('uses', 'bigint', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .execute()
    await schema
      .createIndex('vault_keys_active')
      .unique()
      .on('vault_keys')
      .column('tenant')
      .where(sql.ref('state'), '=', 'active')
      .execute()
    await schema
      .createTable('vault_records')
      .addColumn('tenant', 'text', (column) => column.notNull())
      .addColumn('kind', 'text', (column) => column.notNull())
      .addColumn('partner', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addColumn('active', 'integer', (column) => column.notNull())
      .addColumn('key_id', 'text', (column) => column.notNull())
      .addColumn('envelope', binary)
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint')
      .addPrimaryKeyConstraint('vault_records_key', ['tenant', 'kind', 'partner', 'name', 'version'])
      .execute()
    await schema
      .createIndex('vault_records_active')
      .unique()
      .on('vault_records')
      .columns(['tenant', 'kind', 'partner', 'name'])
      .where(sql.ref('active'), '=', 1)
      .execute()
    await schema
      .createIndex('vault_records_data_key')
      .on('vault_records')
      .columns(['key_id', 'kind', 'partner', 'name', 'version'])
      .execute()
  }
