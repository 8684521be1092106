import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export interface Worker {
  /** The first line that it prints. */
  readonly line: Promise<string>
  readonly ended: Promise<{ readonly code: number | null; readonly lines: readonly string[]; readonly said: string }>
  /** SIGKILL. */
  kill(): void
}

/** Runs a file of this folder in a process of its own. */
export const startWorker = (file: string, args: readonly string[]): Promise<Worker> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const reader = createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const line = once(reader, 'line').then(([text]) => String(text))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, lines, said }))
  return Promise.resolve({ line, ended, kill: () => void child.kill('SIGKILL') })
}
