import { randomBytes } from 'node:crypto'
import { toJson } from '@ecokit/contracts'
import type {
  AnyConnection,
  AnyRecord,
  Batch,
  Disposition,
  Encoding,
  Sink,
  WriteOptions,
  Writer,
} from '@ecokit/contracts'
import { keyOf, readAll } from './reading.ts'
import type { RuleContext, SinkSample } from './types.ts'

/** One sink under test, with a table of its own for this rule. */
export interface Bench {
  readonly name: string
  readonly sink: Sink
  readonly sample: SinkSample
  readonly connection: AnyConnection
  readonly options: (disposition: Disposition, more?: Partial<WriteOptions>) => WriteOptions
  /** Opens a writer, hands it to the work and disposes it. */
  readonly writing: <T>(options: WriteOptions, work: (writer: Writer<AnyRecord>) => Promise<T>) => Promise<T>
  /** What the table holds, in the order of its keys. */
  readonly rows: () => Promise<readonly AnyRecord[]>
}

/** A partner that stays may still hold the tables of an earlier proof. */
const ending = randomBytes(3).toString('hex')
let tables = 0

export const benchOf = (context: RuleContext, name: string, sink: Sink, sample: SinkSample): Bench => {
  const connection = context.connect()
  tables += 1
  const table = { ...sample.table, name: `${sample.table.name}_${ending}_${tables}` }
  const key = `conformance/${table.name}`
  return {
    name,
    sink,
    sample,
    connection,
    options: (disposition, more) => ({ table, disposition, run: `conformance-${tables}`, key, ...more }),
    writing: async (options, work) => {
      const writer = await context.within(
        `opening a writer of ${name}`,
        connection.write?.(name, options) ?? Promise.reject(new Error('no write')),
      )
      try {
        return await context.within(`writing to ${name}`, work(writer))
      } finally {
        await context.within(`disposing the writer of ${name}`, Promise.resolve(writer[Symbol.asyncDispose]()))
      }
    },
    rows: async () => {
      const read =
        sample.rows ?? (async (asked) => (await readAll(connection, asked, {})).flatMap((batch) => batch.records))
      const found = await context.within(`reading what ${name} stored`, read(table.name))
      return found.toSorted((one, other) => (keyOf(table.primaryKey, one) < keyOf(table.primaryKey, other) ? -1 : 1))
    },
  }
}

/** Every sink that has a sample and can do this; tells why where there is none. */
export const eachBench = async (
  context: RuleContext,
  wanted: (sink: Sink, sample: SinkSample) => boolean,
  work: (bench: Bench) => Promise<void>,
): Promise<void> => {
  let tried = 0
  for (const [name, sink] of Object.entries(context.manifest.sinks ?? {})) {
    const sample = context.options.sinks?.[name]
    if (sample === undefined || !wanted(sink, sample)) continue
    tried += 1
    await work(benchOf(context, name, sink, sample))
  }
  if (tried === 0) context.skip('no sink with a sample can do this')
}

export const encode = (encoding: Encoding, records: readonly AnyRecord[]): Batch<AnyRecord> =>
  encoding === 'records'
    ? { encoding, records }
    : {
        encoding: 'ndjson',
        bytes: new TextEncoder().encode(records.map((record) => `${toJson(record)}\n`).join('')),
        count: records.length,
      }

/** The encodings of a sink that the kit can write; Arrow is made by engines, not by hand. */
export const writable = ({ accepts }: Sink) => accepts.filter((encoding) => encoding !== 'arrow')
export const batchFor = (sink: Sink, records: readonly AnyRecord[]) => encode(writable(sink)[0] ?? 'records', records)

/** The values that the sample gave, as the table shows them; columns that the sink added are no difference. */
const same = (bench: Bench, found: readonly AnyRecord[], expected: readonly AnyRecord[]): boolean => {
  const shown = (record: AnyRecord, like: AnyRecord) => toJson(Object.keys(like).map((field) => record[field] ?? null))
  const sorted = expected.toSorted((one, other) =>
    keyOf(bench.sample.table.primaryKey, one) < keyOf(bench.sample.table.primaryKey, other) ? -1 : 1,
  )
  return (
    found.length === sorted.length && sorted.every((like, at) => shown(found[at] ?? {}, like) === shown(like, like))
  )
}

export const expectRows = async (context: RuleContext, bench: Bench, expected: readonly AnyRecord[], when: string) => {
  const found = await bench.rows()
  if (!same(bench, found, expected))
    context.fail(
      `${bench.name}: ${when} the table holds ${toJson(found.slice(0, 5))} (${found.length} rows) and not ${toJson(expected.slice(0, 5))} (${expected.length} rows)`,
    )
}

export const first = (sink: Sink): Disposition => sink.dispositions[0] ?? 'append'
export const can =
  (disposition: Disposition) =>
  (sink: Sink): boolean =>
    sink.dispositions.includes(disposition)

/** Writes records and commits. */
export const put = (
  bench: Bench,
  options: WriteOptions,
  records: readonly AnyRecord[],
  final = true,
  checkpoint: Record<string, unknown> = { at: 1 },
) =>
  bench.writing(options, async (writer) => {
    const written = await writer.write(batchFor(bench.sink, records))
    await writer.commit(checkpoint, { final })
    return written
  })
