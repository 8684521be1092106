import { identifier, identifiers, inlined } from '@ecokit/connect/writing'
import { deletedAt, integrationError } from '@ecokit/contracts'
import type { Checkpoint, WriteOptions } from '@ecokit/contracts'
import { columnsOf } from '../columns.ts'
import { qualified } from '../sql.ts'
import { keyIndex, passTables, present, readCheckpoint } from './bookkeeping.ts'
import { fit } from './fit.ts'
import { createTable, softColumn } from './swap.ts'
import type { Session } from '../client.ts'
import type { Column } from '../columns.ts'
import type { Place } from '../place.ts'
import type { Into } from './apply.ts'
import type { Fit } from './fit.ts'

/** One table being written, as it was asked for and as it stands. */
export interface Target {
  readonly place: Place
  readonly options: WriteOptions
  readonly keys: readonly string[]
  readonly soft: boolean
  /** An overwrite or a pruning merge: it takes effect at its end, and starts anew unless it is asked where it stopped. */
  readonly pass: boolean
  /** Undefined where there is no table yet, and for an overwrite, which makes its own. */
  readonly there: Fit | undefined
  readonly columns: readonly Column[]
}

/** Looks at the options and at the table, and says what must be done to write. */
export const aim = async (session: Session, place: Place, options: WriteOptions): Promise<Target> => {
  const { partner, config } = place
  const { table, disposition, prune } = options
  const wrong = (field: string, what: string) =>
    integrationError('invalid_input', { partner, what: `table ${table.name}: ${field}: ${what}`, details: { field } })
  const keys = table.primaryKey ?? []
  if (disposition === 'merge' && keys.length === 0)
    throw wrong('table.primaryKey', 'merge needs the fields that identify a record')
  if (prune === true && disposition !== 'merge') throw wrong('prune', 'only a merge can prune')
  const wanted = columnsOf(table, partner)
  const soft = options.deletes === 'soft'
  if (soft && wanted.some(({ name }) => name === deletedAt))
    throw wrong(`table.schema.properties.${deletedAt}`, 'is the column of soft deletes')
  const base = { place, options, keys, soft, pass: disposition === 'overwrite' || prune === true }
  const found = await present(session, config.schema, table.name)
  if (found?.writable === false)
    throw integrationError('conflict', {
      partner,
      what: `${table.name} is a view, and rows are written into tables`,
      next: 'Write to another table',
      details: {},
    })
  if (found === undefined || disposition === 'overwrite') return { ...base, there: undefined, columns: wanted }
  const there = fit([...wanted, ...(soft ? [softColumn] : [])], found.columns, table.name, partner)
  return { ...base, there, columns: there.columns.filter(({ name }) => !soft || name !== deletedAt) }
}

/** Rows may be copied straight into the table: it is there as it must be, or nobody else can see it yet. */
export const isReady = ({ there, options }: Target): boolean =>
  options.disposition !== 'merge' && (there === undefined || (there.added.length === 0 && there.widened.length === 0))

/** The unique index over exactly the keys, if there is one. */
const uniqueOver = async (session: Session, table: string, keys: readonly string[]): Promise<Into['unique']> => {
  const nulls = session.version >= 150_000 ? 'i.indnullsnotdistinct' : 'false'
  const { rows } = await session.run(
    `SELECT ${nulls} FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate
       AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = $3::int AND NOT EXISTS (
         SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k(attnum) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE a.attname <> ALL (SELECT json_array_elements_text($2::json)))
     ORDER BY 1 DESC LIMIT 1`,
    [table, JSON.stringify(keys), keys.length],
  )
  return rows[0] === undefined ? undefined : { nulls: rows[0][0] === 't' }
}
/** An index by which merges find their rows; not in tables of somebody else, or that have one which begins with a part of the key. */
const makeIndex = async (session: Session, { place, options, keys }: Target, fresh: boolean): Promise<void> => {
  const table = qualified(place.config.schema, options.table.name)
  const { rows } = await session.run(
    `SELECT NOT pg_has_role(c.relowner, 'USAGE') OR EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
       WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = ANY (SELECT json_array_elements_text($2::json)))
     FROM pg_class c WHERE c.oid = to_regclass($1)`,
    [table, JSON.stringify(keys)],
  )
  if (rows[0]?.[0] === 't') return
  const unique = fresh ? 'UNIQUE ' : ''
  const nulls = fresh && session.version >= 150_000 ? ' NULLS NOT DISTINCT' : ''
  await session.run(
    `CREATE ${unique}INDEX ${identifier(keyIndex(options.table.name))} ON ${table} (${identifiers(keys)})${nulls}`,
  )
}

/** Makes the table, or changes it as the stream needs; inside the transaction of the commit. */
const makeFit = async (session: Session, target: Target): Promise<void> => {
  const { place, options, columns, there, soft } = target
  const table = qualified(place.config.schema, options.table.name)
  if (there === undefined) await session.run(createTable(table, [...columns, ...(soft ? [softColumn] : [])]))
  else {
    const changes = [
      ...there.added.map(({ name, sql }) => `ADD COLUMN ${identifier(name)} ${sql}`),
      ...there.widened.map(({ name, sql }) => `ALTER COLUMN ${identifier(name)} TYPE ${sql}`),
    ]
    if (changes.length > 0) await session.run(`ALTER TABLE ${table} ${changes.join(', ')}`)
  }
  if (options.disposition === 'merge') await makeIndex(session, target, there === undefined)
}

export const dropPass = async (session: Session, { place, options }: Target): Promise<void> => {
  const { schema } = place.config
  const { rows, keys } = passTables(options.table.name)
  await session.run(`DROP TABLE IF EXISTS ${qualified(schema, rows)}, ${qualified(schema, keys)}`)
  await session.run(`DELETE FROM ${qualified(schema, '_ecokit_checkpoints')} WHERE table_name = $1 AND pass`, [
    options.table.name,
  ])
}

/** Makes ready what the rows go into, inside the transaction, and says where that is. */
export const openTarget = async (session: Session, target: Target, resumed: boolean): Promise<Into> => {
  const { place, options, columns, keys, soft } = target
  const { schema } = place.config
  const passes = passTables(options.table.name)
  // A pass that somebody else wrote into would end by removing what it has not seen: it starts anew.
  if (!resumed) await dropPass(session, target)
  const base = { columns, keys, soft, merge: options.disposition === 'merge' }
  if (options.disposition === 'overwrite') {
    const table = qualified(schema, passes.rows)
    if (!resumed) await session.run(createTable(table, [...columns, ...(soft ? [softColumn] : [])]))
    return { ...base, table, unique: undefined }
  }
  await makeFit(session, target)
  const table = qualified(schema, options.table.name)
  if (options.prune === true && !resumed)
    await session.run(
      createTable(
        qualified(schema, passes.keys),
        keys.flatMap((key) => columns.filter(({ name }) => name === key)),
      ),
    )
  return { ...base, table, unique: base.merge ? await uniqueOver(session, table, keys) : undefined }
}

/** The checkpoint of a pass that can go on: its own rows or keys are there and have the columns that are asked for. */
export const passCheckpoint = async (session: Session, target: Target): Promise<Checkpoint | undefined> => {
  const { place, options, columns, keys, soft } = target
  const overwrite = options.disposition === 'overwrite'
  const passes = passTables(options.table.name)
  const found = await present(session, place.config.schema, overwrite ? passes.rows : passes.keys)
  const wanted = overwrite
    ? [...columns, ...(soft ? [softColumn] : [])]
    : keys.flatMap((key) => columns.filter(({ name }) => name === key))
  const fits = found?.columns.size === wanted.length && wanted.every(({ name, sql }) => found.columns.get(name) === sql)
  if (!fits) return undefined
  return readCheckpoint(session, place.config.schema, { key: options.key, table: options.table.name, pass: true })
}

/** The table's schema as it is kept: each column's without references to what stood around it. */
export const keptSchema = ({ options: { table } }: Target): WriteOptions['table'] => ({
  ...table,
  schema: {
    type: 'object',
    properties: Object.fromEntries(
      Object.entries((table.schema['properties'] ?? {}) as Readonly<Record<string, unknown>>).map(([name, field]) => [
        name,
        inlined(field, table.schema),
      ]),
    ),
  },
})
