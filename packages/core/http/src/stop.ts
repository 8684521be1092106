import { EventEmitter } from 'node:events'

export type Why = 'timeout' | 'cancelled' | 'closed'

/**
 * What ends one attempt early: the caller's signal, the clock, or the end of the connection.
 * An emitter and not an AbortController, which costs more than all else that we add to a request.
 */
export interface Stop {
  readonly emitter: EventEmitter
  /** Why the attempt was ended; undefined while it goes on. */
  readonly why: () => Why | undefined
  readonly halt: (why: Why) => void
  /** Must be called once when the attempt, its reply's body included, is over. */
  readonly release: () => void
}

/** Makes one, entered in `all` until it is released. */
export const openStop = (all: Set<Stop>, signal: AbortSignal | undefined): Stop => {
  const emitter = new EventEmitter()
  let why: Why | undefined
  const halt = (reason: Why): void => {
    if (why !== undefined) return
    why = reason
    emitter.emit('abort')
  }
  const cancel = (): void => halt('cancelled')
  const stop: Stop = {
    emitter,
    why: () => why,
    halt,
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
