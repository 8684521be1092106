// The main job: a real MLflow with real models, synced into a local lake, with the console over it.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { isIntegrationError } from '@ecokit/contracts'
import { python, runPython, startMlflow, trainScript, type Mlflow } from '@ecokit/peers'
import { printSummary, type SyncedRun } from './summary.ts'

const root = resolve(import.meta.dirname, '..', '..')
const help = `npm start -- [options]

  --once              sync once, print the summary, exit
  --mlflow URL        use this MLflow; nothing is started or trained
  --port N            the console's port (8000)
  --mlflow-port N     the port of the MLflow that is started (5001)
  --folder DIR        where MLflow's data, the lake, ecosystem.yaml and the state live
                      (.cache/demo; with --mlflow a folder for each server)

Example: npm start -- --once`

const say = (message: string): void => console.log(message)
/** An end that people understand: one line, no stack. */
const fail = (message: string, code = 1): never => {
  console.error(`error: ${message}`)
  process.exit(code)
}

const readOptions = () => {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        mlflow: { type: 'string' },
        port: { type: 'string', default: '8000' },
        'mlflow-port': { type: 'string', default: '5001' },
        folder: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    for (const name of ['port', 'mlflow-port'] as const)
      if (!/^\d{1,5}$/.test(values[name]) || Number(values[name]) > 65_535)
        fail(`--${name} must be a port, not "${values[name]}"`, 2)
    return values
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${help}`, 2)
  }
}
const options = readOptions()
if (options.help) {
  say(help)
  process.exit(0)
}
// A lake belongs to one server: another MLflow gets a folder of its own.
const ownFolder =
  options.mlflow === undefined ? 'demo' : `demo-${options.mlflow.replaceAll(/^\w+:\/\/|[^\w.-]+/g, '-')}`
const folder = resolve(options.folder ?? join(root, '.cache', ownFolder))
const file = join(folder, 'ecosystem.yaml')
const cli = join(root, 'packages', 'host', 'cli', 'src', 'bin.ts')

const portIsFree = async (port: number): Promise<boolean> => {
  const server = createServer()
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/** Package after package is news on a terminal only, where one line is written over the other. */
const showProgress = (message: string): void => {
  const passing = message.startsWith('Fetching ')
  if (process.stdout.isTTY && passing) process.stdout.write(`\r  ${message} …`.padEnd(60))
  else if (!passing) say(process.stdout.isTTY ? `\r  ${message}`.padEnd(60) : `  ${message}`)
}

/** What the training script says of itself, as one line that counts up on a terminal and every tenth line in a pipe. */
const showTraining = (line: string): void => {
  const { run, of, trained } = JSON.parse(line) as { run?: number; of?: number; trained?: number }
  if (run !== undefined && of !== undefined) {
    if (process.stdout.isTTY) process.stdout.write(`\r  training model ${run} of ${of} `)
    else if (run % 10 === 0) say(`  training model ${run} of ${of}`)
  } else if (trained !== undefined)
    say(
      `${process.stdout.isTTY ? '\r' : ''}  ${trained === 0 ? 'models were trained before' : `${trained} models trained and logged`}`,
    )
}

/** The sample, with the address of the MLflow that is really there; what people have changed in it since stays. */
const writeConfig = (trackingUri: string): void => {
  const sample = readFileSync(
    existsSync(file) ? file : join(root, 'examples', 'mlflow-to-lake', 'ecosystem.yaml'),
    'utf8',
  )
  writeFileSync(
    file,
    sample
      .replace(/(trackingUri: *)('[^']*'|[^\s,}]+)/, (_, key: string) => `${key}'${trackingUri}'`)
      .replace(/(port: *)\d+/, (_, key: string) => key + options.port),
  )
}

const openMlflow = async (signal: AbortSignal): Promise<{ url: string; server: Mlflow | undefined }> => {
  if (options.mlflow !== undefined) return { url: options.mlflow, server: undefined }
  const port = Number(options['mlflow-port'])
  if (port !== 0 && !(await portIsFree(port)))
    fail(
      `port ${port} is in use, and MLflow needs it. Stop what holds it, choose another with --mlflow-port, or point at a running MLflow with --mlflow URL`,
    )
  await python({ signal, progress: showProgress })
  say('Starting MLflow …')
  const server = await startMlflow({
    folder: join(folder, 'mlflow'),
    port,
    signal,
    progress: showProgress,
  })
  say(`MLflow answers at ${server.url}`)
  // The script knows by itself what it has trained; the mark only saves asking it, which takes seconds.
  const trained = join(folder, 'mlflow', 'trained')
  if (!existsSync(trained)) {
    say('Training scikit-learn models (once, a minute or two) …')
    await runPython(trainScript, ['--url', server.url, '--once'], { signal, line: showTraining })
    writeFileSync(trained, '')
  }
  return { url: server.url, server }
}

/** `ecokit` as people run it, in a process of its own. */
const ecokit = (args: readonly string[], stdout: 'inherit' | 'pipe' = 'inherit'): ChildProcess =>
  spawn(process.execPath, [cli, ...args, '--file', file], { cwd: folder, stdio: ['ignore', stdout, 'inherit'] })

const syncOnce = async (): Promise<number> => {
  const child = ecokit(['sync', 'mlflow-to-lake', '--json'], 'pipe')
  stopping.signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true })
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (text.trim() === '') return code ?? 1
  const run = JSON.parse(text) as SyncedRun
  printSummary(run, join(folder, 'lake.duckdb'))
  return code ?? 1
}

/** Follows the run that `ecokit up` starts by itself, through the public API. */
const followFirstRun = async (signal: AbortSignal): Promise<void> => {
  const token = readFileSync(join(folder, '.ecokit', 'token'), 'utf8').trim()
  const seen = Date.now()
  while (!signal.aborted) {
    const reply = await fetch(`http://127.0.0.1:${options.port}/api/runs?pipeline=mlflow-to-lake&limit=1`, {
      headers: { authorization: `Bearer ${token}` },
      signal,
    })
    const { runs } = (await reply.json()) as { runs: SyncedRun[] }
    const run = runs[0]
    if (run !== undefined && run.status !== 'running' && Date.parse(run.startedAt) > seen - 30_000) {
      printSummary(run, join(folder, 'lake.duckdb'))
      return
    }
    await new Promise((wake) => setTimeout(wake, 500))
  }
}

const untilServing = async (child: ChildProcess, signal: AbortSignal): Promise<boolean> => {
  while (child.exitCode === null && child.signalCode === null && !signal.aborted) {
    const ready = await fetch(`http://127.0.0.1:${options.port}/healthz`, { signal: AbortSignal.timeout(1000) }).then(
      (reply) => reply.ok,
      () => false,
    )
    if (ready) return true
    await new Promise((wake) => setTimeout(wake, 150))
  }
  return false
}

const serve = async (signal: AbortSignal): Promise<number> => {
  if (!(await portIsFree(Number(options.port))))
    return fail(
      `port ${options.port} is in use, and the console needs it. Stop what holds it, or choose another with --port`,
    )
  const child = ecokit(['up'])
  const exited = once(child, 'exit') as Promise<[number | null]>
  signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true })
  if (await untilServing(child, signal)) {
    say('The sync goes on behind it.')
    // A summary that cannot be had must not take the console down.
    void followFirstRun(signal).catch(() => {})
  }
  const [code] = await exited
  return signal.aborted ? 0 : (code ?? 1)
}

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stopping.abort())

const main = async (): Promise<number> => {
  mkdirSync(folder, { recursive: true })
  const built = spawn(process.execPath, [join(root, 'apps', 'console', 'build.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [mlflow] = await Promise.all([openMlflow(stopping.signal), once(built, 'exit')])
  try {
    writeConfig(mlflow.url)
    say(`Configuration: ${relative(process.cwd(), file)}`)
    return await (options.once ? syncOnce() : serve(stopping.signal))
  } finally {
    await mlflow.server?.stop()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  if (stopping.signal.aborted) process.exit(130)
  const message = error instanceof Error ? error.message : String(error)
  const missing = isIntegrationError(error, 'unavailable') && message.includes('Python')
  fail(missing ? `${message}. Or point at an MLflow that you have: npm start -- --mlflow http://host:5000` : message)
}
