import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const script = fileURLToPath(new URL('child.ts', import.meta.url))

/** Starts `child.ts`; it does not outlive the test. */
export const startChild = (args: readonly string[]): ChildProcessWithoutNullStreams => {
  const child = spawn(process.execPath, [script, ...args])
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** The lines that a child says, one after the other. */
export const linesOf = (child: ChildProcessWithoutNullStreams): (() => Promise<string>) => {
  const lines: string[] = []
  let [text, wrong, ended] = ['', '', false]
  let wake = () => {}
  child.stderr.on('data', (data: Buffer) => (wrong += data.toString()))
  child.stdout.on('data', (data: Buffer) => {
    text += data.toString()
    const parts = text.split('\n')
    text = parts.pop() ?? ''
    lines.push(...parts)
    wake()
  })
  child.stdout.once('close', () => {
    ended = true
    wake()
  })
  return async () => {
    for (;;) {
      const line = lines.shift()
      if (line !== undefined) return line
      if (ended) throw new Error(`the child ended without a word: ${wrong}`)
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
}
