const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Gives the work a signal that Ctrl-C, SIGTERM and a closed terminal abort; the second one ends the process at once. */
export const interruptible = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const stopping = new AbortController()
  const stop = (): void => {
    if (stopping.signal.aborted) process.exit(130)
    stopping.abort()
  }
  for (const name of names) process.on(name, stop)
  try {
    return await work(stopping.signal)
  } finally {
    for (const name of names) process.off(name, stop)
  }
}
