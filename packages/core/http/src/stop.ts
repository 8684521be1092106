/** Why an attempt was ended: its time was over, the caller's signal was aborted, or the connection was closed. */
export type Why = 'timeout' | 'cancelled' | 'closed'

/** What ends one attempt early. Not an AbortController, which costs several times as much. */
export interface Stop {
  /** Undefined while the attempt goes on. */
  readonly why: () => Why | undefined
  readonly halt: (why: Why) => void
  /** Sets what is done when the attempt is ended; a later request of the same attempt replaces it. */
  readonly onHalt: (work: () => void) => void
  /** Lets go of the caller's signal; when the attempt, its reply's body included, is over. */
  readonly release: () => void
}

/** Makes one, entered in `all` until it is released or halted. */
export const openStop = (all: Set<Stop>, signal: AbortSignal | undefined): Stop => {
  let why: Why | undefined
  let work: (() => void) | undefined
  const cancel = (): void => stop.halt('cancelled')
  const stop: Stop = {
    why: () => why,
    halt: (reason) => {
      if (why !== undefined) return
      why = reason
      stop.release()
      work?.()
    },
    onHalt: (next) => {
      work = next
    },
    release: () => {
      all.delete(stop)
      signal?.removeEventListener('abort', cancel)
    },
  }
  all.add(stop)
  if (signal?.aborted === true) cancel()
  else signal?.addEventListener('abort', cancel, { once: true })
  return stop
}
