import { integrationError } from '@ecokit/contracts'
import type { Batch, Checkpoint, CommitOptions, WriteOptions, Writer } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import { columnsOf, newColumns, sqlType } from '../columns.ts'
import { openDatabase } from '../database.ts'
import { cancelled, databaseError, stopIfAborted } from '../errors.ts'
import { oneByOne } from '../one-by-one.ts'
import { rowMaker, sortBatch, sortDeletes } from '../rows.ts'
import { identifier, identifiers } from '../sql.ts'
import { openStage } from '../stage.ts'
import { keepTable, passTables, prepare, readCheckpoint, tableColumns, writeCheckpoint } from './bookkeeping.ts'
import type { Column } from '../columns.ts'
import type { Database } from '../database.ts'
import type { Stage } from '../stage.ts'

type AnyRow = Readonly<Record<string, unknown>>

interface Target {
  readonly partner: string
  readonly options: WriteOptions
  readonly columns: readonly Column[]
  readonly keys: readonly string[]
  /** An overwrite or a pruning merge: it takes effect at its end, and starts anew unless it is asked where it stopped. */
  readonly pass: boolean
}

/** SQL that is true where two rows have the same key, empty parts included. */
const sameKey = (keys: readonly string[], one: string, other: string): string =>
  keys.map((key) => `${one}.${identifier(key)} IS NOT DISTINCT FROM ${other}.${identifier(key)}`).join(' AND ')

const createTable = (name: string, columns: readonly Column[]): string =>
  `CREATE TABLE ${identifier(name)} (${columns.map((column) => `${identifier(column.name)} ${sqlType(column.type)}`).join(', ')})`

/** Makes the table fit the columns: creates it, or adds what is new. */
const fitTable = async (connection: DuckDBConnection, table: string, { partner, columns }: Target): Promise<void> => {
  const present = await tableColumns(connection, table)
  if (present === undefined) await connection.run(createTable(table, columns))
  else
    for (const { name, type } of newColumns(columns, present, table, partner))
      await connection.run(`ALTER TABLE ${identifier(table)} ADD COLUMN ${identifier(name)} ${sqlType(type)}`)
}

/** Puts the staged rows into a table: deletes take what came before them; with `merge` the last row of a key replaces the others. */
const moveRows = async (connection: DuckDBConnection, table: string, stage: Stage, target: Target, merge: boolean) => {
  const names = identifiers(target.columns.map(({ name }) => name))
  const into = identifier(table)
  if (merge || stage.hasDeletes()) {
    const gone = `SELECT DISTINCT ${identifiers(target.keys)} FROM ${stage.from}${merge ? '' : ' WHERE _ecokit_deleted'}`
    await connection.run(`DELETE FROM ${into} AS t USING (${gone}) AS s WHERE ${sameKey(target.keys, 't', 's')}`)
  }
  const kept = merge
    ? `(SELECT * FROM ${stage.from} QUALIFY row_number() OVER (PARTITION BY ${identifiers(target.keys)} ORDER BY _ecokit_order DESC) = 1)
       WHERE NOT _ecokit_deleted ORDER BY _ecokit_order`
    : stage.hasDeletes()
      ? `${stage.from} AS s WHERE NOT _ecokit_deleted AND NOT EXISTS (SELECT 1 FROM ${stage.from} AS d
           WHERE d._ecokit_deleted AND d._ecokit_order > s._ecokit_order AND ${sameKey(target.keys, 'd', 's')}) ORDER BY _ecokit_order`
      : stage.from
  await connection.run(`INSERT INTO ${into} (${names}) SELECT ${names} FROM ${kept}`)
}

const dropPass = async (connection: DuckDBConnection, table: string): Promise<void> => {
  const { rows, keys } = passTables(table)
  await connection.run(`DROP TABLE IF EXISTS ${identifier(rows)}`)
  await connection.run(`DROP TABLE IF EXISTS ${identifier(keys)}`)
  await connection.run('DELETE FROM _ecokit_checkpoints WHERE lower(table_name) = lower($1) AND pass', [table])
}

/** Everything that one commit does, inside its transaction; gives the number of rows that were pruned. `first`: the first commit of this writer, or of a new pass. */
const store = async (
  connection: DuckDBConnection,
  stage: Stage,
  target: Target,
  commit: {
    readonly checkpoint: Checkpoint | undefined
    readonly final: boolean
    readonly first: boolean
    readonly resumed: boolean
  },
): Promise<number> => {
  const { options, columns, keys, pass } = target
  const table = options.table.name
  const { final } = commit
  let pruned = 0
  // A pass that somebody else wrote into would end by removing what it has not seen: it starts anew.
  if (commit.first && !commit.resumed) await dropPass(connection, table)
  const passes = passTables(table)
  if (options.disposition === 'overwrite') {
    if (commit.first && !commit.resumed) await connection.run(createTable(passes.rows, columns))
    await moveRows(connection, passes.rows, stage, target, false)
    if (final) {
      await connection.run(`DROP TABLE IF EXISTS ${identifier(table)}`)
      await connection.run(`ALTER TABLE ${identifier(passes.rows)} RENAME TO ${identifier(table)}`)
    }
  } else {
    if (commit.first) await fitTable(connection, table, target)
    await moveRows(connection, table, stage, target, options.disposition === 'merge')
    if (pass) {
      const names = identifiers(keys)
      const into = identifier(passes.keys)
      if (commit.first && !commit.resumed)
        await connection.run(`CREATE TABLE ${into} AS SELECT ${names} FROM ${stage.from} WHERE false`)
      await connection.run(`INSERT INTO ${into} SELECT ${names} FROM ${stage.from} WHERE NOT _ecokit_deleted`)
      if (final) {
        const gone = await connection.run(
          `DELETE FROM ${identifier(table)} AS t WHERE NOT EXISTS (SELECT 1 FROM ${into} AS s WHERE ${sameKey(keys, 't', 's')})`,
        )
        pruned = gone.rowsChanged
      }
    }
  }
  if (commit.first || final) await keepTable(connection, options.table)
  if (pass && final) await dropPass(connection, table)
  const { checkpoint } = commit
  if (checkpoint !== undefined)
    await writeCheckpoint(connection, { key: options.key, table, pass: pass && !final, run: options.run, checkpoint })
  return pruned
}

/** The checkpoint of a pass that can go on: its own rows or keys are there and have the columns that are asked for. */
const passCheckpoint = async (connection: DuckDBConnection, target: Target): Promise<Checkpoint | undefined> => {
  const { options, columns, keys } = target
  const overwrite = options.disposition === 'overwrite'
  const passes = passTables(options.table.name)
  const found = await tableColumns(connection, overwrite ? passes.rows : passes.keys)
  const wanted = overwrite ? columns : keys.map((key) => columns.find(({ name }) => name === key))
  const fits =
    found?.size === wanted.length &&
    wanted.every((column) => column !== undefined && found.get(column.name) === sqlType(column.type))
  return fits ? readCheckpoint(connection, options.key, options.table.name, true) : undefined
}

const checkOptions = (partner: string, { table, disposition, prune }: WriteOptions): void => {
  const wrong = (field: string, what: string) =>
    integrationError('invalid_input', { partner, what: `table ${table.name}: ${field}: ${what}`, details: { field } })
  if (disposition === 'merge' && (table.primaryKey ?? []).length === 0)
    throw wrong('table.primaryKey', 'merge needs the fields that identify a record')
  if (prune === true && disposition !== 'merge') throw wrong('prune', 'only a merge can prune')
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
      const present = await tableColumns(connection, options.table.name)
      if (present !== undefined && options.disposition !== 'overwrite')
        newColumns(columns, present, options.table.name, partner)
      const stage = await openStage(database.duck, connection, columns)
      const target: Target = {
        partner,
        options,
        columns,
        keys: options.table.primaryKey ?? [],
        pass: options.disposition === 'overwrite' || options.prune === true,
      }
      return tableWriter(database, connection, stage, target, free)
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
  free: () => void,
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
  return {
    resumesFrom: (call) =>
      guard('cannot read the checkpoint of', call?.signal, async () => {
        const checkpoint = target.pass ? await passCheckpoint(connection, target) : undefined
        if (first && stage.rows() === 0) resumed = checkpoint !== undefined
        return checkpoint ?? readCheckpoint(connection, options.key, table, false)
      }),
    write: (batch: Batch<AnyRow>, call) =>
      guard('cannot write', call?.signal, async () => {
        const { rows, rejected } = sortBatch(batch, makeRow, about)
        const deletes = sortDeletes(batch, target.keys, target.columns, about)
        try {
          await stage.add(rows, false)
          await stage.add(deletes, true)
        } catch (thrown) {
          // Part of the batch may be staged: nothing of this writer may be committed any more.
          broken = thrown
          throw thrown
        }
        return { rows: rows.length, rejected }
      }),
    commit: (checkpoint, call?: CommitOptions) =>
      guard('cannot commit', call?.signal, async () => {
        stage.flush()
        const final = call?.final === true
        let pruned: number
        await connection.run('BEGIN')
        try {
          pruned = await store(connection, stage, target, { checkpoint, final, first, resumed })
          await connection.run('COMMIT')
        } catch (thrown) {
          // It may have happened: only the next writer, which reads the file again, can tell.
          broken = thrown
          await connection.run('ROLLBACK').catch(() => undefined)
          throw thrown
        }
        // After its end a pass is over: what is written next begins another.
        first = final
        resumed = false
        await stage.clear().catch((thrown: unknown) => (broken = thrown))
        return target.pass && options.disposition === 'merge' && final ? { pruned } : undefined
      }),
    [Symbol.asyncDispose]: () =>
      inTurn(() => {
        if (!disposed) {
          disposed = true
          try {
            stage.flush()
          } catch {
            // What was staged is not wanted any more.
          } finally {
            connection.closeSync()
            free()
            database.release()
          }
        }
        return Promise.resolve()
      }),
  }
}
