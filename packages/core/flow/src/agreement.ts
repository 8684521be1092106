import { integrationError, toJson } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import { z } from 'zod'
import { stored } from './seal.ts'
import type { SchemaChange, StreamContract } from './types.ts'

const agreement = z.object({
  /** Of the table, after columns, renaming and casts. */
  schema: z.record(z.string(), z.unknown()),
  primaryKey: z.array(z.string()),
  cursor: z.string().optional(),
  table: z.string(),
  /** The fields of the source that the table is made of. */
  fields: z.array(z.string()),
})
/** What a pipeline holds for a stream. */
export type Agreement = z.output<typeof agreement>

/** As it stands in the store: absent `agreed` is a stream that has not begun yet, because it waits, or because the first run ended before its turn; `pending` is what will hold once somebody accepts it, or once it begins. */
const kept = z.object({ agreed: agreement.optional(), pending: agreement.optional() })

/** What the store knows about a stream's contract. */
export interface KeptAgreement extends z.output<typeof kept> {
  readonly version: number
  readonly paused: boolean
}

type ContractRow = Row<'stream_contracts'>
const read = (row: ContractRow): KeptAgreement => ({
  ...stored(`what was agreed to for ${row.pipeline}/${row.stream}`, () => kept.parse(JSON.parse(row.schema))),
  version: row.version,
  paused: row.paused !== null,
})

/** True for a stream that the first run of its pipeline has seen and not come to: it is no new one. */
export const isExpected = (known: KeptAgreement | undefined): boolean =>
  known !== undefined && known.agreed === undefined && !known.paused

/** The agreements of a pipeline, by stream. */
export const readAgreements = async (store: Store, pipeline: string): Promise<ReadonlyMap<string, KeptAgreement>> => {
  const rows = await store.db.selectFrom('stream_contracts').selectAll().where('pipeline', '=', pipeline).execute()
  return new Map(rows.map((row) => [row.stream, read(row)]))
}

const write = async (
  store: Store,
  row: Pick<ContractRow, 'pipeline' | 'stream' | 'version' | 'paused' | 'updated_at'> & z.output<typeof kept>,
): Promise<void> => {
  const { pipeline, stream, version, paused, updated_at, agreed, pending } = row
  const values = { schema: toJson({ agreed, pending }), version, paused, updated_at }
  await store.db
    .insertInto('stream_contracts')
    .values({ pipeline, stream, ...values })
    .onConflict((conflict) => conflict.columns(['pipeline', 'stream']).doUpdateSet(values))
    .execute()
}

interface Place {
  readonly pipeline: string
  readonly stream: string
  readonly now: number
}

/** Keeps what holds from now on. Writes nothing where that is what held before. */
export const keepAgreement = async (
  store: Store,
  { pipeline, stream, now }: Place,
  before: KeptAgreement | undefined,
  agreed: Agreement,
): Promise<void> => {
  const same = before?.agreed !== undefined && toJson(before.agreed) === toJson(agreement.parse(agreed))
  if (same && !before.paused) return
  const version = (before?.version ?? 0) + (same ? 0 : 1)
  await write(store, { pipeline, stream, version, paused: null, updated_at: now, agreed })
}

const rowsAtOnce = 500

/** Keeps which streams the first run of a pipeline has seen: one that is cut off must not make those new that it did not come to. */
export const expectAgreements = async (
  store: Store,
  { pipeline, now }: Omit<Place, 'stream'>,
  seen: readonly { readonly stream: string; readonly agreement: Agreement }[],
): Promise<void> => {
  const rows = seen.map(({ stream, agreement: pending }) => ({
    ...{ pipeline, stream, schema: toJson({ pending }), version: 0, paused: null, updated_at: now },
  }))
  await store.db.transaction().execute(async (transaction) => {
    for (let from = 0; from < rows.length; from += rowsAtOnce)
      await transaction
        .insertInto('stream_contracts')
        .values(rows.slice(from, from + rowsAtOnce))
        .onConflict((conflict) => conflict.doNothing())
        .execute()
  })
}

/** Keeps that a stream waits for somebody, and what would hold if its changes were accepted. */
export const pauseAgreement = (
  store: Store,
  { pipeline, stream, now }: Place,
  before: KeptAgreement | undefined,
  pending: Agreement,
  changes: readonly SchemaChange[],
): Promise<void> =>
  write(store, {
    pipeline,
    stream,
    version: before?.version ?? 0,
    paused: toJson(changes),
    updated_at: now,
    ...(before?.agreed && { agreed: before.agreed }),
    pending,
  })

/** What pipelines have agreed to hold for each of their streams, by name. */
export const listContracts = async (
  store: Store,
  about: { readonly pipeline?: string | undefined } = {},
): Promise<readonly StreamContract[]> => {
  let query = store.db.selectFrom('stream_contracts').selectAll().orderBy('pipeline').orderBy('stream')
  if (about.pipeline !== undefined) query = query.where('pipeline', '=', about.pipeline)
  return (await query.execute()).flatMap((row): readonly StreamContract[] => {
    const { agreed, pending, ...known } = read(row)
    if (isExpected({ agreed, ...known })) return []
    const shown = agreed ?? pending
    const one: StreamContract = {
      pipeline: row.pipeline,
      stream: row.stream,
      version: row.version,
      schema: shown?.schema ?? {},
      primaryKey: shown?.primaryKey ?? [],
      ...(shown?.cursor !== undefined && { cursor: shown.cursor }),
      paused:
        row.paused === null
          ? undefined
          : stored(
              `why ${row.pipeline}/${row.stream} is paused`,
              () => JSON.parse(String(row.paused)) as SchemaChange[],
            ),
      updatedAt: new Date(row.updated_at).toISOString(),
    }
    return [one]
  })
}

/**
 * Lets streams go on that wait because their schema changed, all of the pipeline's or one; gives how many. They go on with the next run. Throws `not_found` for a stream that the pipeline has never run.
 */
export const acceptChanges = async (
  store: Store,
  pipeline: string,
  stream?: string,
  now: () => number = Date.now,
): Promise<number> => {
  const known = await readAgreements(store, pipeline)
  if (stream !== undefined && !known.has(stream))
    throw integrationError('not_found', {
      what: `the pipeline ${pipeline} has no contract for a stream ${stream}`,
      next: `Choose from: ${[...known.keys()].join(', ')}`,
      details: {},
    })
  let accepted = 0
  for (const [name, { paused, pending, version }] of known) {
    if (!paused || pending === undefined || (stream !== undefined && stream !== name)) continue
    const place = { pipeline, stream: name, updated_at: now() }
    await write(store, { ...place, version: version + 1, paused: null, agreed: pending })
    accepted += 1
  }
  return accepted
}
