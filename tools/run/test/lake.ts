import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { connect, local } from '@ecokit/connector-local'
import { runPython, truthScript } from '@ecokit/peers'

export const root = resolve(import.meta.dirname, '..', '..', '..')
export type Row = Readonly<Record<string, unknown>>
export interface Tables {
  readonly experiments: readonly Row[]
  readonly runs: readonly Row[]
  readonly metrics: readonly Row[]
  readonly registered_models: readonly Row[]
  readonly model_versions: readonly Row[]
}

/** What MLflow's own Python client reports. */
export const truth = async (url: string): Promise<Tables> =>
  JSON.parse(await runPython(truthScript, ['--url', url])) as Tables

/** What stands in the lake, through the connector that a user would use. */
export const lake = async (folder: string): Promise<Tables> => {
  const connection = connect(local, { name: 'lake', config: { database: join(folder, 'lake.duckdb') } })
  const rows = async (table: string): Promise<readonly Row[]> => {
    const found: Row[] = []
    for await (const batch of connection.read(table)) if (batch.encoding === 'records') found.push(...batch.records)
    return found
  }
  const tables = {
    experiments: await rows('experiments'),
    runs: await rows('runs'),
    metrics: await rows('metrics'),
    registered_models: await rows('registered_models'),
    model_versions: await rows('model_versions'),
  }
  await connection.close()
  return tables
}

const number = (value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
const epoch = (value: unknown): unknown => (typeof value === 'string' ? Date.parse(value) : (value ?? null))
const numbers = (value: unknown): Row =>
  Object.fromEntries(Object.entries((value ?? {}) as Row).map(([key, one]) => [key, number(one)]))
const by =
  (...keys: readonly string[]) =>
  (a: Row, b: Row): number => {
    const text = (row: Row): string => keys.map((key) => String(row[key])).join('\u0000')
    return text(a) < text(b) ? -1 : 1
  }

/** Both sides in one form, ordered, so that they are compared value by value. */
export const normal = (tables: Tables): Readonly<Record<keyof Tables, readonly Row[]>> => ({
  experiments: tables.experiments
    .map((row) => ({
      id: row['experiment_id'],
      name: row['name'],
      stage: row['lifecycle_stage'],
      tags: row['tags'] ?? {},
    }))
    .sort(by('id')),
  runs: tables.runs
    .map((row) => ({
      id: row['run_id'],
      experiment: row['experiment_id'],
      name: row['run_name'],
      status: row['status'],
      stage: row['lifecycle_stage'],
      start: epoch(row['start_time']),
      end: epoch(row['end_time']),
      params: row['params'] ?? {},
      tags: row['tags'] ?? {},
      metrics: numbers(row['metrics']),
    }))
    .sort(by('id')),
  metrics: tables.metrics
    .map((row) => ({
      run: row['run_id'],
      key: row['key'],
      value: number(row['value']),
      at: /^\d+$/.test(String(row['timestamp'])) ? Number(row['timestamp']) : epoch(row['timestamp']),
      step: String(row['step']),
    }))
    .sort(by('run', 'key', 'at', 'step', 'value')),
  registered_models: tables.registered_models
    .map((row) => ({ name: row['name'], tags: row['tags'] ?? {}, aliases: row['aliases'] ?? {} }))
    .sort(by('name')),
  model_versions: tables.model_versions
    .map((row) => ({ name: row['name'], version: String(row['version']), run: row['run_id'], status: row['status'] }))
    .sort(by('name', 'version')),
})

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}
/** Runs a script of this repository under the same Node, as a process of its own. */
export const node = (file: string, args: readonly string[], folder: string = root): Promise<Ran> =>
  new Promise((done) => {
    execFile(
      process.execPath,
      [join(root, file), ...args],
      { cwd: folder, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr })
      },
    )
  })

export interface Synced {
  readonly status: string
  readonly streams: readonly {
    readonly stream: string
    readonly mode: string
    readonly read: number
    readonly written: number
    readonly requests: number
  }[]
}
export const sync = async (folder: string, ...more: readonly string[]): Promise<Synced> => {
  const ran = await node(
    'packages/host/cli/src/bin.ts',
    ['sync', 'mlflow-to-lake', '--json', '--file', join(folder, 'ecosystem.yaml'), ...more],
    folder,
  )
  if (ran.code !== 0) throw new Error(ran.stdout + ran.stderr)
  return JSON.parse(ran.stdout) as Synced
}
