import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { integrationError } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Checkpoint, JsonSchema, WriteOptions, Writer } from '@ecokit/contracts'
import { columnsOf, inlined, newColumns, sqlType } from '../columns.ts'
import { openDatabase } from '../database.ts'
import { cancelled, databaseError, stopIfAborted } from '../errors.ts'
import { oneByOne } from '../one-by-one.ts'
import { rowMaker, sortBatch } from '../rows.ts'
import { endings, lockName, namesIn, readManifest, stagedName, tableFolder, tidy, writeManifest } from './layout.ts'
import { partOpener } from './parts.ts'
import type { Column } from '../columns.ts'
import type { Stored } from '../values.ts'
import type { Format, FolderManifest, Part } from './layout.ts'
import type { OpenPart, PartWriter } from './parts.ts'

type AnyRow = Readonly<Record<string, unknown>>
export interface FolderTarget {
  readonly folder: string
  readonly format: Format
  readonly partner: string
  /** A part is closed at about this size, before compression. */
  readonly partBytes?: number
}

/** The new schema with the columns that only the old one has, so that older parts stay readable. */
const grown = (old: JsonSchema, now: JsonSchema): JsonSchema => {
  const properties = now['properties'] as Readonly<Record<string, unknown>>
  const before = Object.entries((old['properties'] ?? {}) as Readonly<Record<string, unknown>>)
  const retired = before
    .filter(([name]) => !Object.hasOwn(properties, name))
    .map(([name, field]) => [name, inlined(field, old)])
  return { ...now, properties: { ...properties, ...Object.fromEntries(retired) } }
}

/** Refuses a folder that holds something else than this table in this format. */
const checkFolder = async (
  directory: string,
  manifest: FolderManifest | undefined,
  { format, partner }: FolderTarget,
  { table, disposition }: WriteOptions,
  columns: readonly Column[],
): Promise<void> => {
  const clash = (what: string) =>
    integrationError('conflict', {
      partner,
      what: `${directory} ${what}`,
      next: 'Choose another table name, or move the files away',
      details: {},
    })
  if (manifest === undefined) {
    const foreign = (await namesIn(directory)).find((name) => path.extname(name).toLowerCase() in endings)
    if (foreign !== undefined) throw clash(`holds files of somebody else (${foreign})`)
    return
  }
  if (manifest.table !== table.name) throw clash(`holds the table ${manifest.table}`)
  if (manifest.format !== format) throw clash(`holds the table as ${manifest.format}`)
  if (disposition === 'append') {
    const present = columnsOf({ name: table.name, schema: manifest.schema }, partner)
    const spelt = new Map(present.map(({ name }) => [name.toLowerCase(), name]))
    const other = columns.find(({ name }) => (spelt.get(name.toLowerCase()) ?? name) !== name)
    if (other !== undefined)
      throw integrationError('invalid_data', {
        partner,
        what: `table ${table.name}: the column ${other.name} stands in the table as ${spelt.get(other.name.toLowerCase()) ?? ''}`,
        next: 'Rename the field, write to another table, or replace the whole table with overwrite',
        details: { stream: table.name, field: other.name },
      })
    newColumns(columns, new Map(present.map(({ name, type }) => [name, sqlType(type)])), table.name, partner)
  }
}

const sameColumns = (one: JsonSchema, other: readonly Column[], table: string, partner: string): boolean => {
  const present = columnsOf({ name: table, schema: one }, partner)
  const write = (columns: readonly Column[]) =>
    JSON.stringify(columns.map(({ name, type }) => [name, type.kind, JSON.stringify(type)]))
  return write(present) === write(other)
}

/** Opens a writer of a table of a folder. The lock file is a DuckDB file, whose lock the system gives back when a process dies. */
export const writeFolder = async (target: FolderTarget, options: WriteOptions): Promise<Writer<AnyRow>> => {
  const { partner, folder, format } = target
  const { table, disposition } = options
  if (disposition === 'merge' || options.prune === true)
    throw integrationError('unsupported', {
      partner,
      what: `table ${table.name}: files of ${format} can be appended to or overwritten, not merged into`,
      next: 'Use the sink tables for merge',
      details: { what: 'merge' },
    })
  const columns = columnsOf(table, partner)
  const directory = tableFolder(path.resolve(folder), table.name)
  const staged = path.join(directory, stagedName)
  const failure = { partner, what: `cannot write table ${table.name} in ${folder}` }
  const waiting = { partner, signal: options.signal }
  try {
    await mkdir(staged, { recursive: true })
  } catch (thrown) {
    throw databaseError(thrown, failure)
  }
  const database = await openDatabase(path.join(directory, lockName), waiting)
  let free = () => {}
  let connection: DuckDBConnection | undefined
  try {
    free = await database.reserve(table.name, waiting)
    const manifest = await readManifest(directory, partner)
    await checkFolder(directory, manifest, target, options, columns)
    await tidy(directory, manifest)
    connection = await database.connect()
    const opened = connection
    const openPart = await partOpener(format, columns, database.duck, opened)
    const close = () => {
      opened.closeSync()
      free()
      database.release()
    }
    return folderWriter({ ...target, directory, staged, columns, options, openPart, close }, manifest)
  } catch (thrown) {
    // A connection that is left open would keep the file's lock beyond everything else.
    connection?.closeSync()
    free()
    database.failed(thrown)
    database.release()
    throw databaseError(thrown, failure)
  }
}

interface Open extends FolderTarget {
  readonly directory: string
  readonly staged: string
  readonly columns: readonly Column[]
  readonly options: WriteOptions
  readonly openPart: OpenPart
  readonly close: () => void
}

const folderWriter = (open: Open, found: FolderManifest | undefined): Writer<AnyRow> => {
  const { partner, options, directory } = open
  const { table, key, run } = options
  const overwrite = options.disposition === 'overwrite'
  const makeRow = rowMaker(open.columns)
  let manifest: FolderManifest = found ?? {
    version: 1,
    table: table.name,
    format: open.format,
    schema: table.schema,
    primaryKey: [...(table.primaryKey ?? [])],
    next: 1,
    parts: [],
    checkpoints: {},
  }
  let resumed = false
  let part: PartWriter | undefined
  let finished: Part[] = []
  let next = manifest.next
  let broken: unknown
  let disposed = false
  const inTurn = oneByOne()

  const endPart = async () => {
    if (part === undefined) return
    finished.push(await part.finish())
    part = undefined
  }
  const addRows = async (rows: readonly (readonly Stored[])[]) => {
    if (rows.length === 0) return
    if (part === undefined) {
      part = await open.openPart(path.join(open.staged, `part-${String(next).padStart(6, '0')}.${open.format}`))
      next += 1
    }
    await part.add(rows)
    if (part.bytes() >= (open.partBytes ?? 128_000_000)) await endPart()
  }
  /** The manifest as it is after a commit of everything that is finished. */
  const committed = (checkpoint: Checkpoint | undefined, final: boolean): FolderManifest => {
    const { pass, ...rest } = manifest
    const state = checkpoint === undefined ? undefined : { checkpoint, run, at: new Date().toISOString() }
    const checkpoints = state === undefined ? rest.checkpoints : { ...rest.checkpoints, [key]: state }
    const primaryKey = [...(table.primaryKey ?? [])]
    if (!overwrite)
      return {
        ...rest,
        next,
        checkpoints,
        primaryKey,
        schema: grown(rest.schema, table.schema),
        parts: [...rest.parts, ...finished],
      }
    const parts = [...(resumed ? (pass?.parts ?? []) : []), ...finished]
    if (final) return { ...rest, next, checkpoints, primaryKey, schema: table.schema, parts }
    return { ...rest, next, pass: { key, schema: table.schema, parts, ...(state !== undefined && { state }) } }
  }
  const guard = async <T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    try {
      return await inTurn(() => {
        stopIfAborted(signal ?? options.signal, partner)
        if (disposed) throw cancelled(partner)
        if (broken !== undefined) throw broken
        return work()
      })
    } catch (thrown) {
      throw databaseError(thrown, { partner, what: `cannot ${what} table ${table.name} in ${open.folder}` })
    }
  }
  return {
    resumesFrom: (call) =>
      guard('read the checkpoint of', call?.signal, () => {
        const { pass } = manifest
        const goesOn =
          overwrite && pass?.key === key && sameColumns(pass.schema, open.columns, table.name, partner)
            ? pass.state
            : undefined
        if (goesOn !== undefined && part === undefined && finished.length === 0) resumed = true
        return Promise.resolve((goesOn ?? manifest.checkpoints[key])?.checkpoint)
      }),
    write: (batch, call) =>
      guard('write', call?.signal, async () => {
        if ((batch.deleted ?? []).length > 0)
          throw integrationError('unsupported', {
            partner,
            what: `table ${table.name}: records cannot be deleted from files`,
            next: 'Use the sink tables, or overwrite',
            details: { what: 'deleted' },
          })
        const { rows, rejected } = sortBatch(batch, makeRow, { partner, table: table.name })
        try {
          await addRows(rows)
        } catch (thrown) {
          // Part of the batch may be in the file: nothing of this writer may be committed any more.
          broken = thrown
          throw thrown
        }
        return { rows: rows.length, rejected }
      }),
    commit: (checkpoint, call) =>
      guard('commit', call?.signal, async () => {
        const final = call?.final === true
        try {
          await endPart()
          const after = committed(checkpoint, final)
          await writeManifest(directory, after)
          manifest = after
        } catch (thrown) {
          // It may have happened: only the next writer, which reads the manifest, can tell.
          broken = thrown
          throw thrown
        }
        finished = []
        resumed = overwrite && !final
        // The commit has happened: what is left to move or remove is done by the next one if it fails here.
        await tidy(directory, manifest).catch(() => undefined)
      }),
    [Symbol.asyncDispose]: () =>
      inTurn(async () => {
        if (disposed) return
        disposed = true
        try {
          await part?.discard()
          // By what is on disk: a commit that failed after its rename has happened, and its parts are not leftovers.
          await tidy(directory, await readManifest(directory, open.partner))
        } catch {
          // The next writer removes what is left.
        } finally {
          open.close()
        }
      }),
  }
}
