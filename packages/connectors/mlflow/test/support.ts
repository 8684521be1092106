import { runPython, truthScript } from '@ecokit/peers'
import { openMlflowRest, type MlflowRest } from '@ecokit/protocol-mlflow-rest'
import { connect, mlflow, type Checkpoint, type ReadOptions, type Runtime } from '../src/index.ts'

export type Row = Readonly<Record<string, unknown>>
export const streams = ['experiments', 'runs', 'metrics', 'registered_models', 'model_versions'] as const
export type StreamName = (typeof streams)[number]
export type Tables = Readonly<Record<StreamName, readonly Row[]>>

/** The paths of the requests that a connection has sent, without what they have in common. */
export const openTracking = (trackingUri: string, lag?: string) => {
  const paths: string[] = []
  const runtime: Runtime = { observe: ({ path }) => void paths.push(path.replace('/api/2.0/mlflow/', '')) }
  const connection = connect(
    mlflow,
    {
      name: 'tracking',
      config: { trackingUri, ...(lag === undefined ? {} : { lag }) },
      credentials: { scheme: 'none' },
    },
    runtime,
  )
  const api: MlflowRest = openMlflowRest({
    http: (url, options) => connection.http(url, options),
    url: trackingUri,
    partner: 'tracking',
  })
  return { connection, api, paths }
}
export type Tracking = ReturnType<typeof openTracking>

export interface Read {
  readonly rows: readonly Row[]
  readonly deleted: readonly Row[]
  readonly batches: readonly { readonly rows: readonly Row[]; readonly checkpoint: Checkpoint | undefined }[]
  readonly checkpoint: Checkpoint | undefined
}
/** A stream read to its end; checkpoints go through JSON, as a store would have it. */
export const readAll = async (
  { connection }: Tracking,
  stream: StreamName,
  options: ReadOptions = {},
): Promise<Read> => {
  const batches: { rows: readonly Row[]; checkpoint: Checkpoint | undefined }[] = []
  const deleted: Row[] = []
  for await (const batch of connection.read(stream, options)) {
    if (batch.encoding !== 'records') throw new Error('not records')
    const checkpoint = batch.checkpoint && (JSON.parse(JSON.stringify(batch.checkpoint)) as Checkpoint)
    batches.push({ rows: batch.records, checkpoint })
    deleted.push(...(batch.deleted ?? []))
  }
  const rows = batches.flatMap((batch) => batch.rows)
  return { rows, deleted, batches, checkpoint: batches.findLast((batch) => batch.checkpoint !== undefined)?.checkpoint }
}

const number = (value: unknown) => (typeof value === 'number' && Number.isNaN(value) ? 'NaN' : value)
const time = (value: unknown) => (typeof value === 'string' ? Date.parse(value) : value)
const keyFields: Readonly<Record<StreamName, readonly string[]>> = {
  experiments: ['experiment_id'],
  runs: ['run_id'],
  metrics: ['run_id', 'key', 'timestamp', 'step', 'value'],
  registered_models: ['name'],
  model_versions: ['name', 'version'],
}
export const keyOf = (stream: StreamName, row: Row): string =>
  keyFields[stream].map((field) => String(row[field])).join('|')

/** Records in the form in which truth.py tells them. */
const asTold = (stream: StreamName, row: Row): Row => {
  const times = Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, /_time|_timestamp$/.test(name) ? time(value) : value]),
  )
  if (stream === 'runs') {
    const metrics = Object.entries(row['metrics'] as Row).map(([key, value]) => [key, number(value)])
    return { ...times, metrics: Object.fromEntries(metrics) as Row }
  }
  if (stream === 'metrics')
    return {
      run_id: row['run_id'],
      key: row['key'],
      value: number(row['value']),
      timestamp: String(time(row['timestamp'])),
      step: String(row['step']),
    }
  return times
}

/** What MLflow's own Python client reports, as our columns: an empty user or description is none, and the stage is `current_stage`. */
export const truth = async (url: string): Promise<Tables> => {
  const told = JSON.parse(await runPython(truthScript, ['--url', url])) as Tables
  const orNull = (value: unknown) => (value === '' || value === undefined ? null : value)
  return {
    ...told,
    runs: told.runs.map((row) => ({ ...row, user_id: orNull(row['user_id']) })),
    registered_models: told.registered_models.map((row) => ({ ...row, description: orNull(row['description']) })),
    model_versions: told.model_versions.map(({ aliases: _aliases, stage, ...row }) => ({
      ...row,
      current_stage: stage,
      run_id: orNull(row['run_id']),
      description: orNull(row['description']),
      user_id: null,
      status_message: null,
    })),
  }
}

const sorted = (stream: StreamName, rows: readonly Row[]) =>
  rows.toSorted((one, other) => (keyOf(stream, one) < keyOf(stream, other) ? -1 : 1))
/** Both sides alike, in the order of their keys. */
export const told = (stream: StreamName, rows: readonly Row[]): readonly Row[] =>
  sorted(
    stream,
    rows.map((row) => asTold(stream, row)),
  )
export const expected = (stream: StreamName, tables: Tables): readonly Row[] => sorted(stream, tables[stream])

/** A table that merges by key, as a sink would. */
export class Lake {
  private readonly rows = new Map<string, Row>()
  readonly stream: StreamName
  constructor(stream: StreamName) {
    this.stream = stream
  }
  merge({ rows, deleted }: Pick<Read, 'rows' | 'deleted'>): void {
    for (const row of rows) this.rows.set(keyOf(this.stream, row), row)
    for (const row of deleted) this.rows.delete(keyOf(this.stream, row))
  }
  told(): readonly Row[] {
    return told(this.stream, [...this.rows.values()])
  }
}
