import { identifier, identifiers } from '@ecokit/connect/writing'
import { deletedAt } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Stage } from '../stage.ts'
import type { Target } from './store.ts'

/** SQL that is true where two rows have the same key, empty parts included. */
export const sameKey = (keys: readonly string[], one: string, other: string): string =>
  keys.map((key) => `${one}.${identifier(key)} IS NOT DISTINCT FROM ${other}.${identifier(key)}`).join(' AND ')

/** What waits for the commit, as sources of rows; `ordered` where its order and its deletes can be seen, and there is one source then. */
export interface Staged {
  readonly froms: readonly string[]
  readonly ordered: boolean
  readonly close: () => void
}
/** Makes what is staged readable. Not inside of a transaction, for a rollback would undo it. */
export const readStage = async (stage: Stage, { options }: Target): Promise<Staged> => {
  if (options.disposition !== 'merge' && !stage.hasDeletes()) return { ...(await stage.sources()), ordered: false }
  await stage.gather()
  return { froms: [stage.from], ordered: true, close: () => undefined }
}

/** Puts the staged rows into a table: deletes take, or mark, what came before them; with `merge` the last row of a key replaces the others. */
export const moveRows = async (
  connection: DuckDBConnection,
  table: string,
  { froms, ordered }: Staged,
  { columns, keys, soft, options }: Target,
): Promise<void> => {
  const names = identifiers(columns.map(({ name }) => name))
  const into = identifier(table)
  if (!ordered) {
    for (const from of froms) await connection.run(`INSERT INTO ${into} (${names}) SELECT ${names} FROM ${from}`)
    return
  }
  const [from = ''] = froms
  const merge = options.disposition === 'merge'
  const key = identifiers(keys)
  // Of each key the delete that came last.
  const gone = `(SELECT ${key}, max(_ecokit_order) AS _ecokit_gone FROM ${from} WHERE _ecokit_deleted GROUP BY ${key})`
  if (soft)
    await connection.run(
      `UPDATE ${into} AS t SET ${identifier(deletedAt)} = now() FROM ${gone} AS d WHERE ${sameKey(keys, 't', 'd')} AND t.${identifier(deletedAt)} IS NULL`,
    )
  if (merge || !soft) {
    const replaced = merge ? (soft ? 'WHERE NOT _ecokit_deleted' : '') : 'WHERE _ecokit_deleted'
    await connection.run(
      `DELETE FROM ${into} AS t USING (SELECT DISTINCT ${key} FROM ${from} ${replaced}) AS s WHERE ${sameKey(keys, 't', 's')}`,
    )
  }
  const last = merge ? `QUALIFY row_number() OVER (PARTITION BY ${key} ORDER BY _ecokit_order DESC) = 1` : ''
  const rows = `(SELECT * FROM ${from} WHERE NOT _ecokit_deleted ${last}) AS s LEFT JOIN ${gone} AS d ON ${sameKey(keys, 's', 'd')}`
  const after = '_ecokit_gone > _ecokit_order'
  const own = identifiers(
    columns.map(({ name }) => name),
    's.',
  )
  await connection.run(
    soft
      ? `INSERT INTO ${into} (${names}, ${identifier(deletedAt)}) SELECT ${own}, CASE WHEN ${after} THEN now() END FROM ${rows} ORDER BY _ecokit_order`
      : `INSERT INTO ${into} (${names}) SELECT ${own} FROM ${rows} WHERE (${after}) IS NOT TRUE ORDER BY _ecokit_order`,
  )
}
