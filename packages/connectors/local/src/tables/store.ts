import { identifier, identifiers } from '@ecokit/connect/writing'
import { deletedAt } from '@ecokit/contracts'
import type { Checkpoint, WriteOptions } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import { newColumns, sqlType, typeName } from '../columns.ts'
import { keepTable, passTables, readCheckpoint, tableColumns, writeCheckpoint } from './bookkeeping.ts'
import { moveRows, sameKey } from './move.ts'
import type { Column } from '../columns.ts'
import type { Staged } from './move.ts'

export interface Target {
  readonly partner: string
  readonly options: WriteOptions
  /** Those of the records. */
  readonly columns: readonly Column[]
  /** Those of the table: with soft deletes one more. */
  readonly stored: readonly Column[]
  readonly keys: readonly string[]
  /** An overwrite or a pruning merge: it takes effect at its end, and starts anew unless it is asked where it stopped. */
  readonly pass: boolean
  /** Rows that are deleted or pruned stay, marked. */
  readonly soft: boolean
}
/** The column of soft deletes. */
export const markColumn: Column = {
  name: deletedAt,
  type: { kind: 'timestamptz' },
  schema: { type: ['string', 'null'], format: 'date-time' },
}

const createTable = (name: string, columns: readonly Column[]): string =>
  `CREATE TABLE ${identifier(name)} (${columns.map((column) => `${identifier(column.name)} ${sqlType(column.type)}`).join(', ')})`

/** Makes the table fit the columns: creates it, or adds what is new. */
const fitTable = async (connection: DuckDBConnection, table: string, { partner, stored }: Target): Promise<void> => {
  const present = await tableColumns(connection, table)
  if (present === undefined) await connection.run(createTable(table, stored))
  else
    for (const { name, type } of newColumns(stored, present, table, partner))
      await connection.run(`ALTER TABLE ${identifier(table)} ADD COLUMN ${identifier(name)} ${sqlType(type)}`)
}

const dropPass = async (connection: DuckDBConnection, table: string): Promise<void> => {
  const { rows, keys } = passTables(table)
  await connection.run(`DROP TABLE IF EXISTS ${identifier(rows)}`)
  await connection.run(`DROP TABLE IF EXISTS ${identifier(keys)}`)
  await connection.run('DELETE FROM _ecokit_checkpoints WHERE lower(table_name) = lower($1) AND pass', [table])
}

/** Removes, or marks, the rows whose key the pass did not bring; gives their number. */
const prune = async (connection: DuckDBConnection, table: string, { keys, soft }: Target): Promise<number> => {
  const missing = `NOT EXISTS (SELECT 1 FROM ${identifier(passTables(table).keys)} AS s WHERE ${sameKey(keys, 't', 's')})`
  const mark = identifier(deletedAt)
  const gone = await connection.run(
    soft
      ? `UPDATE ${identifier(table)} AS t SET ${mark} = now() WHERE t.${mark} IS NULL AND ${missing}`
      : `DELETE FROM ${identifier(table)} AS t WHERE ${missing}`,
  )
  return gone.rowsChanged
}

export interface Commit {
  readonly checkpoint: Checkpoint | undefined
  readonly final: boolean
  /** The first commit of this writer, or of a new pass. */
  readonly first: boolean
  readonly resumed: boolean
}

/** Everything that one commit does, inside its transaction; gives the number of rows that were pruned. */
export const store = async (
  connection: DuckDBConnection,
  staged: Staged,
  target: Target,
  { checkpoint, final, first, resumed }: Commit,
): Promise<number> => {
  const { options, stored, keys, pass } = target
  const table = options.table.name
  let pruned = 0
  // A pass that somebody else wrote into would end by removing what it has not seen: it starts anew.
  if (first && !resumed) await dropPass(connection, table)
  const passes = passTables(table)
  if (options.disposition === 'overwrite') {
    if (first && !resumed) await connection.run(createTable(passes.rows, stored))
    await moveRows(connection, passes.rows, staged, target)
    if (final) {
      await connection.run(`DROP TABLE IF EXISTS ${identifier(table)}`)
      await connection.run(`ALTER TABLE ${identifier(passes.rows)} RENAME TO ${identifier(table)}`)
    }
  } else {
    if (first) await fitTable(connection, table, target)
    await moveRows(connection, table, staged, target)
    if (pass) {
      const names = identifiers(keys)
      const into = identifier(passes.keys)
      const [from = ''] = staged.froms
      if (first && !resumed) await connection.run(`CREATE TABLE ${into} AS SELECT ${names} FROM ${from} WHERE false`)
      await connection.run(`INSERT INTO ${into} SELECT ${names} FROM ${from} WHERE NOT _ecokit_deleted`)
      if (final) pruned = await prune(connection, table, target)
    }
  }
  if (first || final) await keepTable(connection, options.table)
  if (pass && final) await dropPass(connection, table)
  if (checkpoint !== undefined)
    await writeCheckpoint(connection, { key: options.key, table, pass: pass && !final, run: options.run, checkpoint })
  return pruned
}

/** The checkpoint of a pass that can go on: its own rows or keys are there and have the columns that are asked for. */
export const passCheckpoint = async (
  connection: DuckDBConnection,
  { options, columns, stored, keys }: Target,
): Promise<Checkpoint | undefined> => {
  const overwrite = options.disposition === 'overwrite'
  const passes = passTables(options.table.name)
  const found = await tableColumns(connection, overwrite ? passes.rows : passes.keys)
  const wanted = overwrite ? stored : keys.map((key) => columns.find(({ name }) => name === key))
  const fits =
    found?.size === wanted.length &&
    wanted.every(
      (column) => column !== undefined && typeName(found.get(column.name) ?? '') === typeName(sqlType(column.type)),
    )
  return fits ? readCheckpoint(connection, options.key, options.table.name, true) : undefined
}
