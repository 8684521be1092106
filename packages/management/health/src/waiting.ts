/** The work's result, or the signal's reason as soon as it is aborted, even where the work does not listen. */
export const within = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  signal === undefined
    ? work
    : new Promise((resolve, reject) => {
        const abort = () => reject(signal.reason)
        if (signal.aborted) abort()
        signal.addEventListener('abort', abort, { once: true })
        work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
      })

/** Work of which calls that come before it starts share one go. */
export const merged = <T>(work: () => Promise<T>): (() => Promise<T>) => {
  let tail: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | undefined
  return () => {
    next ??= tail.then(() => {
      next = undefined
      return work()
    })
    tail = next.catch(() => undefined)
    return next
  }
}

/** At most `limit` pieces of work at a time, in order. */
export const openGate = (limit: number) => {
  const waiting: (() => void)[] = []
  let busy = 0
  return {
    enter: async (): Promise<() => void> => {
      if (busy >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
      else busy += 1
      let left = false
      return () => {
        if (left) return
        left = true
        const first = waiting.shift()
        if (first === undefined) busy -= 1
        else first()
      }
    },
  }
}
