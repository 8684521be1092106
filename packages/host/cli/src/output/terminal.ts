import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { styleText } from 'node:util'

export type Shade = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'
export type Paint = (shade: Shade, text: string) => string

/** Where a command writes: results to `out`, everything else to `note`. */
export interface Terminal {
  /** Waits while the reader of a pipe is slow. */
  readonly out: (text: string | Uint8Array) => Promise<void>
  readonly note: (text: string) => void
  /** Colours for `out`; plain where it is no terminal or NO_COLOR is set. */
  readonly paint: Paint
  /** Colours for `note`. */
  readonly paintNote: Paint
  /** The terminal's width; undefined in a pipe. */
  readonly columns: number | undefined
  /** Asks whoever sits there; undefined where nobody does. */
  readonly ask: ((question: string, signal: AbortSignal) => Promise<string>) | undefined
  /** The same for what must not be seen: nothing of the answer is shown. */
  readonly askSecret: ((question: string, signal: AbortSignal) => Promise<string>) | undefined
  /** True where `note` may redraw its lines. */
  readonly live: boolean
}

const askThere = async (question: string, signal: AbortSignal): Promise<string> => {
  const asked = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await asked.question(question, { signal })
  } finally {
    asked.close()
  }
}

const askUnseen = async (question: string, signal: AbortSignal): Promise<string> => {
  // A terminal that readline drives echoes nothing itself, and what readline would echo goes nowhere.
  const nowhere = new Writable({
    write: (_part, _encoding, done) => {
      done()
    },
  })
  const asked = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 })
  // Only now: whoever answers at once must not be quicker than the terminal that stops showing it.
  process.stderr.write(question)
  // In raw mode Ctrl-C is a key; the process hears of it as of any other Ctrl-C.
  asked.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  try {
    return await asked.question('', { signal })
  } finally {
    asked.close()
    process.stderr.write('\n')
  }
}

/** The process's own terminal. */
export const openTerminal = (): Terminal => {
  const { stdout, stderr, stdin } = process
  const paint =
    (stream: NodeJS.WriteStream): Paint =>
    (shade, text) =>
      styleText(shade, text, { stream })
  return {
    out: async (text) => {
      if (!stdout.write(text)) await once(stdout, 'drain')
    },
    note: (text) => {
      stderr.write(text)
    },
    paint: paint(stdout),
    paintNote: paint(stderr),
    // A terminal that does not know its width says 0.
    columns: stdout.isTTY ? stdout.columns || 80 : undefined,
    ask: stdin.isTTY && stderr.isTTY ? askThere : undefined,
    askSecret: stdin.isTTY && stderr.isTTY ? askUnseen : undefined,
    live: stderr.isTTY,
  }
}
