import { EventEmitter } from 'node:events'

/** Why an attempt was ended: its time was over, the caller's signal was aborted, or the connection was closed. */
export type Why = 'timeout' | 'cancelled' | 'closed'

/** What ends one attempt early. An emitter and not an AbortController, which costs several times as much. */
export interface Stop {
  /** Emits `abort`; undici takes it for a signal. */
  readonly emitter: EventEmitter
  /** Undefined while the attempt goes on. */
  readonly why: () => Why | undefined
  readonly halt: (why: Why) => void
  /** Lets go of the caller's signal; when the attempt, its reply's body included, is over. */
  readonly release: () => void
}

/** Makes one, entered in `all` until it is released or halted. */
export const openStop = (all: Set<Stop>, signal: AbortSignal | undefined): Stop => {
  const emitter = new EventEmitter()
  let why: Why | undefined
  const cancel = (): void => stop.halt('cancelled')
  const stop: Stop = {
    emitter,
    why: () => why,
    halt: (reason) => {
      if (why !== undefined) return
      why = reason
      stop.release()
      emitter.emit('abort')
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
