import { identifier, identifiers } from '@ecokit/connect/writing'
import { deletedAt } from '@ecokit/contracts'
import type { Session } from '../client.ts'
import type { Column } from '../columns.ts'
import type { Stage } from './stage.ts'

/** What moving rows needs to know of their table. */
export interface Into {
  /** The table, with its schema. */
  readonly table: string
  readonly columns: readonly Column[]
  readonly keys: readonly string[]
  readonly merge: boolean
  /** Rows that are gone stay, with the time at which that was seen. */
  readonly soft: boolean
  /** A unique index stands over exactly the keys, and `nulls` says whether empty parts are equal in it. */
  readonly unique: { readonly nulls: boolean } | undefined
}

const key = (keys: readonly string[], one: string, other: string, operator: string): string =>
  keys.map((name) => `${one}.${identifier(name)} ${operator} ${other}.${identifier(name)}`).join(' AND ')
const whole = (keys: readonly string[], from: string): string =>
  keys.map((name) => `${from}.${identifier(name)} IS NOT NULL`).join(' AND ')

/**
 * Runs a statement for rows whose keys are whole, and again for those with empty parts where there are such: PostgreSQL finds no index and makes no hash for IS NOT DISTINCT FROM.
 * `statement` gets the condition of two rows having the same key.
 */
const forKeys = async (
  session: Session,
  keys: readonly string[],
  [one, other]: readonly [string, string],
  holes: boolean,
  statement: (same: string, only: string) => string,
): Promise<number> => {
  const first = await session.run(statement(key(keys, one, other, '='), whole(keys, one)))
  if (!holes) return first.count
  const second = await session.run(
    statement(key(keys, one, other, 'IS NOT DISTINCT FROM'), `NOT (${whole(keys, one)})`),
  )
  return first.count + second.count
}

const someHoles = async (session: Session, from: string, keys: readonly string[]): Promise<boolean> => {
  const { rows } = await session.run(`SELECT EXISTS (SELECT FROM ${from} s WHERE NOT (${whole(keys, 's')}))`)
  return rows[0]?.[0] === 't'
}

/** Takes rows out of the table, or notes that they are gone: those of which a row of `from` has the key. */
const remove = (session: Session, into: Into, from: string, holes: boolean): Promise<number> =>
  forKeys(session, into.keys, ['s', 't'], holes, (same, only) =>
    into.soft
      ? `UPDATE ${into.table} AS t SET ${identifier(deletedAt)} = now() FROM ${from} AS s WHERE ${same} AND ${only} AND t.${identifier(deletedAt)} IS NULL`
      : `DELETE FROM ${into.table} AS t USING ${from} AS s WHERE ${same} AND ${only}`,
  )

const setList = ({ columns, soft }: Into, from: string): string =>
  [
    ...columns.map(({ name }) => `${identifier(name)} = ${from}.${identifier(name)}`),
    ...(soft ? [`${identifier(deletedAt)} = NULL`] : []),
  ].join(', ')

/** Updates the rows that are there, inserts the others. Never a delete and an insert: other tables may refer to the rows. */
const upsert = async (session: Session, into: Into, from: string, holes: boolean): Promise<void> => {
  const names = identifiers(into.columns.map(({ name }) => name))
  const selected = identifiers(
    into.columns.map(({ name }) => name),
    's.',
  )
  if (into.unique !== undefined && (into.unique.nulls || !holes)) {
    await session.run(
      `INSERT INTO ${into.table} AS t (${names}) SELECT ${selected} FROM ${from} AS s ORDER BY s._ecokit_order
       ON CONFLICT (${identifiers(into.keys)}) DO UPDATE SET ${setList(into, 'excluded')}`,
    )
    return
  }
  await forKeys(
    session,
    into.keys,
    ['s', 't'],
    holes,
    (same, only) => `UPDATE ${into.table} AS t SET ${setList(into, 's')} FROM ${from} AS s WHERE ${same} AND ${only}`,
  )
  await forKeys(
    session,
    into.keys,
    ['s', 't'],
    holes,
    (same, only) =>
      `INSERT INTO ${into.table} (${names}) SELECT ${selected} FROM ${from} AS s WHERE ${only} AND NOT EXISTS (SELECT FROM ${into.table} t WHERE ${same}) ORDER BY s._ecokit_order`,
  )
}

/** Puts the staged rows into the table: deletes take what came before them; with `merge` the last row of a key replaces the others. */
export const settle = async (session: Session, stage: Stage, into: Into): Promise<void> => {
  if (stage.rows() === 0) return
  // Nobody else does: temporary tables are not analyzed by themselves, and without it the planner guesses.
  await session.run(`ANALYZE ${stage.from}`)
  const names = identifiers(into.columns.map(({ name }) => name))
  if (!into.merge && !stage.hasDeletes()) {
    await session.run(`INSERT INTO ${into.table} (${names}) SELECT ${names} FROM ${stage.from} ORDER BY _ecokit_order`)
    return
  }
  const holes = await someHoles(session, stage.from, into.keys)
  const keys = identifiers(into.keys)
  const latest = `(SELECT DISTINCT ON (${keys}) * FROM ${stage.from} ORDER BY ${keys}, _ecokit_order DESC)`
  if (into.merge) {
    // Where deletes are soft, a record that came and went within the same commit is kept and marked.
    const brought = into.soft
      ? `(SELECT DISTINCT ON (${keys}) * FROM ${stage.from} WHERE NOT _ecokit_deleted ORDER BY ${keys}, _ecokit_order DESC)`
      : `(SELECT * FROM ${latest} l WHERE NOT _ecokit_deleted)`
    await upsert(session, into, brought, holes)
    if (stage.hasDeletes()) await remove(session, into, `(SELECT * FROM ${latest} l WHERE _ecokit_deleted)`, holes)
    return
  }
  const gone = `(SELECT ${keys}, max(_ecokit_order) AS _ecokit_order FROM ${stage.from} WHERE _ecokit_deleted GROUP BY ${keys})`
  await remove(session, into, gone, holes)
  const same = (operator: string) => `${key(into.keys, 'd', 's', operator)} AND d._ecokit_order > s._ecokit_order`
  const removed = `EXISTS (SELECT FROM ${gone} d WHERE ${same('=')})${holes ? ` OR EXISTS (SELECT FROM ${gone} d WHERE NOT (${whole(into.keys, 'd')}) AND ${same('IS NOT DISTINCT FROM')})` : ''}`
  await session.run(
    into.soft
      ? `INSERT INTO ${into.table} (${names}, ${identifier(deletedAt)}) SELECT ${names}, CASE WHEN ${removed} THEN now() END FROM ${stage.from} s WHERE NOT _ecokit_deleted ORDER BY _ecokit_order`
      : `INSERT INTO ${into.table} (${names}) SELECT ${names} FROM ${stage.from} s WHERE NOT _ecokit_deleted AND NOT (${removed}) ORDER BY _ecokit_order`,
  )
}

/** Removes the rows whose key a pass has not brought; `seen` is the table of those that it has. */
export const prune = async (session: Session, into: Into, seen: string): Promise<number> => {
  await session.run(`ANALYZE ${seen}`)
  const gone = (same: string, only: string) => {
    const unseen = `${only} AND NOT EXISTS (SELECT FROM ${seen} s WHERE ${same})`
    return into.soft
      ? `UPDATE ${into.table} AS t SET ${identifier(deletedAt)} = now() WHERE ${unseen} AND t.${identifier(deletedAt)} IS NULL`
      : `DELETE FROM ${into.table} AS t WHERE ${unseen}`
  }
  return forKeys(session, into.keys, ['t', 's'], await someHoles(session, into.table, into.keys), gone)
}
