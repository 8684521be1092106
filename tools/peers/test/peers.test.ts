import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test, vi } from 'vitest'
import { isIntegrationError } from '@ecokit/contracts'
import { changeScript, runPython, startMlflow, trainScript, truthScript } from '../index.ts'
import { requirePeer } from '../vitest.ts'

const peer = await requirePeer('mlflow')
const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-peers-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Truth {
  runs: { run_id: string; status: string; lifecycle_stage: string; tags: Record<string, string> }[]
  metrics: { value: unknown; step: string }[]
  registered_models: { aliases: Record<string, string> }[]
}
const answers = async (url: string): Promise<boolean> =>
  fetch(`${url}/health`).then(
    (reply) => reply.ok,
    () => false,
  )

test('without Python it says what is missing and how to name another', async () => {
  const here = fileURLToPath(new URL('..', import.meta.url))
  const copy = path.join(folder, 'elsewhere', 'tools', 'peers')
  await cp(here, copy, { recursive: true, filter: (file) => !file.includes('node_modules') })
  await symlink(path.join(here, 'node_modules'), path.join(copy, 'node_modules'), 'junction')
  const script = `
    const { python } = await import(process.argv[1])
    await python().catch((error) => console.log(error.code, error.retryable, error.message))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', path.join(copy, 'python.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ECOKIT_PYTHON: path.join(folder, 'no-python') },
  })
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  expect(said.toString()).toMatch(
    /^unavailable false no Python 3\.10 or newer was found \(.*no-python\)\. Install Python .* set ECOKIT_PYTHON/,
  )
})

peer.describe('a real MLflow', () => {
  test('is trained once, tells the truth, and changes', async () => {
    await using mlflow = await startMlflow({ folder: path.join(folder, 'trained') })
    const train = () => runPython(trainScript, ['--url', mlflow.url, '--runs', '6', '--open', '1', '--once'])
    const truth = async () => JSON.parse(await runPython(truthScript, ['--url', mlflow.url])) as Truth
    expect(await train()).toContain('"trained": 6')
    expect(await train()).toContain('"trained": 0')
    const first = await truth()
    expect(first.runs.map((run) => run.status).sort()).toEqual([...Array<string>(5).fill('FINISHED'), 'RUNNING'])
    expect(first.metrics.length).toBeGreaterThan(50)
    expect(first.registered_models.every((model) => 'champion' in model.aliases)).toBe(true)

    const [one, two] = first.runs.filter((run) => run.status === 'FINISHED')
    const change = (...what: string[]) => runPython(changeScript, ['--url', mlflow.url, ...what])
    await change('tag', one!.run_id, 'reviewed', 'ja: 好')
    await change('delete', two!.run_id)
    await change('finish-all')
    const second = await truth()
    const found = (id: string) => second.runs.find((run) => run.run_id === id)
    expect(found(one!.run_id)?.tags['reviewed']).toBe('ja: 好')
    expect(found(two!.run_id)?.lifecycle_stage).toBe('deleted')
    expect(second.runs.every((run) => run.status === 'FINISHED')).toBe(true)
  }, 120_000)

  test('stops, starts again with its data, and is killed', async () => {
    await using mlflow = await startMlflow({ folder: path.join(folder, 'again') })
    await runPython(trainScript, ['--url', mlflow.url, '--runs', '1'])
    await mlflow.stop()
    expect(await answers(mlflow.url)).toBe(false)
    await mlflow.restart()
    expect(await runPython(truthScript, ['--url', mlflow.url])).toContain('FINISHED')
    await mlflow.kill()
    await vi.waitUntil(async () => !(await answers(mlflow.url)), { timeout: 20_000, interval: 100 })
  }, 120_000)

  test('says why it did not start', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    const started = startMlflow({ folder: path.join(folder, 'taken'), port })
    await expect(started).rejects.toSatisfy(
      (error) => isIntegrationError(error, 'unavailable') && error.details.cause === 'EADDRINUSE',
    )
    holder.close()
  }, 120_000)

  test('does not outlive a caller that is killed', async () => {
    const script = `
      const { startMlflow } = await import(process.argv[1])
      console.log((await startMlflow({ folder: process.argv[2] })).url)`
    const caller = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        script,
        '--',
        new URL('../index.ts', import.meta.url).href,
        path.join(folder, 'left'),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const [line] = (await once(caller.stdout, 'data')) as [Buffer]
    const url = line.toString().trim()
    expect(await answers(url)).toBe(true)
    caller.kill('SIGKILL')
    await vi.waitUntil(async () => !(await answers(url)), { timeout: 20_000, interval: 100 })
  }, 120_000)
})
