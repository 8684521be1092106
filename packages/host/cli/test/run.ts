import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkState } from '../../../core/flow/test/openlineage.ts'
import { main } from '../src/program.ts'
import type { LoadConnectors } from '../src/program.ts'
import type { Paint } from '../src/output/terminal.ts'

const bin = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
/** The same with the platform of crm.ts. */
export const binWithCrm = fileURLToPath(new URL('./bin-with-crm.ts', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}
export interface Started {
  readonly child: ChildProcess
  /** What was written so far. */
  readonly so: { out: string; err: string }
  readonly ended: Promise<Ended>
}

/** Starts `ecokit` with a standard input that stays open, as at a terminal. */
export const waiting = (cwd: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, program = bin): Started => {
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const so = { out: '', err: '' }
  child.stdout.on('data', (part: Buffer) => (so.out += part.toString()))
  child.stderr.on('data', (part: Buffer) => (so.err += part.toString()))
  child.stdin.on('error', () => undefined)
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...so }))
  return { child, so, ended }
}
/** Starts `ecokit` as people do: a process of its own. */
export const start = (
  cwd: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  input = '',
  program = bin,
): Started => {
  const started = waiting(cwd, args, env, program)
  // A process may end before it has read what it was given.
  started.child.stdin?.on('error', () => undefined)
  started.child.stdin?.end(input)
  return started
}
/** Runs `ecokit` to its end. */
export const ecokit = (cwd: string, ...args: string[]): Promise<Ended> => start(cwd, args).ended

/** A folder of its own; the function removes it. */
export const openFolder = async (): Promise<{ readonly folder: string; remove(): Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), 'ecokit-cli-'))
  return {
    folder,
    remove: () => {
      checkState(folder)
      return rm(folder, { recursive: true })
    },
  }
}

/** So many rows as NDJSON. */
export const rows = (count: number): string =>
  Array.from(
    { length: count },
    (_, index) => `{"id":${index},"big":9007199254740993,"name":"row, ${index}","text":"${'x'.repeat(40)}"}\n`,
  ).join('')

/** Files as a source, a lake as a sink, and an MLflow that is not there. */
export const writeEcosystem = async (folder: string, port = 0): Promise<void> => {
  await writeFile(
    join(folder, 'ecosystem.yaml'),
    `version: 1
partners:
  files: { connector: local, config: { folder: files } }
  lake: { connector: local, config: { database: lake.duckdb } }
pipelines:
  files-to-lake: { source: files, sink: lake }
server: { port: ${port} }
`,
  )
}

/** Waits until `probe` gives something, and gives that. */
export const until = async <T>(probe: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  for (;;) {
    const found = await probe()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A command line carried out in this process: for what needs no state, because a process of its own costs a second. */
export const inProcess = (...args: string[]): Promise<Ended> => answering(undefined, ...args)

/** The same at a terminal where somebody answers every question so. */
export const answering = (answer: string | undefined, ...args: string[]): Promise<Ended> =>
  carryOut(args, answer === undefined ? [] : [answer])

/** A command line carried out in this process, by somebody who gives these answers one after the other; none: nobody sits there. */
export const carryOut = async (
  args: readonly string[],
  answers: readonly string[] = [],
  connectors?: LoadConnectors,
): Promise<Ended> => {
  const so = { out: '', err: '' }
  const paint: Paint = (_shade, text) => text
  const note = (text: string) => void (so.err += text)
  let asked = 0
  const ask = (question: string) => {
    note(question)
    return Promise.resolve(answers[asked++] ?? answers.at(-1) ?? '')
  }
  const code = await main(
    args,
    {
      out: (text) => Promise.resolve(void (so.out += typeof text === 'string' ? text : Buffer.from(text).toString())),
      note,
      paint,
      paintNote: paint,
      columns: undefined,
      ask: answers.length === 0 ? undefined : ask,
      askSecret: answers.length === 0 ? undefined : ask,
      live: false,
    },
    '0.0.0',
    connectors,
  )
  return { code, ...so }
}
