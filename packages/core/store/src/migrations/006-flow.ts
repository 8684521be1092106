import type { Kysely } from 'kysely'
import type { TableDialect } from '../engine.ts'
import type { Database } from '../schema.ts'

/** Backfills, schema contracts, results of quality rules, schedules, and lineage by column. */
export const flow =
  ({ identity }: TableDialect) =>
  async ({ schema }: Kysely<Database>): Promise<void> => {
    for (const name of ['backfill_since', 'backfill_until'])
      await schema.alterTable('runs').addColumn(name, 'text').execute()
    await schema
      .alterTable('runs')
      .addColumn('kind', 'text', (column) => column.notNull().defaultTo('sync'))
      .execute()
    await schema
      .alterTable('run_streams')
      .addColumn('drift', 'text', (column) => column.notNull().defaultTo('[]'))
      .execute()
    await schema.alterTable('lineage_events').addColumn('unsent', 'integer').execute()
    await schema.createIndex('lineage_events_unsent').on('lineage_events').columns(['unsent', 'id']).execute()
    await schema
      .createTable('stream_contracts')
      .addColumn('pipeline', 'text', (column) => column.notNull())
      .addColumn('stream', 'text', (column) => column.notNull())
      .addColumn('schema', 'text', (column) => column.notNull())
      .addColumn('version', 'integer', (column) => column.notNull())
      .addColumn('paused', 'text')
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('stream_contracts_key', ['pipeline', 'stream'])
      .execute()
    await identity(schema.createTable('quality_results'))
      .addColumn('run_id', 'text', (column) => column.notNull().references('runs.id').onDelete('cascade'))
      .addColumn('pipeline', 'text', (column) => column.notNull())
      .addColumn('stream', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('rule', 'text', (column) => column.notNull())
      .addColumn('field', 'text', (column) => column.notNull())
      .addColumn('severity', 'text', (column) => column.notNull())
      .addColumn('passed', 'integer', (column) => column.notNull())
      .addColumn('checked', 'bigint', (column) => column.notNull())
      .addColumn('failed', 'bigint', (column) => column.notNull())
      .addColumn('message', 'text', (column) => column.notNull())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .execute()
    await schema.createIndex('quality_results_run').on('quality_results').columns(['run_id', 'stream']).execute()
    await schema
      .createIndex('quality_results_stream')
      .on('quality_results')
      .columns(['pipeline', 'stream', 'id'])
      .execute()
    await schema
      .createTable('schedules')
      .addColumn('pipeline', 'text', (column) => column.primaryKey())
      .addColumn('expression', 'text', (column) => column.notNull())
      .addColumn('due_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .execute()
    await schema
      .createTable('lineage_edges')
      .addColumn('pipeline', 'text', (column) => column.notNull())
      .addColumn('stream', 'text', (column) => column.notNull())
      .addColumn('input_namespace', 'text', (column) => column.notNull())
      .addColumn('input_name', 'text', (column) => column.notNull())
      .addColumn('input_field', 'text', (column) => column.notNull())
      .addColumn('output_namespace', 'text', (column) => column.notNull())
      .addColumn('output_name', 'text', (column) => column.notNull())
      .addColumn('output_field', 'text', (column) => column.notNull())
      .addColumn('transformation', 'text', (column) => column.notNull())
      .addColumn('run_id', 'text', (column) => column.notNull())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('lineage_edges_key', [
        'pipeline',
        'stream',
        'input_namespace',
        'input_name',
        'input_field',
        'output_namespace',
        'output_name',
        'output_field',
      ])
      .execute()
    await schema
      .createIndex('lineage_edges_output')
      .on('lineage_edges')
      .columns(['output_namespace', 'output_name', 'output_field'])
      .execute()
    await schema
      .createIndex('lineage_edges_input')
      .on('lineage_edges')
      .columns(['input_namespace', 'input_name', 'input_field'])
      .execute()
  }
