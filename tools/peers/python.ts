import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { integrationError } from '@ecokit/contracts'
import { withLock } from './lock.ts'
import { environmentFolder, motoFolder, motoRequirementsFile, requirementsFile } from './scripts.ts'

export interface PythonOptions {
  /** One sentence whenever something that takes long begins or goes on. */
  readonly progress?: (message: string) => void
  readonly signal?: AbortSignal | undefined
}

/** A virtual environment in the cache; each peer has its own, so that a change of one leaves the others alone. */
export interface Environment {
  /** For people: what is in it. */
  readonly title: string
  /** A few words on how long it takes. */
  readonly takes: string
  readonly folder: string
  readonly requirements: string
}
const mlflowEnvironment: Environment = {
  title: 'MLflow and scikit-learn',
  takes: 'a minute or two',
  folder: environmentFolder,
  requirements: requirementsFile,
}
const motoEnvironment: Environment = {
  title: 'moto',
  takes: 'under a minute',
  folder: motoFolder,
  requirements: motoRequirementsFile,
}

const windows = process.platform === 'win32'
const executableOf = ({ folder }: Environment): string =>
  path.join(folder, ...(windows ? ['Scripts', 'python.exe'] : ['bin', 'python']))
const stampOf = ({ folder }: Environment): string => path.join(folder, '.stamp')

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

const build = async (environment: Environment, stamp: string, options: PythonOptions): Promise<void> => {
  const [command = '', ...before] = await findPython()
  const say = options.progress ?? (() => {})
  say(`Making a Python environment for ${environment.title} (once; ${environment.takes})`)
  await rm(environment.folder, { recursive: true, force: true })
  const failed = (what: string, finished: Finished, next: string) =>
    integrationError('unavailable', {
      what: `${what}: ${(finished.stderr.trim() || finished.stdout.trim()).split('\n').slice(-3).join(' ')}`,
      next,
      details: {},
      retryable: false,
    })
  const made = await run(command, [...before, '-m', 'venv', environment.folder], options)
  if (made.code !== 0)
    throw failed(
      `${command} cannot make a virtual environment`,
      made,
      'Install its venv module (on Debian and Ubuntu: apt install python3-venv)',
    )
  const fetched = new Set<string>()
  const installed = await run(
    executableOf(environment),
    ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off'].concat(
      '--prefer-binary',
      '-r',
      environment.requirements,
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
      `${environment.title} cannot be installed`,
      installed,
      'See that the Python package index can be reached, then try again',
    )
  await writeFile(stampOf(environment), stamp)
  say(`The Python environment for ${environment.title} is ready`)
}

/** The path of a Python that has what an environment asks for; built on the first call under a lock, reused later. Throws `unavailable` with what is missing. */
export const pythonIn = async (environment: Environment, options: PythonOptions = {}): Promise<string> => {
  const stamp = createHash('sha256')
    .update(await readFile(environment.requirements))
    .digest('hex')
  const ready = async () => (await readFile(stampOf(environment), 'utf8').catch(() => '')) === stamp
  if (!(await ready()))
    await withLock(environment.folder, `the Python environment for ${environment.title}`, options, async () => {
      if (!(await ready())) await build(environment, stamp, options)
    })
  return executableOf(environment)
}
/** The path of a Python that has MLflow and scikit-learn; built on the first call under a lock, reused later. Throws `unavailable` with what is missing. */
export const python = (options: PythonOptions = {}): Promise<string> => pythonIn(mlflowEnvironment, options)
/** The same with moto. */
export const motoPython = (options: PythonOptions = {}): Promise<string> => pythonIn(motoEnvironment, options)

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
