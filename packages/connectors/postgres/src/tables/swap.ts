import { identifier, identifiers } from '@ecokit/connect/writing'
import { deletedAt } from '@ecokit/contracts'
import { qualified } from '../sql.ts'
import { keyIndex, present } from './bookkeeping.ts'
import type { Session } from '../client.ts'
import type { Column } from '../columns.ts'

/** The column of soft deletes, beside those of the stream. */
export const softColumn: Column = { name: deletedAt, type: { kind: 'timestamptz' }, sql: 'timestamp with time zone' }

export const createTable = (name: string, columns: readonly Column[]): string =>
  `CREATE TABLE ${name} (${columns.map((column) => `${identifier(column.name)} ${column.sql}`).join(', ')})`

/** Whether something hangs on a table that would be gone with it: grants, views, indexes, constraints, triggers, policies, publications, partitions, a comment, another owner. */
const hasAttachments = async (session: Session, oid: string, table: string): Promise<boolean> => {
  const { rows } = await session.run(
    `SELECT c.relacl IS NOT NULL OR c.relrowsecurity OR c.relkind <> 'r' OR c.relhassubclass OR c.relispartition
       OR c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
       OR EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND x.relname <> $2)
       OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid) OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid OR confrelid = c.oid)
       OR EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = c.oid AND deptype = 'n' AND classid <> 'pg_constraint'::regclass)
       OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND (attacl IS NOT NULL OR atthasdef))
       OR EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = c.oid) OR EXISTS (SELECT FROM pg_description WHERE objoid = c.oid AND classoid = 'pg_class'::regclass)
     FROM pg_class c WHERE c.oid = $1::oid`,
    [oid, keyIndex(table)],
  )
  return rows[0]?.[0] === 't'
}

/**
 * Puts the rows of a pass into the place of the table. Nobody reads half of it: a plain table is exchanged; where something hangs on it that fits the new columns, its rows are replaced instead,
 * so that grants, views and indexes stay and readers do not wait. A table whose columns are others is exchanged, which fails while something depends on it.
 */
export const swap = async (
  session: Session,
  schema: string,
  table: string,
  rows: string,
  wanted: readonly Column[],
  soft: boolean,
): Promise<void> => {
  const columns = soft ? [...wanted, softColumn] : wanted
  const [target, source] = [qualified(schema, table), qualified(schema, rows)]
  const found = await present(session, schema, table)
  const same =
    found?.columns.size === columns.length && columns.every(({ name, sql }) => found.columns.get(name) === sql)
  if (same && (await hasAttachments(session, found.oid, table))) {
    const names = identifiers(columns.map(({ name }) => name))
    await session.run(`DELETE FROM ${target}`)
    await session.run(`INSERT INTO ${target} (${names}) SELECT ${names} FROM ${source}`)
    await session.run(`DROP TABLE ${source}`)
    return
  }
  // Without CASCADE: what depends on a table whose columns change is not dropped behind somebody's back.
  if (found !== undefined) await session.run(`DROP TABLE ${target}`)
  await session.run(`ALTER TABLE ${source} RENAME TO ${identifier(table)}`)
}
