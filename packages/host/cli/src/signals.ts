const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

let onSignal: (() => void) | undefined

/** Gives the work a signal that Ctrl-C, SIGTERM and a closed terminal abort; one more, a second later or after that, ends the process at once. */
export const interruptible = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const stopping = new AbortController()
  let stoppedAt = 0
  // The listeners stay when the work is done: between that and the end of the process a signal must not cut off the answer and the exit code.
  if (onSignal === undefined) for (const name of names) process.on(name, () => onSignal?.())
  onSignal = () => {
    if (!stopping.signal.aborted) {
      stoppedAt = performance.now()
      stopping.abort()
      return
    }
    // One Ctrl-C may come twice: from the terminal, and from a parent that passes its own on.
    if (performance.now() - stoppedAt > 1000) process.exit(130)
  }
  return work(stopping.signal)
}
