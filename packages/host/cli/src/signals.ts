const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Gives the work a signal that Ctrl-C, SIGTERM and a closed terminal abort; the second one ends the process at once. */
export const interruptible = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const stopping = new AbortController()
  let stoppedAt = 0
  const stop = (): void => {
    if (!stopping.signal.aborted) {
      stoppedAt = performance.now()
      stopping.abort()
      return
    }
    // One Ctrl-C may come twice: from the terminal, and from a parent that passes its own on.
    if (performance.now() - stoppedAt > 1000) process.exit(130)
  }
  for (const name of names) process.on(name, stop)
  try {
    return await work(stopping.signal)
  } finally {
    for (const name of names) process.off(name, stop)
  }
}
