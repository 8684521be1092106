import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { changeScript, runPython, startMlflow, trainScript, type Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lake, node, normal, root, sync, truth, type Synced } from './lake.ts'

const peer = await requirePeer('mlflow')

peer.describe('npm start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecokit-start-'))
  let mlflow: Mlflow

  const change = (...what: readonly string[]) => runPython(changeScript, ['--url', mlflow.url, ...what])
  const equal = async (): Promise<void> => {
    expect(normal(await lake(folder))).toEqual(normal(await truth(mlflow.url)))
  }

  beforeAll(async () => {
    mlflow = await startMlflow({ folder: join(folder, 'mlflow') })
    await runPython(trainScript, ['--url', mlflow.url, '--runs', '12'])
  }, 300_000)
  afterAll(async () => {
    await mlflow.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('--once exits 0, and the lake holds exactly what MLflow reports', { timeout: 120_000 }, async () => {
    const ran = await node('tools/run/start.ts', ['--once', '--mlflow', mlflow.url, '--folder', folder])
    expect(ran.stderr).not.toContain('    at ')
    expect(ran.stdout).toMatch(/Sync completed/)
    expect(ran.stdout).toMatch(/Three queries to try/)
    expect(ran.code).toBe(0)
    await equal()
  })

  test('a second sync reads only what is new, changed or open', { timeout: 180_000 }, async () => {
    // Without a lag nothing that ended before is read again, so that what is read can be counted.
    const file = join(folder, 'ecosystem.yaml')
    const streams =
      'streams: { experiments: {}, runs: { lag: 0s }, metrics: { lag: 0s }, registered_models: {}, model_versions: {} }'
    writeFileSync(file, readFileSync(file, 'utf8').replace('every: 5m', `every: 5m\n    ${streams}`))
    const runsOf = (synced: Synced) => synced.streams.find((stream) => stream.stream === 'runs')
    const before = runsOf(await sync(folder))
    await runPython(trainScript, ['--url', mlflow.url, '--runs', '3', '--open', '1', '--seed', '7'])
    const after = await sync(folder)
    await equal()
    expect(before).toMatchObject({ mode: 'incremental', read: 0 })
    expect(runsOf(after)).toMatchObject({ mode: 'incremental', read: 3 })
    expect(runsOf(after)?.requests).toBeLessThanOrEqual(4)
  })

  test('an open run that ends, and goes on logging, is brought up to date', { timeout: 120_000 }, async () => {
    await change('finish-all')
    await sync(folder)
    await equal()
  })

  test(
    'a late tag, a deleted and a restored run are missed by a filter and found by a full sync',
    { timeout: 180_000 },
    async () => {
      // The two that ended first: what ended last is read again.
      const ended = (await truth(mlflow.url)).runs.toSorted(
        (one, other) => Number(one['end_time']) - Number(other['end_time']),
      )
      const [first, second] = ended.map((run) => String(run['run_id']))
      await change('tag', first!, 'reviewed', 'yes')
      await change('delete', second!)
      await sync(folder)
      const missed = await lake(folder)
      expect(missed.runs.find((run) => run['run_id'] === second)).toMatchObject({ lifecycle_stage: 'active' })
      expect(missed.runs.find((run) => run['run_id'] === first)?.['tags']).not.toHaveProperty('reviewed')
      await sync(folder, '--full')
      await equal()
      await change('restore', second!)
      await sync(folder, '--full')
      await equal()
    },
  )

  test('one Ctrl-C ends it cleanly, though the terminal tells every process of it', { timeout: 120_000 }, async () => {
    const port = 20_000 + (process.pid % 10_000)
    const started = spawn(
      process.execPath,
      ['tools/run/start.ts', '--mlflow', mlflow.url, '--folder', folder, '--port', String(port)],
      {
        cwd: root,
        // A group of its own, as a terminal gives to a command.
        detached: true,
        stdio: 'ignore',
      },
    )
    const exited = once(started, 'exit')
    const answers = () =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        (reply) => reply.ok,
        () => false,
      )
    await expect.poll(answers, { timeout: 60_000 }).toBe(true)
    await expect.poll(() => existsSync(join(folder, '.ecokit', 'server.json')), { timeout: 10_000 }).toBe(true)
    process.kill(-(started.pid ?? 0), 'SIGINT')
    expect(await exited).toEqual([0, null])
    expect(existsSync(join(folder, '.ecokit', 'server.json'))).toBe(false)
  })

  test('a dead MLflow, a wrong option and a port in use are one clear line', { timeout: 60_000 }, async () => {
    const dead = await node('tools/run/start.ts', [
      '--once',
      '--mlflow',
      'http://127.0.0.1:9',
      '--folder',
      join(folder, 'dead'),
    ])
    expect(dead.code).toBe(1)
    expect(dead.stdout + dead.stderr).toMatch(/mlflow/)
    expect(dead.stderr).not.toContain('    at ')
    const wrong = await node('tools/run/start.ts', ['--port', 'many'])
    expect(wrong).toMatchObject({ code: 2, stderr: 'error: --port must be a port, not "many"\n' })
    const taken = await node('tools/run/start.ts', [
      '--once',
      '--mlflow-port',
      String(mlflow.port),
      '--folder',
      join(folder, 'taken'),
    ])
    expect(taken.code).toBe(1)
    expect(taken.stderr).toMatch(/^error: port \d+ is in use/)
  })
})
