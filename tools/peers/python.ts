import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { integrationError } from '@ecokit/contracts'
import { environmentFolder, requirementsFile } from './scripts.ts'

export interface PythonOptions {
  /** One sentence whenever something that takes long begins or goes on. */
  readonly progress?: (message: string) => void
  readonly signal?: AbortSignal | undefined
}

const windows = process.platform === 'win32'
const executable = path.join(environmentFolder, ...(windows ? ['Scripts', 'python.exe'] : ['bin', 'python']))
const stampFile = path.join(environmentFolder, '.stamp')
const lockFile = `${environmentFolder}.lock`

/** Quiet, and free of what the user has set for an MLflow of their own. */
export const quietEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MLFLOW_'))),
  // mlflow/telemetry/utils.py and mlflow/environment_variables.py of MLflow 3.17
  MLFLOW_DISABLE_TELEMETRY: 'true',
  DO_NOT_TRACK: 'true',
  MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false',
  MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: 'true',
  MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR: 'false',
  GIT_PYTHON_REFRESH: 'quiet',
  PYTHONUNBUFFERED: '1',
  PYTHONUTF8: '1',
  // scikit-learn on two cores is faster without a thread pool a process
  OMP_NUM_THREADS: '1',
})

interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}
const run = async (
  command: string,
  commandArguments: readonly string[],
  options: { readonly signal?: AbortSignal | undefined; readonly line?: (line: string) => void } = {},
): Promise<Finished> => {
  const child = spawn(command, commandArguments, {
    env: quietEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  const stdout: string[] = []
  const stderr: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text))
  child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text))
  if (options.line !== undefined) createInterface(child.stdout).on('line', options.line)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, stdout: stdout.join(''), stderr: stderr.join('') }))
  })
}

const candidates = (): readonly (readonly string[])[] => {
  const chosen = process.env['ECOKIT_PYTHON']
  if (chosen !== undefined && chosen !== '') return [[chosen]]
  const numbered = ['3.13', '3.12', '3.11', '3.10'].map((version) => [`python${version}`])
  return [['python3'], ['python'], ...(windows ? [['py', '-3']] : []), ...numbered]
}

const findPython = async (): Promise<readonly string[]> => {
  const seen: string[] = []
  for (const [command = '', ...before] of candidates()) {
    const asked = [...before, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])']
    const found = await run(command, asked).catch(() => undefined)
    const version = /^3\.(\d+)\s*$/.exec(found?.stdout ?? '')
    if (version !== null && Number(version[1]) >= 10) return [command, ...before]
    if (found?.code === 0) seen.push(`${command} is ${found.stdout.trim()}`)
  }
  const chosen = process.env['ECOKIT_PYTHON']
  throw integrationError('unavailable', {
    what: `no Python 3.10 or newer was found (${seen.length > 0 ? seen.join(', ') : (chosen ?? 'neither python3 nor python answers')})`,
    next: 'Install Python 3.10 or newer from python.org, or set ECOKIT_PYTHON to its path',
    details: { cause: 'ENOENT' },
    retryable: false,
  })
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** True when the lock was taken; a lock whose process is gone is removed for the next try. */
const takeLock = async (): Promise<boolean> => {
  try {
    const file = await open(lockFile, 'wx')
    await file.writeFile(String(process.pid))
    await file.close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const holder = Number(await readFile(lockFile, 'utf8').catch(() => '0'))
  // An empty file is a lock that is being written just now.
  const age = Date.now() - (await stat(lockFile).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
  if (holder > 0 ? !alive(holder) : age > 5000) await rm(lockFile, { force: true })
  return false
}

const build = async (stamp: string, options: PythonOptions): Promise<void> => {
  const [command = '', ...before] = await findPython()
  const say = options.progress ?? (() => {})
  say('Making a Python environment for MLflow and scikit-learn (once; a minute or two)')
  await rm(environmentFolder, { recursive: true, force: true })
  const failed = (what: string, finished: Finished, next: string) =>
    integrationError('unavailable', {
      what: `${what}: ${(finished.stderr.trim() || finished.stdout.trim()).split('\n').slice(-3).join(' ')}`,
      next,
      details: {},
      retryable: false,
    })
  const made = await run(command, [...before, '-m', 'venv', environmentFolder], options)
  if (made.code !== 0)
    throw failed(
      `${command} cannot make a virtual environment`,
      made,
      'Install its venv module (on Debian and Ubuntu: apt install python3-venv)',
    )
  const fetched = new Set<string>()
  const installed = await run(
    executable,
    ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off'].concat(
      '--prefer-binary',
      '-r',
      requirementsFile,
    ),
    {
      ...options,
      line: (line) => {
        const wanted = /^Collecting ([\w.-]+)/.exec(line)?.[1]
        if (wanted !== undefined && !fetched.has(wanted)) say(`Fetching ${wanted}`)
        if (wanted !== undefined) fetched.add(wanted)
        if (line.startsWith('Installing collected packages')) say('Installing the packages')
      },
    },
  )
  if (installed.code !== 0)
    throw failed(
      'MLflow cannot be installed',
      installed,
      'See that the Python package index can be reached, then try again',
    )
  await writeFile(stampFile, stamp)
  say('The Python environment is ready')
}

/** The path of a Python that has MLflow and scikit-learn; built on the first call under a lock, reused later. Throws `unavailable` with what is missing. */
export const python = async (options: PythonOptions = {}): Promise<string> => {
  const stamp = createHash('sha256')
    .update(await readFile(requirementsFile))
    .digest('hex')
  const ready = async () => (await readFile(stampFile, 'utf8').catch(() => '')) === stamp
  if (await ready()) return executable
  await mkdir(path.dirname(environmentFolder), { recursive: true })
  let told = false
  while (!(await takeLock())) {
    if (!told) options.progress?.('Another process is making the Python environment: waiting for it')
    told = true
    await sleep(250, undefined, options.signal === undefined ? {} : { signal: options.signal })
    if (await ready()) return executable
  }
  try {
    if (!(await ready())) await build(stamp, options)
  } finally {
    await rm(lockFile, { force: true })
  }
  return executable
}

export interface RunPythonOptions extends PythonOptions {
  /** Each line of its standard output as it comes. */
  readonly line?: (line: string) => void
}

/** Runs a script in the environment and gives its standard output; a failing one throws `internal` with its last lines. */
export const runPython = async (
  script: string,
  scriptArguments: readonly string[],
  options: RunPythonOptions = {},
): Promise<string> => {
  const finished = await run(await python(options), [script, ...scriptArguments], options)
  if (finished.code !== 0)
    throw integrationError('internal', {
      what: `${path.basename(script)} failed: ${finished.stderr.trim().split('\n').slice(-5).join('\n')}`,
      details: {},
    })
  return finished.stdout
}
