/** A signal that Ctrl-C and SIGTERM abort; the second one ends the process at once. */
export const interruptible = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const stopping = new AbortController()
  const stop = (name: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    stopping.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    return await work(stopping.signal)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}
