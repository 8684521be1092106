import path from 'node:path'
import { stopIfAborted } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, CallOptions, Discovered, ReadOptions } from '@ecokit/contracts'
import { databaseError } from './errors.ts'
import { describeFolder, listFolder, readFolder, type FolderTable } from './folder/read.ts'
import { discoverTables, readTable } from './tables/read.ts'
import type { Places } from './check.ts'

const folderTables = async (folder: string, partner: string) => {
  try {
    return await listFolder(path.resolve(folder), partner)
  } catch (thrown) {
    throw databaseError(thrown, { partner, what: `cannot list ${folder}` })
  }
}

/** Where a table of a folder is: what a sink wrote under its name, a sub-folder, or a single file. */
const placeOf = ({ directory, manifest, files }: FolderTable, folder: string): string => {
  if (manifest !== undefined) return path.resolve(folder, manifest.table)
  const [file] = files
  return file !== undefined && path.resolve(directory) === path.resolve(folder)
    ? path.resolve(file)
    : path.resolve(directory)
}

/** Tables and views of the database, then the tables of the folder, as `folder/name` where the database has one of that name. One that cannot be described comes with its fault and hides no other. */
export const discover = async function* (
  { database, folder }: Places,
  partner: string,
  options: CallOptions,
): AsyncIterable<Discovered> {
  const taken = new Set<string>()
  if (database !== undefined)
    for await (const table of discoverTables(database, partner, options)) {
      taken.add(table.name)
      yield { ...table, dataset: { namespace: 'file', name: path.resolve(database, table.name) } }
    }
  if (folder === undefined) return
  for (const table of await folderTables(folder, partner)) {
    stopIfAborted(options.signal, partner)
    const described = await describeFolder(table, partner, options).catch((thrown: unknown): Discovered => {
      stopIfAborted(options.signal, partner)
      const fault = databaseError(thrown, { partner, what: `cannot describe table ${table.name} of ${folder}` })
      return { name: table.name, schema: {}, fault }
    })
    const name = taken.has(table.name) ? `folder/${table.name}` : described.name
    yield { ...described, name, dataset: { namespace: 'file', name: placeOf(table, folder) } }
  }
}

/** Reads a table by the name that `discover` gave it. */
export const readDiscovered = async function* (
  { database, folder }: Places,
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
  if (!missing) return
  const listed = folder === undefined ? [] : await folderTables(folder, partner)
  const found = listed.find(({ name }) => name === table) ?? listed.find(({ name }) => `folder/${name}` === table)
  if (found === undefined)
    throw integrationError('not_found', {
      partner,
      what: `there is no table ${table}`,
      next: 'Call discover() for those that are there',
      details: {},
    })
  yield* readFolder(found, partner, options)
}
