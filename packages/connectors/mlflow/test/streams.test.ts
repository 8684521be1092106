import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { python, runPython, startMlflow, trainScript, type Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { isIntegrationError, type Checkpoint } from '../src/index.ts'
import {
  expected,
  Lake,
  openTracking,
  readAll,
  streams,
  told,
  truth,
  type StreamName,
  type Tracking,
} from './support.ts'

const peer = await requirePeer('mlflow')

peer.describe('streams of a real MLflow server', () => {
  let folder: string
  let server: Mlflow
  let tracking: Tracking
  const train = (...more: string[]) => runPython(trainScript, ['--url', server.url, ...more])
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-mlflow-'))
    server = await startMlflow({ folder })
    await train('--runs', '10', '--open', '2')
    tracking = openTracking(server.url)
  }, 240_000)
  afterAll(async () => {
    await tracking.connection.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const ids = (rows: readonly Record<string, unknown>[]) =>
    [...new Set(rows.map((row) => String(row['run_id'])))].sort()
  const byStatus = async (open: boolean) =>
    ids((await readAll(tracking, 'runs')).rows.filter((row) => (row['status'] === 'RUNNING') === open))

  test('hold exactly what its own Python client reports', async () => {
    const [deleted, ...rest] = await byStatus(false)
    const { runs } = tracking.connection
    await runs.delete({ id: deleted! })
    await runs.setTag({ id: rest[0]!, key: 'ü key', value: '数 🚀' })
    const tables = await truth(server.url)
    for (const stream of streams) {
      const { rows } = await readAll(tracking, stream)
      expect(told(stream, rows)).toEqual(expected(stream, tables))
    }
    expect(tables.metrics.some((row) => row['value'] === 'NaN')).toBe(true)
    expect(tables.runs.some((row) => row['lifecycle_stage'] === 'deleted')).toBe(true)
    await runs.restore({ id: deleted! })
  }, 180_000)

  test('are read on from a checkpoint: only new, changed and unfinished runs, and no more requests than that', async () => {
    const lakes = new Map(streams.map((stream) => [stream, new Lake(stream)]))
    const checkpoints = new Map<StreamName, Checkpoint>()
    const sync = async (stream: StreamName) => {
      tracking.paths.length = 0
      const checkpoint = checkpoints.get(stream)
      const read = await readAll(tracking, stream, { checkpoint })
      lakes.get(stream)?.merge(read)
      checkpoints.set(stream, read.checkpoint!)
      return { ...read, requests: [...tracking.paths] }
    }
    for (const stream of streams) await sync(stream)

    // Nothing has changed: one list of experiments, one search for unfinished runs, one for those that ended since.
    const open = await byStatus(true)
    const quiet = await sync('runs')
    expect(ids(quiet.rows)).toEqual(open)
    expect(quiet.requests).toEqual(['experiments/search', 'runs/search', 'runs/search'])
    const metricsOfOpen = quiet.rows.flatMap((row) => Object.keys(row['metrics'] as object))
    const quietMetrics = await sync('metrics')
    expect(ids(quietMetrics.rows)).toEqual(open)
    expect(quietMetrics.requests.filter((name) => name === 'metrics/get-history').length).toBe(metricsOfOpen.length)
    expect(quietMetrics.requests.length).toBe(3 + metricsOfOpen.length)
    for (const stream of ['experiments', 'registered_models', 'model_versions'] as const) {
      const { rows, requests } = await sync(stream)
      expect([rows.length, requests.length]).toEqual([0, 1])
    }

    // New runs, one that ends, one that goes on, new versions.
    const before = ids((await readAll(tracking, 'runs')).rows)
    await train('--runs', '3', '--open', '1', '--seed', '7')
    await tracking.connection.runs.update({ id: open[0]!, status: 'finished' })
    await tracking.connection.metrics.log({ runId: open[1]!, key: 'train_loss', value: 0.25, step: 99n })
    const fresh = ids((await readAll(tracking, 'runs')).rows).filter((id) => !before.includes(id))
    expect(fresh.length).toBe(3)
    expect(ids((await sync('runs')).rows)).toEqual([...open, ...fresh].sort())
    expect(ids((await sync('metrics')).rows)).toEqual([...open, ...fresh].sort())
    for (const stream of ['experiments', 'registered_models', 'model_versions'] as const) await sync(stream)
    const tables = await truth(server.url)
    for (const stream of streams) expect(lakes.get(stream)?.told()).toEqual(expected(stream, tables))

    // An alias and a tag move no timestamp of the registry, and are found all the same.
    const name = String(tables.registered_models[0]?.['name'])
    await tracking.connection.models.setAlias({ name, alias: 'second', version: '1' })
    await tracking.connection.models.setVersionTag({ name, version: '1', key: 'late', value: 'yes' })
    await tracking.connection.experiments.setTag({ id: '0', key: 'late', value: 'yes' })
    expect((await sync('registered_models')).rows.find((row) => row['name'] === name)).toMatchObject({
      aliases: { second: '1' },
    })
    for (const stream of ['experiments', 'model_versions'] as const)
      expect((await sync(stream)).rows.some((row) => (row['tags'] as Record<string, unknown>)['late'] === 'yes')).toBe(
        true,
      )
  }, 180_000)

  test('miss late edits of ended runs until everything is read again, and none within the lag', async () => {
    const strict = openTracking(server.url, '0ms')
    const ended = (await readAll(strict, 'runs')).rows
      .filter((row) => row['status'] !== 'RUNNING')
      .toSorted((one, other) => ((one['end_time'] as string) < (other['end_time'] as string) ? -1 : 1))
      .map((row) => String(row['run_id']))
    const [tagged, deleted, restored] = ended
    const { runs } = tracking.connection
    await runs.delete({ id: restored! })
    const { checkpoint } = await readAll(strict, 'runs')
    const metrics = (await readAll(strict, 'metrics')).checkpoint

    await runs.setTag({ id: tagged!, key: 'reviewed', value: 'yes' })
    await runs.delete({ id: deleted! })
    await runs.restore({ id: restored! })
    await runs.logBatch({ id: tagged!, metrics: [{ key: 'late', value: 1 }] })
    const edited = [tagged!, deleted!, restored!]
    const touched = (rows: readonly Record<string, unknown>[]) => ids(rows).filter((id) => edited.includes(id))
    expect(touched((await readAll(strict, 'runs', { checkpoint })).rows)).toEqual([])
    expect(touched((await readAll(strict, 'metrics', { checkpoint: metrics })).rows)).toEqual([])
    // With the lag that a stream has by itself, what ended minutes ago is looked at again.
    const lagging = await readAll(strict, 'runs', { checkpoint, lagMs: 600_000 })
    expect(touched(lagging.rows)).toEqual(edited.toSorted())
    const full = await readAll(strict, 'runs')
    expect(told('runs', full.rows)).toEqual(expected('runs', await truth(server.url)))
    await strict.connection.close()
  }, 180_000)

  test('go on from every checkpoint without loss, the page in work apart', async () => {
    const id = (await tracking.connection.runs.create({ experimentId: '0', name: 'long' })).id
    const count = 25_000
    const start = Date.UTC(2026, 0, 1)
    const points = Array.from({ length: count }, (_, step) => ({
      key: 'loss',
      value: Math.sin(step),
      step: BigInt(step),
      timestamp: new Date(start + step).toISOString(),
    }))
    await tracking.connection.runs.logBatch({ id, metrics: points })
    const all = await readAll(tracking, 'metrics')
    const long = all.rows.filter((row) => row['run_id'] === id)
    expect(long.map((row) => [row['step'], row['value']])).toEqual(points.map(({ step, value }) => [step, value]))
    expect(Math.max(...all.batches.map(({ rows }) => rows.length))).toBeLessThanOrEqual(20_000)
    expect(all.batches.filter(({ checkpoint }) => checkpoint !== undefined).length).toBe(3)
    const whole = told('metrics', all.rows)
    const counts: number[] = []
    for (const [at, { checkpoint }] of all.batches.entries()) {
      const rest = await readAll(tracking, 'metrics', { checkpoint })
      const lake = new Lake('metrics')
      const before = all.batches.slice(0, at + 1).flatMap(({ rows }) => rows)
      lake.merge({ rows: before, deleted: [] })
      lake.merge(rest)
      expect(lake.told()).toEqual(whole)
      counts.push(before.length + rest.rows.length)
    }
    // The last checkpoint begins a new pass, in which unfinished runs come again; the others bring each value once.
    expect(new Set(counts.slice(0, -1))).toEqual(new Set([all.rows.length]))
    await tracking.connection.runs.update({ id, status: 'finished' })
  }, 180_000)

  test('say which unfinished runs are gone for good', async () => {
    const { id } = await tracking.connection.runs.create({ experimentId: '0' })
    const { checkpoint } = await readAll(tracking, 'runs')
    await tracking.connection.runs.delete({ id })
    const still = await readAll(tracking, 'runs', { checkpoint })
    expect(still.rows.find((row) => row['run_id'] === id)).toMatchObject({ lifecycle_stage: 'deleted' })
    const database = `sqlite:///${path.join(folder, 'mlflow.db')}`
    const environment = { ...process.env, MLFLOW_TRACKING_URI: server.url, MLFLOW_DISABLE_TELEMETRY: 'true' }
    const collect = ['-m', 'mlflow', 'gc', '--backend-store-uri', database, '--run-ids', id]
    await promisify(execFile)(await python(), collect, { cwd: folder, env: environment })
    const gone = await readAll(tracking, 'runs', { checkpoint: still.checkpoint })
    expect(gone.deleted).toEqual([{ run_id: id }])
  }, 180_000)

  test('keep to the bounds that they are given', async () => {
    const rows = (await readAll(tracking, 'runs')).rows
    const endOf = (row: Record<string, unknown>) => row['end_time'] as string | null
    const ends = rows.flatMap((row) => endOf(row) ?? []).sort()
    const [since, until] = [ends[2]!, ends[5]!]
    const within = (at: unknown) => typeof at === 'string' && at >= since && at < until
    const both = await readAll(tracking, 'runs', { since, until })
    expect(ids(both.rows)).toEqual(ids(rows.filter((row) => within(row['end_time']))))
    const onwards = await readAll(tracking, 'runs', { since })
    expect(ids(onwards.rows)).toEqual(ids(rows.filter((row) => (endOf(row) ?? since) >= since)))
    const metrics = (await readAll(tracking, 'metrics')).rows
    for (const bounds of [{ since, until }, { until }]) {
      const found = told('metrics', (await readAll(tracking, 'metrics', bounds)).rows)
      const low = 'since' in bounds ? since : ''
      expect(found).toEqual(
        told(
          'metrics',
          metrics.filter((row) => String(row['timestamp']) >= low && String(row['timestamp']) < until),
        ),
      )
    }
    const experiments = (await readAll(tracking, 'experiments')).rows
    const some = (await readAll(tracking, 'experiments', { since })).rows
    expect(some).toEqual(experiments.filter((row) => String(row['last_update_time']) >= since))
    await expect(readAll(tracking, 'runs', { since: 'yesterday' })).rejects.toSatisfy((error) =>
      isIntegrationError(error, 'invalid_input'),
    )
    await expect(readAll(tracking, 'runs', { checkpoint: { list: 1, digests: [] } })).rejects.toSatisfy((error) =>
      isIntegrationError(error, 'invalid_input'),
    )
  }, 180_000)

  test('put a value with an impossible time aside instead of losing it', async () => {
    const { id } = await tracking.connection.runs.create({ experimentId: '0' })
    await tracking.api.metrics.log(id, { key: 'odd', value: 1, timestamp: 2n ** 63n - 1n, step: 0 })
    await tracking.api.metrics.log(id, { key: 'odd', value: 2, timestamp: 5, step: 1 })
    const invalid: unknown[] = []
    const { rows } = await readAll(tracking, 'metrics', { onInvalid: (one) => invalid.push(one) })
    expect(rows.filter((row) => row['run_id'] === id).map((row) => row['value'])).toEqual([2])
    expect(invalid).toMatchObject([{ field: 'timestamp', record: { timestamp: '9223372036854775807', value: 1 } }])
    await tracking.connection.runs.delete({ id })
  })
})
