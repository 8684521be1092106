import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { phases, type Life, type Phase } from './life.ts'

/** Compiled modules, written by processes that end by themselves: halves what each start costs. */
const compiled = fileURLToPath(new URL('../../.cache/compiled', import.meta.url))
const liveScript = fileURLToPath(new URL('child.ts', import.meta.url))

/** How a life ended: by itself, with what was wrong if anything, or by SIGKILL in a phase of one of its streams. */
export type End =
  | { readonly killed: false; readonly wrong: string }
  | { readonly killed: true; readonly phase: Phase; readonly stream: number }

interface Process {
  readonly child: ChildProcess
  /** Resolves when everything is loaded. */
  readonly ready: Promise<void>
  /** Lives once; killed from outside after so many milliseconds, where they are given. */
  live(life: Life, killAfterMs: number | undefined): Promise<End>
}

const start = (script: string): Process => {
  const child = spawn(process.execPath, ['--no-warnings', script], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: compiled },
  })
  let said = ''
  let wrong = ''
  let last: readonly [number, number] = [0, 0]
  const [, output, errors, trace] = child.stdio
  let wake = (): void => {}
  output.on('data', (text: Buffer) => {
    said += text.toString()
    wake()
  })
  errors.on('data', (text: Buffer) => (wrong += text.toString()))
  // A process that ended between two lives takes no order any more: that it has ended is told where its answer is awaited.
  child.stdin.on('error', () => undefined)
  trace?.on('data', (bytes: Buffer) => (last = [bytes.at(-2) ?? 0, bytes.at(-1) ?? 0]))
  const closed = once(child, 'close').then(() => wake())
  const line = async (): Promise<string | undefined> => {
    for (;;) {
      const end = said.indexOf('\n')
      if (end !== -1) {
        const found = said.slice(0, end)
        said = said.slice(end + 1)
        return found
      }
      if (child.exitCode !== null || child.signalCode !== null) return undefined
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const ready = line().then((text) => {
    if (text !== 'ready') throw new Error(`the process did not start: ${wrong}`)
  })
  ready.catch(() => undefined)
  return {
    child,
    ready,
    live: async (life, killAfterMs) => {
      await ready
      child.stdin.write(`${JSON.stringify(life)}\n`)
      const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
      const text = await line()
      clearTimeout(timer)
      // The signal can cross the answer: then the life ended by itself, and the process is gone all the same.
      if (child.killed) await closed
      if (text !== undefined) return { killed: false, ...(JSON.parse(text) as { readonly wrong: string }) }
      await closed
      if (child.signalCode !== 'SIGKILL' || wrong !== '')
        return { killed: false, wrong: `${String(child.exitCode)} ${wrong}` }
      const [stream, phase] = last
      return { killed: true, stream, phase: phases[phase] ?? 'start' }
    },
  }
}

/** Keeps processes ready that have loaded everything, so that a kill costs no waiting for the next one. */
export const openFactory = (spares = availableParallelism(), script = liveScript) => {
  let waiting: Process[] = []
  const all = new Set<ChildProcess>()
  const make = (): Process => {
    const made = start(script)
    all.add(made.child)
    made.child.once('close', () => all.delete(made.child))
    return made
  }
  const live = async (life: Life, killAfterMs?: number): Promise<End> => {
    while (waiting.length < spares) waiting.push(make())
    const process = waiting.shift() ?? make()
    const end = await process.live(life, killAfterMs)
    if (end.killed || process.child.killed || process.child.exitCode !== null) return end
    waiting.unshift(process)
    return end
  }
  return {
    live,
    close: async (): Promise<void> => {
      waiting = []
      const ends = [...all].map((child) => once(child, 'close'))
      for (const child of all) child.kill('SIGKILL')
      await Promise.all(ends)
    },
  }
}
export type Factory = ReturnType<typeof openFactory>
