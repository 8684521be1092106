import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, CallOptions, Discovered, ReadOptions } from '@ecokit/contracts'
import { discoverTables, readTable } from './tables/read.ts'
import type { Places } from './check.ts'

/** Tables and views of the database, then the tables of the folder. */
export const discover = async function* (
  { database }: Places,
  partner: string,
  options: CallOptions,
): AsyncIterable<Discovered> {
  if (database !== undefined) yield* discoverTables(database, partner, options)
}

/** Reads a table by the name that `discover` gave it. */
export const readDiscovered = async function* (
  { database }: Places,
  partner: string,
  table: string,
  options: ReadOptions,
): AsyncIterable<Batch<AnyRecord>> {
  if (options.since !== undefined || options.until !== undefined)
    throw integrationError('unsupported', {
      partner,
      what: `table ${table} has no cursor, so it can only be read whole`,
      next: 'Leave out since and until',
      details: { what: 'since' },
    })
  let missing = database === undefined
  if (database !== undefined)
    for await (const batch of readTable(database, partner, table, options))
      if (batch === undefined) missing = true
      else yield batch
  if (missing)
    throw integrationError('not_found', {
      partner,
      what: `there is no table ${table}`,
      next: 'Call discover() for those that are there',
      details: {},
    })
}
