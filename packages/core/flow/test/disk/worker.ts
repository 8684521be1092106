import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { readJson } from '@ecokit/http'
import type { Outcome, Task } from './task.ts'

const compiled = fileURLToPath(new URL('../../.cache/compiled', import.meta.url))
const script = fileURLToPath(new URL('child.ts', import.meta.url))

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

/** A process that does one task after the other; a new one takes its place where one ends in the middle of a task. */
export const openWorker = (shim: string | undefined) => {
  let child: ChildProcess | undefined
  let lines: AsyncIterator<string> | undefined
  let wrong = ''
  const start = async (): Promise<void> => {
    const started = spawn(process.execPath, ['--no-warnings', script], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: compiled, ...(shim !== undefined && { LD_PRELOAD: shim }) },
    })
    child = started
    wrong = ''
    // That it ended is told where its answer is awaited.
    started.stdin.on('error', () => undefined)
    started.stderr.on('data', (text: Buffer) => (wrong = (wrong + text.toString()).slice(-4000)))
    lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]()
    const first = await lines.next()
    if (first.value !== 'ready') throw new Error(`the process did not start: ${wrong}`)
  }
  return {
    /** How the task came out; the signal or exit code, with the last words, where the process ended. */
    perform: async (task: Task): Promise<Outcome | string> => {
      if (child === undefined) await start()
      const working = child
      working?.stdin?.write(`${JSON.stringify(task)}\n`)
      const answer = await lines?.next()
      if (answer?.done === false) return readJson(answer.value) as Outcome
      child = undefined
      if (working === undefined) return wrong
      if (!hasEnded(working)) await once(working, 'close')
      return `${String(working.signalCode ?? working.exitCode)}: ${wrong}`
    },
    close: async (): Promise<void> => {
      const working = child
      child = undefined
      if (working === undefined || hasEnded(working)) return
      const closed = once(working, 'close')
      working.kill('SIGKILL')
      await closed
    },
  }
}
export type Worker = ReturnType<typeof openWorker>
