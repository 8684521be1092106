import { batchBytes, identifiers, literal, orNull, stopIfAborted } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, CallOptions, Checkpoint, Discovered, ReadOptions } from '@ecokit/contracts'
import { describe, keptTables, listTables, loadTypes } from './catalog.ts'
import { openSession } from './client.ts'
import { copyValue } from './decode.ts'
import { serverError } from './errors.ts'
import { qualified } from './sql.ts'
import type { Described, Kept, Named, ReadColumn } from './catalog.ts'
import type { Session } from './client.ts'
import type { Place } from './place.ts'

/** A session for one sequence, gone when the sequence is left. */
const withSession = async function* <T>(
  place: Place,
  options: CallOptions,
  what: string,
  work: (session: Session) => AsyncIterable<T>,
): AsyncIterable<T> {
  const session = await openSession(place, options)
  let whole = false
  const stop = () => session.stop()
  options.signal?.addEventListener('abort', stop, { once: true })
  try {
    yield* work(session)
    whole = true
  } catch (thrown) {
    stopIfAborted(options.signal, place.partner)
    throw serverError(thrown, { partner: place.partner, what })
  } finally {
    options.signal?.removeEventListener('abort', stop)
    // A reader who leaves in the middle does not wait for the rest.
    if (whole) await session.end()
    else if (options.signal?.aborted !== true) session.destroy()
  }
}

const discovered = (
  { config }: Place,
  named: Named,
  { columns, key }: Described,
  kept: Kept | undefined,
): Discovered => {
  const primaryKey = key.length > 0 ? key : (kept?.primaryKey ?? [])
  return {
    name: named.name,
    schema: {
      type: 'object',
      properties: Object.fromEntries(
        columns.map(({ name, schema, nullable }) => [name, nullable ? orNull(schema) : schema]),
      ),
    },
    ...(primaryKey.length > 0 && { primaryKey }),
    ...(named.schema !== config.schema && {
      dataset: {
        namespace: `postgres://${config.host}:${config.port}`,
        name: `${config.database}.${named.schema}.${named.table}`,
      },
    }),
  }
}

/** Tables and views that the user may read: those of the config's schema by their name, others with their schema. */
export const discover = (place: Place, options: CallOptions): AsyncIterable<Discovered> =>
  withSession(place, options, 'cannot list the tables', async function* (session) {
    const tables = await listTables(session, place.config.schema)
    const kept = await keptTables(session, place.config.schema)
    const types = await loadTypes(session)
    for (const named of tables) {
      const own = named.schema === place.config.schema ? kept.get(named.table) : undefined
      const described = await describe(session, types, named.oid, own)
      if (described.columns.length > 0) yield discovered(place, named, described, own)
    }
  })

const choose = (partner: string, table: string, all: readonly ReadColumn[], wanted: readonly string[] | undefined) => {
  if (wanted === undefined || wanted.length === 0) return all
  return wanted.map((name) => {
    const column = all.find((each) => each.name === name)
    if (column !== undefined) return column
    throw integrationError('invalid_input', {
      partner,
      what: `table ${table} has no column ${name}`,
      next: `Choose from: ${all.map((each) => each.name).join(', ')}`,
      details: { field: 'columns' },
    })
  })
}

/** The key of the last row that a checkpoint stands for, in the server's own texts. */
const afterOf = (
  partner: string,
  checkpoint: Checkpoint | undefined,
  key: readonly string[],
): readonly string[] | undefined => {
  if (checkpoint === undefined) return undefined
  const { after, key: named } = checkpoint
  const fits =
    Array.isArray(after) &&
    after.every((each) => typeof each === 'string') &&
    after.length === key.length &&
    JSON.stringify(named) === JSON.stringify(key)
  if (fits) return after
  throw integrationError('invalid_input', {
    partner,
    what: "the checkpoint does not fit the table's key",
    next: 'Read the table anew, without a checkpoint',
    details: { field: 'checkpoint' },
  })
}

const selection = (
  named: Named,
  columns: readonly ReadColumn[],
  keys: readonly ReadColumn[],
  after: readonly string[] | undefined,
) => {
  // The key comes last, as it is, for the checkpoint.
  const list = [...columns.map(({ select }) => select), ...keys.map(({ name }) => identifiers([name]))]
  const names = identifiers(keys.map(({ name }) => name))
  const behind =
    after === undefined
      ? ''
      : ` WHERE (${names}) > (${keys.map(({ sql }, index) => `${literal(after[index] ?? '')}::${sql}`).join(', ')})`
  const order = keys.length === 0 ? '' : ` ORDER BY ${names}`
  return `SELECT ${list.join(', ')} FROM ${qualified(named.schema, named.table)}${behind}${order}`
}

/** Whole lines of COPY's text format, as texts. */
const lines = async function* (chunks: AsyncIterable<Uint8Array>): AsyncIterable<readonly string[]> {
  let begun: Uint8Array[] = []
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(10)
    if (end < 0) {
      begun.push(chunk)
      continue
    }
    const whole = chunk.subarray(0, end)
    yield Buffer.concat([...begun, whole])
      .toString('utf8')
      .split('\n')
    begun = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : []
  }
}

const recordsOf = async function* (
  chunks: AsyncIterable<Uint8Array>,
  columns: readonly ReadColumn[],
  keys: readonly ReadColumn[],
  stop: () => void,
): AsyncIterable<Batch<AnyRecord>> {
  let records: AnyRecord[] = []
  let bytes = 0
  let last: readonly string[] = []
  const cut = (): Batch<AnyRecord> => {
    const key = keys.map(({ name }) => name)
    const checkpoint = { key, after: last.slice(columns.length).map((field) => copyValue(field) ?? '') }
    const batch = { encoding: 'records' as const, records, ...(key.length > 0 && { checkpoint }) }
    records = []
    bytes = 0
    return batch
  }
  for await (const found of lines(chunks)) {
    stop()
    for (const line of found) {
      last = line.split('\t')
      const record: Record<string, unknown> = {}
      for (const [index, { name, decode }] of columns.entries()) {
        const value = copyValue(last[index] ?? '\\N')
        const read = value === null ? null : decode(value)
        if (name === '__proto__')
          Object.defineProperty(record, name, { value: read, enumerable: true, configurable: true, writable: true })
        else record[name] = read
      }
      records.push(record)
      bytes += line.length + 16 * columns.length
      if (bytes >= batchBytes) yield cut()
    }
  }
  if (records.length > 0) yield cut()
}

/** Reads a table by the name that `discover` gave it: one statement, so one state of the table; by its key where it has one, so that a checkpoint can go on. */
export const readTable = (place: Place, name: string, options: ReadOptions): AsyncIterable<Batch<AnyRecord>> => {
  const { partner, config } = place
  if (options.since !== undefined || options.until !== undefined)
    throw integrationError('unsupported', {
      partner,
      what: `table ${name} has no cursor, so it can only be read whole`,
      next: 'Leave out since and until',
      details: { what: 'since' },
    })
  return withSession(place, options, `cannot read table ${name}`, async function* (session) {
    const named = (await listTables(session, config.schema)).find((each) => each.name === name)
    if (named === undefined)
      throw integrationError('not_found', {
        partner,
        what: `there is no table ${name} that this user may read`,
        next: 'Call discover() for those that are there',
        details: {},
      })
    const kept =
      named.schema === config.schema ? (await keptTables(session, config.schema)).get(named.table) : undefined
    const described = await describe(session, await loadTypes(session), named.oid, kept)
    const columns = choose(partner, name, described.columns, options.columns)
    const keys = described.key.flatMap((key) => described.columns.filter((column) => column.name === key))
    const after = afterOf(partner, options.checkpoint, described.key)
    const chunks = session.copyOut(`COPY (${selection(named, columns, keys, after)}) TO STDOUT`)
    yield* recordsOf(chunks, columns, keys, () => stopIfAborted(options.signal, partner))
  })
}
