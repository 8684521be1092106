import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runPython, startMlflow, trainScript, truthScript } from '@ecokit/peers'
import type { Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { answering, ecokit, inProcess, openFolder, start, until } from './run.ts'

type Row = Readonly<Record<string, unknown>>
interface Run {
  readonly status: string
  readonly streams: readonly {
    readonly stream: string
    readonly read: number
    readonly written: number
    readonly requests: number
  }[]
}

// Each step is a process of its own, and the machine may be busy.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 })

const { describe } = await requirePeer('mlflow')

describe('against a real MLflow server', () => {
  let folder: string
  let remove: () => Promise<void>
  let mlflow: Mlflow
  const run = (...args: string[]) => ecokit(folder, ...args)
  /** The same in this process, which spares the start. */
  const quick = (...args: string[]) => inProcess(...args, '--file', join(folder, 'ecosystem.yaml'))
  const readJson = async (partner: string, stream: string) =>
    JSON.parse((await quick('read', partner, stream, '--json')).out) as Row[]

  beforeAll(async () => {
    ;({ folder, remove } = await openFolder())
    mlflow = await startMlflow({ folder: join(folder, 'mlflow') })
    await runPython(trainScript, ['--url', mlflow.url, '--runs', '4'])
    await run('init')
    const file = join(folder, 'ecosystem.yaml')
    const sample = await readFile(file, 'utf8')
    await writeFile(
      file,
      sample
        .replace('http://127.0.0.1:5000', mlflow.url)
        .replace('every: 30s', 'every: 1s')
        .replace('every: 5m', 'every: 1d')
        .replace('port: 8000', 'port: 0'),
    )
  })
  afterAll(async () => {
    process.chdir(import.meta.dirname)
    await mlflow.stop()
    await remove()
  })

  test('check names version and latency', async () => {
    const { code, out } = await run('check', 'mlflow', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject([
      { name: 'mlflow', status: 'healthy', version: expect.stringMatching(/^3\./) as string },
    ])
  })

  test('read gives what MLflow’s own client reports, in every format', async () => {
    const truth = JSON.parse(await runPython(truthScript, ['--url', mlflow.url])) as { runs: Row[] }
    const runs = await readJson('mlflow', 'runs')
    expect(runs.length).toBe(truth.runs.length)
    const csv = (await run('read', 'mlflow', 'runs', '--format', 'csv')).out.trimEnd().split('\n')
    expect(csv[0]).toBe(Object.keys(runs[0]!).join(','))
    const ndjson = (await run('read', 'mlflow', 'runs', '--format', 'ndjson')).out.trimEnd().split('\n')
    expect(ndjson.map((line) => JSON.parse(line) as Row)).toEqual(runs)
  })

  test('call reads at once, and changes something only when that is meant', async () => {
    const found = await run('call', 'mlflow', 'experiments.search', '{}', '--json')
    expect([found.code, (JSON.parse(found.out) as Row[]).length > 0]).toEqual([0, true])
    const limited = await quick('call', 'mlflow', 'experiments.search', '--limit', '1')
    expect(limited.out.trimEnd().split('\n').length).toBe(1)
    const input = '{"name":"from the command line"}'
    const refused = await quick('call', 'mlflow', 'experiments.create', input)
    expect([refused.code, refused.err]).toEqual([
      2,
      'error: experiments.create changes something there. Add --yes if that is meant\n',
    ])
    const file = ['--file', join(folder, 'ecosystem.yaml')]
    const doubted = await answering('', 'call', 'mlflow', 'experiments.create', input, ...file)
    expect([doubted.code, doubted.out, doubted.err]).toEqual([
      1,
      '',
      'experiments.create changes something there. Go on? [y/N] ',
    ])
    expect((await quick('call', 'mlflow', 'experiments.getByName', input)).code).toBe(1)
    const made = await start(folder, ['call', 'mlflow', 'experiments.create', '-', '--yes'], {}, input).ended
    expect(JSON.parse(made.out)).toMatchObject({ name: 'from the command line' })
    expect((await quick('call', 'mlflow', 'experiments.getByName', input)).code).toBe(0)
    const { id } = JSON.parse(made.out) as { id: string }
    const removed = await answering('y', 'call', 'mlflow', 'experiments.delete', JSON.stringify({ id }), ...file)
    expect([removed.code, removed.err]).toEqual([0, 'experiments.delete removes something there. Go on? [y/N] '])
    const wrong = await quick('call', 'mlflow', 'experiments.get', '{"id":"0","wrong":1}')
    expect([wrong.code, wrong.err.includes('wrong')]).toEqual([2, true])
    expect((await quick('call', 'mlflow', 'experiments.get', '{')).err).toContain('the input is not JSON')
    expect((await quick('call', 'mlflow', 'artifacts.upload', '{}', '--yes')).code).toBe(2)
  })

  test('an artifact is downloaded into a pipe', async () => {
    const runs = await readJson('mlflow', 'runs')
    const list = async (id: string) =>
      JSON.parse(
        (await quick('call', 'mlflow', 'artifacts.list', JSON.stringify({ runId: id, recursive: true }), '--json')).out,
      ) as Row[]
    for (const { run_id: id } of runs) {
      const file = (await list(String(id))).find(({ path }) => /\.(txt|json|ya?ml)$/.test(String(path)))
      if (file === undefined) continue
      const { code, out } = await quick(
        'call',
        'mlflow',
        'artifacts.download',
        JSON.stringify({ runId: id, path: file['path'] }),
      )
      expect([code, Buffer.byteLength(out)]).toEqual([0, file['size']])
      return
    }
    expect.fail('the training leaves artifacts')
  })

  test('sync brings it into the lake; the second one reads less', async () => {
    const first = JSON.parse((await run('sync', 'mlflow-to-lake', '--json')).out) as Run
    expect(first.status).toBe('completed')
    for (const { stream, written } of first.streams)
      expect([stream, (await readJson('lake', stream)).length]).toEqual([stream, written])
    const second = JSON.parse((await run('sync', 'mlflow-to-lake', '--json')).out) as Run
    const total = ({ streams }: Run) => streams.reduce((sum, { read }) => sum + read, 0)
    expect(second.status).toBe('completed')
    expect(total(second)).toBeLessThan(total(first))
  })

  test('MLflow stopped: check exits 1 and says why; the events of `up` turn unhealthy, and healthy again', async () => {
    const up = start(folder, ['up', '--json'])
    const { url, link } = JSON.parse(await until(() => (up.so.out.endsWith('\n') ? up.so.out : undefined))) as Record<
      'url' | 'link',
      string
    >
    const stopping = new AbortController()
    const reply = await fetch(`${url}/api/events`, {
      headers: { authorization: `Bearer ${new URL(link).searchParams.get('token') ?? ''}` },
      signal: stopping.signal,
    })
    let text = ''
    const reading = (async () => {
      for await (const part of reply.body!.pipeThrough(new TextDecoderStream())) text += part
    })().catch(() => undefined)
    const status = () => {
      const events = [...text.matchAll(/event: partner\ndata: (.*)\n\n/g)].map(
        ([, data]) => JSON.parse(data!) as { name: string; health: { status: string; code?: string } },
      )
      return events.findLast(({ name }) => name === 'mlflow')?.health
    }
    await until(() => (text.includes('event: check\n') ? true : undefined))
    await mlflow.stop()
    // While it goes down, a check may see something else first.
    await until(() => (status()?.status === 'unhealthy' && status()?.code === 'unavailable' ? true : undefined))
    const { code, out } = await run('check')
    expect(code).toBe(1)
    expect(out).toMatch(/\nmlflow +unhealthy .* unavailable\nmlflow: .+\n$/)
    await mlflow.restart()
    await until(() => (status()?.status === 'healthy' ? true : undefined))
    stopping.abort()
    await reading
    up.child.kill('SIGTERM')
    expect((await up.ended).code).toBe(0)
    expect(up.so.err).toContain('mlflow is unhealthy (mlflow: ')
  })
})
