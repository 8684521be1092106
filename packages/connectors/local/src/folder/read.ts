import { stat } from 'node:fs/promises'
import path from 'node:path'
import { batcher, orNull, stopIfAborted } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type {
  AnyRecord,
  Batch,
  CallOptions,
  Discovered,
  IntegrationError,
  JsonSchema,
  ReadOptions,
} from '@ecokit/contracts'
import { columnsOf } from '../columns.ts'
import { databaseError } from '../errors.ts'
import { describeResult, readResult, selection } from '../tables/read.ts'
import { fromParquet, inOrder, locate, parquetQuery, verified, withMemory } from './files.ts'
import { endings, isLines, namesIn, readManifest } from './layout.ts'
import { csvHeader, fileRecords } from './lines.ts'
import { widen } from './infer.ts'
import type { Place } from './files.ts'
import type { FolderManifest, Format } from './layout.ts'

/** A table of a folder: one that a sink wrote, with its manifest, or files that somebody put there. */
export interface FolderTable {
  readonly name: string
  readonly format: Format
  readonly directory: string
  readonly manifest: FolderManifest | undefined
  /** Full paths of files without a manifest. */
  readonly files: readonly string[]
  /** Why nothing is known of it but its name. */
  readonly fault?: IntegrationError
}

const formatOf = (file: string): Format | undefined => endings[path.extname(file).toLowerCase()]
const byFormat = (directory: string, names: readonly string[]): ReadonlyMap<Format, readonly string[]> => {
  const found = new Map<Format, string[]>()
  for (const name of names) {
    const format = name.startsWith('_') || name.startsWith('.') ? undefined : formatOf(name)
    if (format !== undefined) found.set(format, [...(found.get(format) ?? []), path.join(directory, name)])
  }
  return found
}

/** The table that a sink put into a folder of this name. */
const decodeName = (name: string): string => {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** The tables of a folder: sub-folders, and single files by their name without the ending. Where one name would stand for two, the ending stays. */
export const listFolder = async (folder: string, partner: string): Promise<readonly FolderTable[]> => {
  const tables: FolderTable[] = []
  const add = (table: FolderTable, longName: string) =>
    tables.push(tables.some(({ name }) => name === table.name) ? { ...table, name: longName } : table)
  const names = await namesIn(folder)
  const loose: string[] = []
  for (const name of names) {
    const directory = path.join(folder, name)
    const found = await stat(directory).catch(() => undefined)
    if (found === undefined) continue
    if (!found.isDirectory()) {
      loose.push(name)
      continue
    }
    const manifest = await readManifest(directory, partner).catch((thrown: unknown) =>
      databaseError(thrown, { partner, what: `cannot read the manifest of ${directory}` }),
    )
    if (manifest !== undefined && 'ecokit' in manifest) {
      add(
        { name: decodeName(name), format: 'ndjson', directory, manifest: undefined, files: [], fault: manifest },
        `${name}/`,
      )
      continue
    }
    if (manifest !== undefined) {
      add({ name: manifest.table, format: manifest.format, directory, manifest, files: [] }, `${manifest.table}/`)
      continue
    }
    const formats = byFormat(directory, await namesIn(directory))
    for (const [format, files] of formats)
      add({ name: formats.size === 1 ? name : `${name}.${format}`, format, directory, manifest, files }, `${name}/`)
  }
  for (const [format, files] of byFormat(folder, loose))
    for (const file of files) {
      const base = path.basename(file)
      add(
        {
          name: base.slice(0, -path.extname(base).length),
          format,
          directory: folder,
          manifest: undefined,
          files: [file],
        },
        base,
      )
    }
  return tables
}

const keptOf = (manifest: FolderManifest | undefined) =>
  manifest === undefined ? undefined : { schema: manifest.schema, primaryKey: manifest.primaryKey }

/** A table as `discover` gives it. NDJSON of others is judged by its first records. */
export const describeFolder = async (
  table: FolderTable,
  partner: string,
  options: CallOptions,
): Promise<Discovered> => {
  const { name, format, manifest, fault } = table
  if (fault !== undefined) throw fault
  if (manifest !== undefined) {
    const properties = Object.fromEntries(
      columnsOf({ name: manifest.table, schema: manifest.schema }, partner).map((column) => [
        column.name,
        orNull(column.schema),
      ]),
    )
    const definitions = manifest.schema['$defs']
    return {
      name,
      schema: { type: 'object', properties, ...(definitions !== undefined && { $defs: definitions }) },
      ...(manifest.primaryKey.length > 0 && { primaryKey: manifest.primaryKey }),
    }
  }
  const files = await locate(table)
  if (format === 'parquet') {
    for await (const described of withMemory(options, async function* (duck, connection) {
      yield describeResult(duck, name, await connection.run(`SELECT * FROM ${fromParquet(files)} LIMIT 0`), undefined)
    }))
      return described
    return { name, schema: {} }
  }
  let properties: Readonly<Record<string, JsonSchema>> = {}
  for (const { file } of files) {
    const source = { file, partner, table: name }
    if (format === 'csv') {
      for (const column of await csvHeader(source))
        properties = { ...properties, [column]: { type: ['string', 'null'] } }
      continue
    }
    let count = 0
    // A line that is no record is for whoever reads the table: it keeps nobody from seeing what the others hold.
    for await (const record of fileRecords({ ...source, onInvalid: () => {} }, 'ndjson', undefined)) {
      stopIfAborted(options.signal, partner)
      properties = widen(properties, record)
      count += 1
      if (count >= 1000) break
    }
  }
  return { name, schema: { type: 'object', properties } }
}

const textBatches = async function* (
  { name, format, manifest }: FolderTable,
  places: readonly Place[],
  partner: string,
  options: ReadOptions,
  stop: () => void,
): AsyncIterable<Batch<AnyRecord>> {
  const columns = options.columns?.length === 0 ? undefined : options.columns
  const batches = batcher()
  for (const { file, bytes } of places) {
    const source = { file, bytes, partner, table: name, onInvalid: options.onInvalid }
    for await (const record of fileRecords(source, format === 'csv' && !isLines(file) ? 'csv' : 'ndjson', manifest)) {
      const batch = batches.add(
        columns === undefined ? record : Object.fromEntries(columns.map((column) => [column, record[column] ?? null])),
      )
      if (batch === undefined) continue
      stop()
      yield batch
    }
  }
  const rest = batches.rest()
  if (rest !== undefined) yield rest
}

/** Reads a table of a folder: exactly the parts that its manifest lists, or all files where it has none. */
export const readFolder = async function* (
  table: FolderTable,
  partner: string,
  options: ReadOptions,
): AsyncIterable<Batch<AnyRecord>> {
  const { name, format } = table
  const stop = () => stopIfAborted(options.signal, partner)
  if (table.fault !== undefined) throw table.fault
  try {
    const places = await verified(table, partner)
    if (format === 'parquet') {
      for (const group of inOrder(places)) {
        if (isLines(group[0]?.file ?? '')) {
          yield* textBatches(table, group, partner, options, stop)
          continue
        }
        yield* withMemory(options, async function* (duck, connection) {
          const from = await parquetQuery(connection, table, group, partner)
          const present = (await connection.run(`${from} LIMIT 0`)).columnNames()
          const chosen = selection(options.columns, present, { partner, table: name })
          yield* readResult(
            duck,
            await connection.stream(`SELECT ${chosen} FROM (${from})`),
            keptOf(table.manifest),
            stop,
          )
        })
      }
      return
    }
    if (options.columns !== undefined) {
      const described = (await describeFolder(table, partner, options)).schema['properties'] as Record<string, unknown>
      selection(options.columns, Object.keys(described), { partner, table: name })
    }
    yield* textBatches(table, places, partner, options, stop)
  } catch (thrown) {
    stop()
    if (thrown instanceof Error && /ENOENT|No files found|Cannot open file/.test(thrown.message))
      throw integrationError('unavailable', {
        partner,
        what: `table ${name} was replaced while it was read`,
        next: 'Read it again',
        details: {},
      })
    throw databaseError(thrown, { partner, what: `cannot read table ${name} of ${table.directory}` })
  }
}
