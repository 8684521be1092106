import { defineConnector, integrationError, sink } from '@ecokit/contracts'
import type { AnyRecord, Batch, CallOptions, Checked, Discovered, ReadOptions, WriteOptions } from '@ecokit/contracts'
import { z } from 'zod'
import { partitionPattern } from './partition-pattern.ts'

const path = (what: string) =>
  z
    .string()
    .min(1)
    .regex(/^[^\0]+$/, 'a path')
    .meta({ title: what })
const config = z
  .strictObject({
    database: path('DuckDB file; made when it is not there').optional(),
    folder: path('Folder of tables as Parquet, CSV or NDJSON; made when it is not there').optional(),
    partitionBy: z
      .record(
        z.string(),
        z.array(z.string().regex(partitionPattern, 'a column, or a unit of a time: day(started_at)')).min(1),
      )
      .optional()
      .meta({
        title:
          'By table of the folder the columns, or year, month, day or hour of a time, whose values make folders (started_at_day=2026-11-22)',
      }),
    partBytes: z.int().min(1_000_000).max(1_000_000_000).optional().meta({
      title: 'About how many bytes, before compression, a file of the folder gets before the next one is begun',
    }),
  })
  .refine((value) => value.database !== undefined || value.folder !== undefined, {
    path: ['database'],
    message: 'name a database file, a folder, or both',
  })

const files = sink({
  dataset: { namespace: 'file', name: '{folder}/{table}' },
  perTable: 'partitionBy',
  accepts: ['records', 'ndjson'],
  dispositions: ['append', 'overwrite'],
  changes: ['add_column'],
  commit: 'transaction',
})
const manifest = {
  id: 'local',
  title: 'DuckDB and local files',
  description:
    'A DuckDB file and folders of Parquet, CSV and NDJSON: read as discovered tables, written with rows and checkpoint in one step.',
  config,
  hosts: [],
  discovers: true,
  sinks: {
    tables: sink({
      dataset: { namespace: 'file', name: '{database}/{table}' },
      accepts: ['records', 'ndjson'],
      dispositions: ['append', 'overwrite', 'merge'],
      deletes: ['hard', 'soft'],
      changes: ['add_column'],
      commit: 'transaction',
    }),
    parquet: files,
    csv: files,
    ndjson: files,
  },
} as const

/** A DuckDB file and folders of files. Everything that does work is imported at its first use. */
export const local = defineConnector(
  manifest,
  ({ config: { database, folder, partitionBy, partBytes }, name: partner }) => {
    const needs = (file: string | undefined, field: 'database' | 'folder', sinkName: string): string => {
      if (file !== undefined) return file
      throw integrationError('invalid_config', {
        partner,
        what: `${sinkName} needs config.${field}, which is not set`,
        details: { field: `config.${field}` },
      })
    }
    const writeFiles = (format: 'parquet' | 'csv' | 'ndjson') => async (options: WriteOptions) =>
      (await import('./folder/write.ts')).writeFolder(
        { folder: needs(folder, 'folder', `the sink ${format}`), format, partner, partitionBy, partBytes },
        options,
      )
    return {
      check: async (options: CallOptions): Promise<Checked> =>
        (await import('./check.ts')).check({ database, folder }, partner, options),
      async *discover(options: CallOptions): AsyncIterable<Discovered> {
        yield* (await import('./read.ts')).discover({ database, folder }, partner, options)
      },
      async *readDiscovered(table: string, options: ReadOptions): AsyncIterable<Batch<AnyRecord>> {
        yield* (await import('./read.ts')).readDiscovered({ database, folder }, partner, table, options)
      },
      write: {
        tables: async (options: WriteOptions) =>
          (await import('./tables/write.ts')).writeTable(
            needs(database, 'database', 'the sink tables'),
            partner,
            options,
          ),
        parquet: writeFiles('parquet'),
        csv: writeFiles('csv'),
        ndjson: writeFiles('ndjson'),
      },
      close: async () => {
        const { closeIdle } = await import('./database.ts')
        for (const place of [database, folder]) if (place !== undefined) await closeIdle(place)
      },
    }
  },
)
