import { rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { cancelled, oneByOne, sortDeletes, stopIfAborted } from '@ecokit/connect/writing'
import { deletedAt, integrationError } from '@ecokit/contracts'
import type { Batch, CommitOptions, WriteOptions, Writer } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import { ask } from '../ask.ts'
import { columnsOf, newColumns } from '../columns.ts'
import { openDatabase } from '../database.ts'
import { databaseError } from '../errors.ts'
import { encodeName } from '../folder/layout.ts'
import { rowMaker, sortBatch } from '../rows.ts'
import { openStage } from '../stage.ts'
import { passTables, prepare, query, readCheckpoint, tableColumns } from './bookkeeping.ts'
import { readStage } from './move.ts'
import { markColumn, passCheckpoint, store } from './store.ts'
import type { Database } from '../database.ts'
import type { Stage } from '../stage.ts'
import type { Staged } from './move.ts'
import type { Target } from './store.ts'

type AnyRow = Readonly<Record<string, unknown>>

const checkOptions = (partner: string, { table, disposition, prune, deletes }: WriteOptions): void => {
  const wrong = (field: string, what: string) =>
    integrationError('invalid_input', { partner, what: `table ${table.name}: ${field}: ${what}`, details: { field } })
  if (disposition === 'merge' && (table.primaryKey ?? []).length === 0)
    throw wrong('table.primaryKey', 'merge needs the fields that identify a record')
  if (prune === true && disposition !== 'merge') throw wrong('prune', 'only a merge can prune')
  if (
    deletes === 'soft' &&
    Object.keys(table.schema['properties'] ?? {}).some((name) => name.toLowerCase() === deletedAt)
  )
    throw wrong(
      `table.schema.properties.${deletedAt}`,
      'is where soft deletes are noted: rename or leave out the field',
    )
}

/** Refuses a table that DuckDB would take for another one: two streams would replace each other's rows without a word. */
const checkSpelling = async (connection: DuckDBConnection, partner: string, table: string): Promise<void> => {
  const [found] = await query(
    connection,
    `SELECT table_name FROM duckdb_tables()
     WHERE database_name = current_database() AND schema_name = 'main' AND lower(table_name) = lower($1)`,
    [table],
  )
  const spelt = String(found?.[0] ?? table)
  if (spelt !== table)
    throw integrationError('conflict', {
      partner,
      what: `table ${table}: the file has a table ${spelt}, which DuckDB does not tell apart from it`,
      next: `Call it ${spelt} where it is the same table, or choose another name`,
      details: {},
    })
}

/** Where a table's segments wait, beside the file. What a crash left there is removed before anything is written: whoever has the file open is alone with it. */
const stagingFolder = async (database: Database, table: string): Promise<string> => {
  const folder = `${path.resolve(database.file)}.staged`
  await database.once('staged', () => rm(folder, { recursive: true, force: true }))
  return path.join(folder, encodeName(table.toLowerCase()))
}

/** Opens a writer of a table of the DuckDB file. */
export const writeTable = async (file: string, partner: string, options: WriteOptions): Promise<Writer<AnyRow>> => {
  checkOptions(partner, options)
  const columns = columnsOf(options.table, partner)
  const waiting = { partner, signal: options.signal }
  const database = await openDatabase(file, waiting)
  try {
    const free = await database.reserve(options.table.name, waiting)
    let opened: DuckDBConnection | undefined
    try {
      const connection = await database.connect()
      opened = connection
      await prepare(database, connection)
      const soft = options.deletes === 'soft'
      const stored = soft ? [...columns, markColumn] : columns
      await checkSpelling(connection, partner, options.table.name)
      const present = await tableColumns(connection, options.table.name)
      if (present !== undefined && options.disposition !== 'overwrite')
        newColumns(stored, present, options.table.name, partner)
      const folder = await stagingFolder(database, options.table.name)
      const stage = await openStage(database.duck, connection, columns, folder)
      const target: Target = {
        partner,
        options,
        columns,
        stored,
        soft,
        keys: options.table.primaryKey ?? [],
        pass: options.disposition === 'overwrite' || options.prune === true,
      }
      const leave = async () => {
        // Only where they are empty: others may be writing beside it.
        for (const empty of [folder, path.dirname(folder)]) await rmdir(empty).catch(() => undefined)
        free()
      }
      return tableWriter(database, connection, stage, target, leave)
    } catch (thrown) {
      // A connection that is left open would keep the file's lock beyond everything else.
      opened?.closeSync()
      free()
      throw thrown
    }
  } catch (thrown) {
    database.failed(thrown)
    database.release()
    throw databaseError(thrown, { partner, what: `cannot write table ${options.table.name} of ${file}` })
  }
}

const tableWriter = (
  database: Database,
  connection: DuckDBConnection,
  stage: Stage,
  target: Target,
  leave: () => Promise<void>,
): Writer<AnyRow> => {
  const { partner, options } = target
  const table = options.table.name
  const makeRow = rowMaker(target.columns)
  const about = { partner, table }
  let first = true
  let resumed = false
  let broken: unknown
  let disposed = false
  const inTurn = oneByOne()
  const guard = async <T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const interrupt = () => connection.interrupt()
    try {
      return await inTurn(async () => {
        stopIfAborted(signal ?? options.signal, partner)
        if (disposed) throw cancelled(partner)
        if (broken !== undefined) throw broken
        signal?.addEventListener('abort', interrupt)
        try {
          return await work()
        } finally {
          signal?.removeEventListener('abort', interrupt)
        }
      })
    } catch (thrown) {
      database.failed(thrown)
      throw databaseError(thrown, { partner, what: `${what} table ${table} of ${database.file}` })
    }
  }
  /** Work that sees the staged rows, inside of a transaction. */
  const inTransaction = async <T>(end: 'COMMIT' | 'ROLLBACK', work: (staged: Staged) => Promise<T>): Promise<T> => {
    const staged = await readStage(stage, target)
    try {
      await connection.run('BEGIN')
      try {
        const done = await work(staged)
        await connection.run(end)
        return done
      } catch (thrown) {
        await connection.run('ROLLBACK').catch(() => undefined)
        throw thrown
      }
    } finally {
      staged.close()
    }
  }
  return {
    resumesFrom: (call) =>
      guard('cannot read the checkpoint of', call?.signal, async () => {
        const checkpoint = target.pass ? await passCheckpoint(connection, target) : undefined
        if (first && stage.rows() === 0) resumed = checkpoint !== undefined
        return checkpoint ?? readCheckpoint(connection, options.key, table, false)
      }),
    write: (batch: Batch<AnyRow>, call) =>
      guard('cannot write', call?.signal, async () => {
        const lines = batch.encoding === 'ndjson' && batch.proven === true && stage.takesLines ? batch : undefined
        const { rows, rejected } = lines === undefined ? sortBatch(batch, makeRow, about) : { rows: [], rejected: [] }
        const deletes = sortDeletes(batch.deleted, target.keys, makeRow, about)
        try {
          if (lines === undefined) await stage.add(rows, false)
          else await stage.addLines(lines.bytes, lines.count)
          await stage.add(deletes, true)
        } catch (thrown) {
          // Part of the batch may be staged: nothing of this writer may be committed any more.
          broken = thrown
          throw thrown
        }
        return { rows: lines?.count ?? rows.length, rejected }
      }),
    query: (sql, call) =>
      guard('cannot ask', call?.signal, () =>
        // The commit as it would be, and then undone: what the query sees is what everybody will see.
        inTransaction('ROLLBACK', async (staged) => {
          // The end of a pass that prunes, too: the rows that it removes break no rule any more.
          const final = options.prune === true
          await store(connection, staged, target, { checkpoint: undefined, final, first, resumed })
          const own = options.disposition === 'overwrite' ? passTables(table).rows : table
          return ask(database.duck, connection, sql, about, async (name) => {
            if (name === undefined || name.toLowerCase() === table.toLowerCase()) return own
            return (await tableColumns(connection, name)) === undefined ? undefined : name
          })
        }),
      ),
    commit: (checkpoint, call?: CommitOptions) =>
      guard('cannot commit', call?.signal, async () => {
        const final = call?.final === true
        let pruned = 0
        try {
          await inTransaction('COMMIT', async (staged) => {
            pruned = await store(connection, staged, target, { checkpoint, final, first, resumed })
          })
        } catch (thrown) {
          // It may have happened: only the next writer, which reads the file again, can tell.
          broken = thrown
          throw thrown
        }
        // After its end a pass is over: what is written next begins another.
        first = final
        resumed = false
        await stage.clear().catch((thrown: unknown) => (broken = thrown))
        return target.pass && options.disposition === 'merge' && final ? { pruned } : undefined
      }),
    [Symbol.asyncDispose]: () =>
      inTurn(async () => {
        if (disposed) return
        disposed = true
        try {
          await stage.close()
        } finally {
          connection.closeSync()
          await leave()
          database.release()
        }
      }),
  }
}
