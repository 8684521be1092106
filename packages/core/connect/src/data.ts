import { integrationError } from '@ecokit/contracts'
import type {
  AnyRecord,
  Batch,
  CallOptions,
  InvalidRecord,
  ReadOptions,
  Sink,
  Stream,
  WriteOptions,
  Writer,
  Written,
} from '@ecokit/contracts'
import { z } from 'zod'
import { single } from './line.ts'
import type { Line } from './line.ts'
import { recordLines } from './lines.ts'
import { openGate } from './own-keys.ts'
import type { LineProver } from './prove.ts'

export type AnyWriter = Writer<AnyRecord>
type AnyBatch = Batch<unknown>

const batchSize = (batch: AnyBatch) => (batch.encoding === 'records' ? batch.records.length : batch.count)

/** Counts what a batch holds, for the event of a read. */
export const countBatch = batchSize

/** The schema with these columns only; throws `invalid_input` for one that it does not have. */
export const columnsOf = (
  partner: string,
  name: string,
  schema: z.ZodType,
  columns: readonly string[] | undefined,
): z.ZodType => {
  if (columns === undefined || !('shape' in schema)) return schema
  const { shape } = schema as z.ZodObject<Record<string, z.ZodType>>
  const unknown = columns.find((column) => !Object.hasOwn(shape, column))
  if (unknown !== undefined)
    throw integrationError('invalid_input', {
      partner,
      what: `${name}: columns: there is no column ${unknown}`,
      next: `Choose from: ${Object.keys(shape).join(', ')}`,
      details: { field: 'columns' },
    })
  return z.object(Object.fromEntries(columns.map((column) => [column, shape[column] ?? z.unknown()])))
}

/** Records in the place of what a batch held. */
const recordBatch = (records: readonly AnyRecord[], { deleted, checkpoint }: AnyBatch): Batch<AnyRecord> => ({
  encoding: 'records',
  records,
  ...(deleted !== undefined && { deleted }),
  ...(checkpoint !== undefined && { checkpoint }),
})

/** Tells the caller of a record that does not fit; throws `invalid_data` where nobody wants to know. */
export const refuser =
  (partner: string, name: string, onInvalid: ReadOptions['onInvalid']) =>
  (invalid: InvalidRecord): void => {
    if (onInvalid !== undefined) {
      onInvalid(invalid)
      return
    }
    throw integrationError('invalid_data', {
      partner,
      what: `${name}: a record does not fit the stream's schema at ${invalid.field}: ${invalid.reason}`,
      next: 'Pass onInvalid to put such records aside',
      details: { stream: name, field: invalid.field },
    })
  }

/** Checks each record of a batch by the stream's schema. Arrow passes as it is; NDJSON is proved line by line where the schema has a form, whatever is said of it, and becomes records where it holds code. */
export const recordChecker = (
  partner: string,
  name: string,
  declared: Stream,
  options: Pick<ReadOptions, 'columns' | 'onInvalid'>,
): ((batch: AnyBatch) => Batch<AnyRecord> | Promise<Batch<AnyRecord>>) => {
  const schema = columnsOf(partner, name, declared.schema, options.columns)
  const gate = openGate(schema)
  const refuse = refuser(partner, name, options.onInvalid)
  let prover: Promise<LineProver | undefined> | undefined
  const check = (batch: AnyBatch): Batch<AnyRecord> => {
    if (batch.encoding === 'arrow') return batch
    const found = batch.encoding === 'records' ? batch.records : recordLines(batch.bytes, refuse)
    const records: AnyRecord[] = []
    for (const record of found) {
      const checked = gate(record)
      if ('value' in checked) records.push(checked.value as AnyRecord)
      else refuse({ record, ...checked })
    }
    return recordBatch(records, batch)
  }
  return (batch) => {
    if (batch.encoding !== 'ndjson') return check(batch)
    prover ??= import('./prove.ts').then(({ lineProver }) => lineProver(schema))
    return prover.then((prove) => (prove === undefined ? check(batch) : { ...batch, ...prove(batch.bytes, refuse) }))
  }
}

/** Refuses what a sink does not say that it can do. */
export const checkWrite = (partner: string, name: string, declared: Sink, options: WriteOptions): void => {
  const { disposition, table, prune } = options
  if (!declared.dispositions.includes(disposition))
    throw integrationError('unsupported', {
      partner,
      what: `the sink ${name} cannot ${disposition}`,
      next: `Choose one of: ${declared.dispositions.join(', ')}`,
      details: { what: disposition },
    })
  if (disposition === 'merge' && (table.primaryKey ?? []).length === 0)
    throw integrationError('invalid_input', {
      partner,
      what: `${name}: table.primaryKey: merge needs the fields that identify a record`,
      details: { field: 'table.primaryKey' },
    })
  if (prune === true && disposition !== 'merge')
    throw integrationError('invalid_input', {
      partner,
      what: `${name}: prune: only a merge can remove the rows that a pass did not bring`,
      details: { field: 'prune' },
    })
  if (prune === true && declared.prunes === false)
    throw integrationError('unsupported', {
      partner,
      what: `${table.name}: the sink ${name} cannot find the rows that a pass did not bring`,
      next: 'Leave prune out, or set deletes: ignore on the stream',
      details: { what: 'prune' },
    })
}

interface Sieved {
  readonly batch: Batch<AnyRecord>
  readonly rejected: readonly { readonly index: number; readonly reason: string }[]
  /** Where each record that is left stood in the batch; undefined when all are left. */
  readonly positions: readonly number[] | undefined
}

/** Takes the records out that the sink's own schema refuses. */
const sieve = (gate: ReturnType<typeof openGate> | undefined, batch: Batch<AnyRecord>): Sieved => {
  if (gate === undefined || batch.encoding === 'arrow') return { batch, rejected: [], positions: undefined }
  const rejected: { index: number; reason: string }[] = []
  const records: AnyRecord[] = []
  const positions: number[] = []
  const found = batch.encoding === 'records' ? batch.records : recordLines(batch.bytes, ({ record }) => record)
  let index = 0
  for (const record of found) {
    const checked = gate(record)
    if ('value' in checked) {
      // The sink declares the shape of its input: what the schema was given, not what it made of it.
      records.push(record as AnyRecord)
      positions.push(index)
    } else {
      const { field, reason } = checked
      rejected.push({ index, reason: field === '' ? reason : `${field}: ${reason}` })
    }
    index += 1
  }
  return { batch: recordBatch(records, batch), rejected, positions }
}

const merge = (written: Written, { rejected, positions }: Sieved): Written =>
  positions === undefined
    ? written
    : {
        rows: written.rows,
        rejected: [
          ...rejected,
          ...written.rejected.map(({ index, reason }) => ({ index: positions[index] ?? index, reason })),
        ].toSorted((one, other) => one.index - other.index),
      }

/** A writer whose calls are checked and whose errors are typed; `ended` is told the rows when it is disposed, once. */
export const guardWriter = (
  line: Line,
  name: string,
  declared: Sink,
  writer: AnyWriter,
  ended: (rows: number) => void,
): AnyWriter => {
  const call = { kind: 'write', name, effect: 'write' } as const
  const gate = declared.schema && openGate(declared.schema)
  let rows = 0
  let disposed: Promise<void> | undefined
  const open = () => {
    if (disposed !== undefined)
      throw integrationError('cancelled', {
        partner: line.partner,
        what: `the writer of ${name} is closed`,
        next: 'Open a new one with write()',
        details: {},
      })
  }
  const resume = single(line, call, {
    accept: open,
    perform: (_input, signal) => writer.resumesFrom({ signal }),
    verify: (checkpoint) => checkpoint,
  })
  const write = single(line, call, {
    accept: (input): Sieved => {
      open()
      const batch = input as Batch<AnyRecord>
      const checked = sieve(gate, batch)
      if (!declared.accepts.includes(checked.batch.encoding))
        throw integrationError('unsupported', {
          partner: line.partner,
          what: `the sink ${name} does not take ${checked.batch.encoding}`,
          next: `Hand over one of: ${declared.accepts.join(', ')}`,
          details: { what: checked.batch.encoding },
        })
      return checked
    },
    perform: async (checked, signal) => {
      const written = await writer.write(checked.batch, { signal })
      rows += written.rows
      return merge(written, checked)
    },
    verify: (written) => written,
  })
  const query = single(line, call, {
    accept: (input) => {
      open()
      return input as string
    },
    perform: (sql, signal) => writer.query?.(sql, { signal }) ?? Promise.resolve([]),
    verify: (found) => found,
  })
  const commit = single(line, call, {
    accept: (input) => {
      open()
      return input as { checkpoint: Parameters<AnyWriter['commit']>[0]; final: boolean | undefined }
    },
    perform: ({ checkpoint, final }, signal) =>
      writer.commit(checkpoint, { signal, ...(final !== undefined && { final }) }),
    verify: (committed) => committed,
  })
  const dispose = async () => {
    try {
      await writer[Symbol.asyncDispose]()
    } catch (thrown) {
      throw line.failure(thrown, call)
    } finally {
      ended(rows)
    }
  }
  return {
    resumesFrom: (options) => resume(undefined, options),
    write: (batch, options) => write(batch, options),
    ...(writer.query !== undefined && { query: (sql: string, options?: CallOptions) => query(sql, options) }),
    commit: (checkpoint, options) => commit({ checkpoint, final: options?.final }, options),
    [Symbol.asyncDispose]: () => (disposed ??= dispose()),
  }
}
