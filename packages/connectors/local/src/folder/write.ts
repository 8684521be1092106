import path from 'node:path'
import { cancelled, oneByOne, stopIfAborted } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Checkpoint, WriteOptions, Writer } from '@ecokit/contracts'
import { columnsOf } from '../columns.ts'
import { openDatabase } from '../database.ts'
import { databaseError } from '../errors.ts'
import { hasKind, lineSource } from '../proven.ts'
import { rowMaker, sortBatch } from '../rows.ts'
import { segmentBytes } from '../segments.ts'
import {
  isLines,
  lockName,
  pieceOf,
  readManifest,
  stagedName,
  syncFolder,
  tableFolder,
  writeManifest,
} from './layout.ts'
import { foldText } from './fold-text.ts'
import { foldParquet, foldRows } from './parquet.ts'
import { partitionsOf } from './partitions.ts'
import { partOpener } from './parts.ts'
import { openPieces } from './pieces.ts'
import { askFolder } from './query.ts'
import { listFolder } from './read.ts'
import { textForm } from './text.ts'
import { checkFolder, grown, sameColumns } from './target.ts'
import { restore, tidy } from './tidy.ts'
import type { Column } from '../columns.ts'
import type { Segment } from '../segments.ts'
import type { FolderManifest, Part } from './layout.ts'
import type { Pieces } from './pieces.ts'
import type { FolderTable } from './read.ts'
import type { FolderTarget } from './target.ts'
import { makeFolder } from '../make-folder.ts'

/** About where a part is closed, in bytes before compression. */
const defaultBytes = 128_000_000
type AnyRow = Readonly<Record<string, unknown>>

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
  const partitions = partitionsOf(partner, target.partitionBy, table.name, columns)
  const directory = tableFolder(path.resolve(folder), table.name)
  const staged = path.join(directory, stagedName)
  const failure = { partner, what: `cannot write table ${table.name} in ${folder}` }
  const waiting = { partner, signal: options.signal, converts: true }
  try {
    await makeFolder(staged)
  } catch (thrown) {
    throw databaseError(thrown, failure)
  }
  const database = await openDatabase(path.join(directory, lockName), waiting)
  const connections: DuckDBConnection[] = []
  let free = () => {}
  const close = () => {
    // A connection that is left open would keep the file's lock beyond everything else.
    for (const connection of connections) connection.closeSync()
    free()
    database.release()
  }
  try {
    free = await database.reserve(table.name, waiting)
    const before = await readManifest(directory, partner)
    await checkFolder(directory, before, target, options, columns)
    // One for rows that are staged, one for segments that are converted meanwhile.
    connections.push(await database.connect(), await database.connect())
    const [forRows, forLines] = connections
    if (forRows === undefined || forLines === undefined) throw new Error('no connection')
    const { duck } = database
    const parquetOf = (of: readonly Column[]) => ({ duck, connection: forLines, columns: of, partitions })
    const fold = (of: readonly Column[]) => {
      if (format !== 'parquet')
        return (segment: Segment, file: string) => foldText({ format, columns: of, partitions }, segment, file)
      const source = lineSource(of)
      return source && ((segment: Segment, file: string) => foldParquet(parquetOf(of), source, segment, file))
    }
    /** Makes lasting parts of what waits of one piece. */
    const foldPiece = async (waiting: readonly Part[], of: readonly Column[]): Promise<readonly Part[]> => {
      const lines = waiting.find((part) => isLines(part.file))
      const file = path.join(staged, `${pieceOf(waiting[0]?.file ?? '')}.${format}`)
      if (lines === undefined) return foldRows(parquetOf(of), waiting, file)
      const { rows, bytes } = lines
      return (await fold(of)?.({ file: path.join(staged, lines.file), rows, bytes, longest: bytes }, file)) ?? waiting
    }
    /** Ends what this writer, or one that died, left behind the last commit. */
    const end = (found: FolderManifest | undefined): Promise<FolderManifest | undefined> =>
      restore(
        directory,
        found,
        (waiting, schema) => foldPiece(waiting, columnsOf({ name: table.name, schema }, partner)),
        { partner, table: table.name, replaced: disposition === 'overwrite' },
      )
    const manifest = await end(before)
    // A decimal may stand in proven lines as a number, and in ours it is a text.
    const takesLines = lineSource(columns) !== undefined && !columns.some(({ type }) => hasKind(type, ['decimal']))
    const { partBytes } = target
    // Rows of text wait as lines where folders part them: one file to make safe at a commit, and not one for each value.
    const parted = format !== 'parquet' && partitions.length > 0
    const pieces = openPieces({
      staged,
      format,
      openPart: await partOpener(
        format,
        { duck, connection: forRows, columns, partitions },
        takesLines,
        partBytes ?? defaultBytes,
      ),
      fold: format === 'parquet' || parted ? fold(columns) : undefined,
      lineOf: parted ? textForm('ndjson', columns).lineOf : undefined,
      partBytes: partBytes ?? defaultBytes,
      segmentBytes: partBytes ?? segmentBytes,
      next: manifest?.next ?? 1,
    })
    const linesTaken = format === 'parquet' ? lineSource(columns) !== undefined : format === 'ndjson' && takesLines
    return folderWriter({ ...target, directory, columns, options, pieces, linesTaken, end, close }, manifest)
  } catch (thrown) {
    database.failed(thrown)
    close()
    throw databaseError(thrown, failure)
  }
}

interface Open extends FolderTarget {
  readonly directory: string
  readonly columns: readonly Column[]
  readonly options: WriteOptions
  readonly pieces: Pieces
  readonly linesTaken: boolean
  readonly end: (found: FolderManifest | undefined) => Promise<unknown>
  readonly close: () => void
}

const folderWriter = (open: Open, found: FolderManifest | undefined): Writer<AnyRow> => {
  const { partner, options, directory, pieces } = open
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
  if (!overwrite) pieces.reset(manifest.parts)
  let broken: unknown
  // There are parts to be moved out of the staging folder.
  let untidy = true
  /** The files whose names survive a power cut. */
  let lasting: ReadonlySet<string> = new Set()
  let disposed = false
  const inTurn = oneByOne()

  /** The manifest as it is after a commit of these parts. */
  const committed = (
    parts: FolderManifest['parts'],
    checkpoint: Checkpoint | undefined,
    final: boolean,
  ): FolderManifest => {
    const { pass: _, ...rest } = { ...manifest, next: pieces.next() }
    const state = checkpoint === undefined ? undefined : { checkpoint, run, at: new Date().toISOString() }
    const checkpoints = state === undefined ? rest.checkpoints : { ...rest.checkpoints, [key]: state }
    const primaryKey = [...(table.primaryKey ?? [])]
    if (!overwrite) return { ...rest, checkpoints, primaryKey, schema: grown(rest.schema, table.schema), parts }
    if (final) return { ...rest, checkpoints, primaryKey, schema: table.schema, parts }
    return { ...rest, pass: { key, schema: table.schema, parts, ...(state !== undefined && { state }) } }
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
        if (goesOn !== undefined && pieces.isEmpty()) pieces.reset(pass?.parts ?? [])
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
        const lines = batch.encoding === 'ndjson' && batch.proven === true && open.linesTaken ? batch : undefined
        const { rows, rejected } =
          lines === undefined ? sortBatch(batch, makeRow, { partner, table: table.name }) : { rows: [], rejected: [] }
        try {
          if (lines === undefined) await pieces.addRows(rows)
          else await pieces.addLines(lines.bytes, lines.count)
        } catch (thrown) {
          // Part of the batch may be in the file: nothing of this writer may be committed any more.
          broken = thrown
          throw thrown
        }
        return { rows: lines?.count ?? rows.length, rejected }
      }),
    query: (sql, call) =>
      guard('ask', call?.signal, async () => {
        const { parts, moved } = await pieces.settle(false)
        untidy ||= moved
        const own: FolderTable = {
          name: table.name,
          format: open.format,
          directory,
          manifest: committed([...parts], undefined, true),
          files: [],
        }
        const find = async (name: string | undefined) =>
          name === undefined || name === table.name
            ? own
            : (await listFolder(path.resolve(open.folder), partner)).find((other) => other.name === name)
        return askFolder(sql, { partner, table: table.name }, find, { signal: call?.signal ?? options.signal })
      }),
    commit: (checkpoint, call) =>
      guard('commit', call?.signal, async () => {
        const final = call?.final === true
        try {
          const { parts, unsettled, moved } = await pieces.settle(final)
          const after = committed([...parts], checkpoint, final)
          untidy ||= moved || final
          // A manifest may list what still stands there: its entries must outlive a power cut as the files do.
          if (parts.some(({ file }) => !lasting.has(file))) await syncFolder(path.join(directory, stagedName))
          lasting = new Set(parts.map(({ file }) => file))
          await writeManifest(directory, after, untidy)
          manifest = after
          // The commit has happened: what is left to move or remove is done by the next one if it fails here.
          if (untidy) await tidy(directory, manifest, unsettled).catch(() => undefined)
          untidy = false
        } catch (thrown) {
          // It may have happened: only the next writer, which reads the manifest, can tell.
          broken = thrown
          throw thrown
        }
        if (overwrite && final) pieces.reset([])
      }),
    [Symbol.asyncDispose]: () =>
      inTurn(async () => {
        if (disposed) return
        disposed = true
        try {
          await pieces.close()
          // By what is on disk: a commit that failed after its rename has happened, and its parts are not leftovers.
          await open.end(await readManifest(directory, open.partner))
        } catch {
          // The next writer removes what is left.
        } finally {
          open.close()
        }
      }),
  }
}
