import { createHash } from 'node:crypto'
import { fromJson, toJson } from '@ecokit/contracts'
import type { Checkpoint, Discovered } from '@ecokit/contracts'
import { qualified } from '../sql.ts'
import type { Session } from '../client.ts'

/**
 * What the connector keeps beside the data, in the same schema: checkpoints by flow and table (`pass` marks that of an overwrite or a pruning merge which
 * has not ended), and each table's schema and key as they were written.
 */
export const prepare = async (session: Session, schema: string): Promise<void> => {
  const [checkpoints, tables] = [qualified(schema, '_ecokit_checkpoints'), qualified(schema, '_ecokit_tables')]
  const { rows } = await session.run('SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL', [
    checkpoints,
    tables,
  ])
  if (rows[0]?.[0] === 't') return
  // Two who make a table at once would break each other's statement, in spite of IF NOT EXISTS.
  await session
    .run(
      `BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('ecokit bookkeeping', 0));
    CREATE TABLE IF NOT EXISTS ${checkpoints} (key text, table_name text, pass boolean, checkpoint text NOT NULL, run text NOT NULL,
      at timestamptz NOT NULL, PRIMARY KEY (key, table_name, pass));
    CREATE TABLE IF NOT EXISTS ${tables} (table_name text PRIMARY KEY, schema text NOT NULL, primary_key text NOT NULL); COMMIT`,
    )
    .catch(async (thrown: unknown) => {
      await session.run('ROLLBACK').catch(() => undefined)
      throw thrown
    })
}

export const readCheckpoint = async (
  session: Session,
  schema: string,
  { key, table, pass }: { readonly key: string; readonly table: string; readonly pass: boolean },
): Promise<Checkpoint | undefined> => {
  const { rows } = await session.run(
    `SELECT checkpoint FROM ${qualified(schema, '_ecokit_checkpoints')} WHERE key = $1 AND table_name = $2 AND pass = $3`,
    [key, table, pass],
  )
  const text = rows[0]?.[0]
  return typeof text === 'string' ? (fromJson(text) as Checkpoint) : undefined
}

export const writeCheckpoint = async (
  session: Session,
  schema: string,
  entry: {
    readonly key: string
    readonly table: string
    readonly pass: boolean
    readonly run: string
    readonly checkpoint: Checkpoint
  },
): Promise<void> => {
  await session.run(
    `INSERT INTO ${qualified(schema, '_ecokit_checkpoints')} VALUES ($1, $2, $3, $4, $5, now())
     ON CONFLICT (key, table_name, pass) DO UPDATE SET checkpoint = excluded.checkpoint, run = excluded.run, at = excluded.at`,
    [entry.key, entry.table, entry.pass, toJson(entry.checkpoint), entry.run],
  )
}

export const keepTable = async (session: Session, schema: string, table: Discovered): Promise<void> => {
  await session.run(
    `INSERT INTO ${qualified(schema, '_ecokit_tables')} VALUES ($1, $2, $3)
     ON CONFLICT (table_name) DO UPDATE SET schema = excluded.schema, primary_key = excluded.primary_key`,
    [table.name, toJson(table.schema), toJson(table.primaryKey ?? [])],
  )
}

/** The state of an unfinished pass over a table: the rows of an overwrite, the keys of a pruning merge. Names have 63 bytes at most, so a digest stands for the table's. */
export const passTables = (table: string): { readonly rows: string; readonly keys: string } => {
  const digest = createHash('sha256').update(table).digest('hex').slice(0, 24)
  return { rows: `_ecokit_rows_${digest}`, keys: `_ecokit_keys_${digest}` }
}
/** The index by which merges find rows, and that overwrite does not take for somebody else's. */
export const keyIndex = (table: string): string =>
  `_ecokit_key_${createHash('sha256').update(table).digest('hex').slice(0, 24)}`

export interface Present {
  readonly oid: string
  /** Column names and types as `format_type` writes them, in order. */
  readonly columns: ReadonlyMap<string, string>
  /** True for what rows can be written into: a table, or one with partitions. */
  readonly writable: boolean
}
/** A table of the schema; undefined when there is none. */
export const present = async (session: Session, schema: string, table: string): Promise<Present | undefined> => {
  const { rows } = await session.run(
    `SELECT c.oid::text, c.relkind IN ('r', 'p'), a.attname, format_type(a.atttypid, a.atttypmod)
     FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.oid = to_regclass($1) ORDER BY a.attnum`,
    [qualified(schema, table)],
  )
  const [first] = rows
  if (first === undefined) return undefined
  return {
    oid: first[0] ?? '',
    writable: first[1] === 't',
    columns: new Map(rows.flatMap(([, , name, type]) => (typeof name === 'string' ? [[name, type ?? '']] : []))),
  }
}
