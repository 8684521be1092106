import type { Clock } from './types.ts'

/** Why a call was ended: the time of an attempt or of the whole call was over, the caller's signal was aborted, or the connection was closed. */
export type Why = 'timeout' | 'deadline' | 'cancelled' | 'closed'

/** What ends one call early. Not an AbortController, which costs several times as much. */
export interface Stop {
  /** Undefined while the call goes on. */
  readonly why: () => Why | undefined
  readonly halt: (why: Why) => void
  /** Sets what is done when the call is ended; the next one replaces it. */
  readonly onHalt: (work: () => void) => void
  /** Before another attempt: that the last one took too long is no end of the call. */
  readonly again: () => void
  /** Lets go of the caller's signal; when the call, its reply's body included, is over. */
  readonly release: () => void
  /** When its time is over, in the timer's own time, and what is over then. */
  dueAt: number
  due: 'timeout' | 'deadline'
}

/** Makes one, entered in `all` until it is released. A signal that is `closed` needs no listener: who holds `all` sees to it. */
export const openStop = (all: Set<Stop>, signal: AbortSignal | undefined, closed: AbortSignal | undefined): Stop => {
  let why: Why | undefined
  let work: (() => void) | undefined
  const listens = signal !== undefined && signal !== closed
  const cancel = (): void => stop.halt('cancelled')
  const stop: Stop = {
    dueAt: Infinity,
    due: 'timeout',
    why: () => why,
    halt: (reason) => {
      if (why !== undefined) return
      why = reason
      work?.()
    },
    onHalt: (next) => {
      work = next
    },
    again: () => {
      if (why === 'timeout') why = undefined
    },
    release: () => {
      all.delete(stop)
      if (listens) signal.removeEventListener('abort', cancel)
    },
  }
  all.add(stop)
  if (signal?.aborted === true) cancel()
  else if (listens) signal.addEventListener('abort', cancel, { once: true })
  return stop
}

/** What the work gives, unless the call is ended before, or so much time is over; the work itself goes on without us. */
export const bounded = async <T>(timer: Timer, stop: Stop, ms: number, work: Promise<T>): Promise<T> => {
  timer.give(stop, ms, 'deadline')
  try {
    return await new Promise<T>((resolve, reject) => {
      const end = (): void => reject(new Error('stopped'))
      stop.onHalt(end)
      if (stop.why() !== undefined) end()
      work.then(resolve, reject)
    })
  } finally {
    stop.dueAt = Infinity
  }
}

/** One timer for the time limits of all calls of a connection: a timer for each call would cost more than all else that is done for its time. */
export interface Timer {
  /** Gives the call so many milliseconds from now, in place of what it had. */
  readonly give: (stop: Stop, ms: number, due: Stop['due']) => void
  /** Milliseconds by the clock of this timer, for durations. */
  readonly ticks: () => number
}

const timeout = (ms: number, work: () => void): (() => void) => {
  const timer = setTimeout(work, Math.min(ms, 2 ** 31 - 1))
  // The sockets that are waited for keep the process alive.
  timer.unref()
  return () => clearTimeout(timer)
}

/** Runs on the clock's own `after`, else on the machine's timers and its monotonic time, which nobody sets back. */
export const openTimer = (stops: ReadonlySet<Stop>, clock: Clock): Timer => {
  const { after = timeout } = clock
  const ticks = clock.after === undefined ? () => performance.now() : clock.now
  let armedFor = Infinity
  let disarm: (() => void) | undefined
  const check = (): void => {
    armedFor = Infinity
    disarm = undefined
    const now = ticks()
    let next = Infinity
    for (const stop of stops) {
      // Timers may run up to a millisecond early.
      if (stop.dueAt - now < 1) {
        stop.dueAt = Infinity
        stop.halt(stop.due)
      } else if (stop.dueAt < next) next = stop.dueAt
    }
    if (next < armedFor) arm(next, now)
  }
  const arm = (at: number, now: number): void => {
    disarm?.()
    armedFor = at
    disarm = after(Math.max(0, at - now), check)
  }
  return {
    ticks,
    give: (stop, ms, due) => {
      const now = ticks()
      stop.dueAt = now + ms
      stop.due = due
      if (stop.dueAt < armedFor) arm(stop.dueAt, now)
    },
  }
}
