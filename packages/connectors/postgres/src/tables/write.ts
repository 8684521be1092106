import { cancelled, identifiers, oneByOne, sortDeletes, stopIfAborted } from '@ecokit/connect/writing'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, Checkpoint, WriteOptions, Writer, Written } from '@ecokit/contracts'
import { openSession } from '../client.ts'
import { isPassing, serverError } from '../errors.ts'
import { qualified } from '../sql.ts'
import { rowMaker } from '../rows.ts'
import { prune, settle } from './apply.ts'
import { keepTable, passTables, prepare, readCheckpoint, writeCheckpoint } from './bookkeeping.ts'
import { load, loadBytes } from './load.ts'
import { lockTable } from './lock.ts'
import { ask } from './query.ts'
import { openRoads } from './reader.ts'
import { openStage } from './stage.ts'
import { swap } from './swap.ts'
import { aim, dropPass, isReady, keptSchema, openTarget, passCheckpoint } from './target.ts'
import type { Session } from '../client.ts'
import type { Place } from '../place.ts'
import type { Into } from './apply.ts'
import type { Stage } from './stage.ts'
import type { Target } from './target.ts'

/** Opens a writer of a table: one session, which holds the right to write it. */
export const writeTable = async (place: Place, options: WriteOptions): Promise<Writer<AnyRecord>> => {
  const { partner, config } = place
  const session = await openSession(place, options)
  try {
    return await session.within(options.signal, async () => {
      await lockTable(session, place, options.table.name, options.signal)
      await prepare(session, config.schema)
      return tableWriter(session, await aim(session, place, options))
    })
  } catch (thrown) {
    await session.end()
    throw serverError(thrown, { partner, what: `cannot write table ${options.table.name}`, table: options.table.name })
  }
}

/** What one writer has done so far. */
interface State {
  /** A transaction is open. */
  inside: boolean
  /** What the rows go into; undefined until it is made ready. */
  into: Into | undefined
  /** As of the last commit, to which a rollback leads. */
  committed: Into | undefined
  /** The staged rows are in the table already, behind the savepoint `ecokit_settled`. */
  settled: boolean
  /** The pass goes on where another writer left it. */
  resumed: boolean
  stage: Stage | undefined
  written: boolean
}

/** Opens the transaction and makes ready what the rows go into. */
const begin = async (session: Session, target: Target, state: State): Promise<Into> => {
  if (!state.inside) await session.run('BEGIN')
  state.inside = true
  state.into ??= await openTarget(session, target, state.resumed)
  return state.into
}
const rollback = async (session: Session, state: State): Promise<void> => {
  state.inside = false
  state.settled = false
  state.into = state.committed
  await session.run('ROLLBACK').catch(() => undefined)
}
/** Everything that is written so far is in the table afterwards, not yet committed. */
const settleAll = async (session: Session, target: Target, state: State): Promise<Into> => {
  const into = await begin(session, target, state)
  if (state.settled) return into
  await session.run('SAVEPOINT ecokit_settled')
  if (state.stage !== undefined) await settle(session, state.stage, into)
  state.settled = true
  return into
}

/** Notes the keys of the staged rows among those that the pass has brought. */
const see = async (session: Session, { place, options, keys }: Target, { stage }: State): Promise<string> => {
  const seen = qualified(place.config.schema, passTables(options.table.name).keys)
  const names = identifiers(keys)
  if (stage !== undefined)
    await session.run(`INSERT INTO ${seen} (${names}) SELECT ${names} FROM ${stage.from} WHERE NOT _ecokit_deleted`)
  return seen
}
/** Does something while the table is as it would be if the pass ended here: the rows that it removes break no rule any more. */
const asPruned = async <T>(
  session: Session,
  target: Target,
  state: State,
  into: Into,
  work: () => Promise<T>,
): Promise<T> => {
  await session.run('SAVEPOINT ecokit_pruned')
  try {
    await prune(session, into, await see(session, target, state))
    return await work()
  } finally {
    await session.run('ROLLBACK TO SAVEPOINT ecokit_pruned; RELEASE SAVEPOINT ecokit_pruned')
  }
}

/** Everything that one commit does; gives the number of rows that were pruned. */
const store = async (
  session: Session,
  target: Target,
  state: State,
  checkpoint: Checkpoint | undefined,
  final: boolean,
): Promise<number> => {
  const { place, options, columns } = target
  const { schema } = place.config
  const table = options.table.name
  const first = state.committed === undefined
  const into = await settleAll(session, target, state)
  const passes = passTables(table)
  let pruned = 0
  if (options.prune === true) {
    const seen = await see(session, target, state)
    if (final) pruned = await prune(session, into, seen)
  }
  if (options.disposition === 'overwrite' && final)
    await swap(session, schema, table, passes.rows, columns, target.soft)
  if (first || final) await keepTable(session, schema, keptSchema(target))
  if (target.pass && final) await dropPass(session, target)
  if (checkpoint !== undefined)
    await writeCheckpoint(session, schema, {
      key: options.key,
      table,
      pass: target.pass && !final,
      run: options.run,
      checkpoint,
    })
  await state.stage?.truncate()
  await session.run('COMMIT')
  return pruned
}

/** Commits; once more where the server gave up the transaction for another one's sake and all that is written still waits in the stage. */
const commitAll = async (
  session: Session,
  target: Target,
  state: State,
  checkpoint: Checkpoint | undefined,
  final: boolean,
): Promise<number> => {
  const again = !state.inside
  for (let attempt = 1; ; attempt += 1)
    try {
      return await store(session, target, state, checkpoint, final)
    } catch (thrown) {
      await rollback(session, state)
      if (!again || attempt === 3 || !isPassing(thrown)) throw thrown
    }
}

const tableWriter = (session: Session, target: Target): Writer<AnyRecord> => {
  const { place, options } = target
  const { partner, config } = place
  const table = options.table.name
  const roads = openRoads(target)
  const makeDeleted = rowMaker(target.columns)
  const state: State = {
    inside: false,
    into: undefined,
    committed: undefined,
    settled: false,
    resumed: false,
    stage: undefined,
    written: false,
  }
  let broken: unknown
  let disposed = false
  const inTurn = oneByOne()
  const guard = async <T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    try {
      return await inTurn(async () => {
        stopIfAborted(signal ?? options.signal, partner)
        if (disposed) throw cancelled(partner)
        if (broken !== undefined) throw broken
        try {
          return await session.within(signal ?? options.signal, work)
        } catch (thrown) {
          // What was cancelled was not cleared away behind it.
          if (isIntegrationError(thrown, 'cancelled')) broken = thrown
          throw thrown
        }
      })
    } catch (thrown) {
      throw serverError(thrown, { partner, what: `${what} table ${table}`, table })
    }
  }
  /** After an error in it the writer takes nothing more: part of the work may be done. */
  const whole = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (thrown) {
      broken = thrown
      throw thrown
    }
  }
  /** Puts rows in by COPY; proven lines at once, and through objects where the server refuses some of them. */
  const rowsOf = async (
    batch: Batch<AnyRecord>,
    copy: string,
    inside: boolean,
    tail: (place: number) => string,
  ): Promise<Written> => {
    if (batch.encoding === 'ndjson' && batch.proven === true) {
      const { bytes, rows, rejected } = roads.cut(batch.bytes, tail)
      if (rows === 0 || (await loadBytes(session, copy, bytes, inside))) return { rows, rejected }
    }
    const { rows, rejected } = roads.read(batch)
    const refused = await load(session, copy, rows, { inside, tail })
    return {
      rows: rows.length - refused.length,
      rejected: [...rejected, ...refused].toSorted((one, other) => one.index - other.index),
    }
  }
  const put = async (batch: Batch<AnyRecord>): Promise<Written> => {
    const deletes = sortDeletes(batch.deleted, target.keys, makeDeleted, { partner, table })
    if (state.settled) await session.run('ROLLBACK TO SAVEPOINT ecokit_settled')
    state.settled = false
    const ready = isReady(target) || (state.committed !== undefined && options.disposition !== 'merge')
    state.written = true
    if (ready && deletes.length === 0 && (state.stage?.rows() ?? 0) === 0) {
      const into = await begin(session, target, state)
      const names = identifiers(target.columns.map(({ name }) => name))
      return rowsOf(batch, `COPY ${into.table} (${names}) FROM STDIN`, true, () => '')
    }
    const stage = (state.stage ??= await openStage(session, target.columns))
    const { inside } = state
    const written = await rowsOf(batch, stage.copy, inside, (place) => stage.tail(place, false))
    // Counted here: who says less than there is would make the next batch seem older.
    stage.added(written.rows + written.rejected.length, 0)
    const gone = deletes.map((text, index) => ({ index, text }))
    await load(session, stage.copy, gone, { inside, tail: (place) => stage.tail(place, true) })
    stage.added(gone.length, gone.length)
    return written
  }
  return {
    resumesFrom: (call) =>
      guard('cannot read the checkpoint of', call?.signal, async () => {
        const found = target.pass ? await passCheckpoint(session, target) : undefined
        if (!state.written && state.into === undefined) state.resumed = found !== undefined
        return found ?? readCheckpoint(session, config.schema, { key: options.key, table, pass: false })
      }),
    write: (batch, call) =>
      guard('cannot write', call?.signal, async () => {
        if (batch.encoding === 'arrow')
          throw integrationError('unsupported', {
            partner,
            what: `table ${table}: Arrow batches are not taken`,
            next: 'Hand over records or NDJSON',
            details: { what: 'arrow' },
          })
        return whole(() => put(batch))
      }),
    query: (sql, call) =>
      guard('cannot ask about', call?.signal, async () => {
        const into = await whole(() => settleAll(session, target, state))
        const asked = () => ask(session, sql, { table, itself: into.table, schema: config.schema, partner })
        return options.prune === true ? asPruned(session, target, state, into, asked) : asked()
      }),
    commit: (checkpoint, call) =>
      guard('cannot commit', call?.signal, () =>
        whole(async () => {
          const final = call?.final === true
          const pruned = await commitAll(session, target, state, checkpoint, final)
          state.inside = false
          state.settled = false
          state.stage?.forget()
          // After its end a pass is over: what is written next begins another.
          const over = final && target.pass
          state.committed = over ? undefined : state.into
          state.into = state.committed
          state.resumed = false
          return options.prune === true && final ? { pruned } : undefined
        }),
      ),
    [Symbol.asyncDispose]: () =>
      inTurn(async () => {
        if (disposed) return
        disposed = true
        await session.end()
      }),
  }
}
