import type { Dispatcher } from 'undici'
import { systemClock, type Clock } from '../src/index.ts'

/** Time that passes only when everybody waits: the next event is taken when nothing else can happen. Same seed, same run. */
export const simulation = (start = Date.UTC(2026, 0, 1)) => {
  interface Event {
    readonly at: number
    readonly work: () => void
  }
  /** By time; within a time in the order in which they were asked for. */
  const events: Event[] = []
  let now = start
  const push = (event: Event): void => {
    let [low, high] = [0, events.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((events[middle]?.at ?? 0) <= event.at) low = middle + 1
      else high = middle
    }
    events.splice(low, 0, event)
  }
  const after = (ms: number, work: () => void): (() => void) => {
    let on = true
    push({
      at: now + Math.max(0, ms),
      work: () => {
        if (on) work()
      },
    })
    return () => (on = false)
  }
  const clock: Required<Clock> = {
    now: () => now,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) reject(signal.reason)
        const off = after(ms, resolve)
        signal?.addEventListener(
          'abort',
          () => {
            off()
            reject(signal.reason)
          },
          { once: true },
        )
      }),
  }
  return {
    clock,
    /** Runs events until the work is done; fails where it waits for something that will never come. */
    run: async <T>(work: Promise<T>): Promise<T> => {
      const state = { over: false }
      const done = work.finally(() => (state.over = true))
      done.catch(() => undefined)
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve))
        if (state.over) return done
        const next = events.shift()
        if (next === undefined) throw new Error('everybody waits, and nothing will happen')
        now = Math.max(now, next.at)
        next.work()
        // Whatever is due at the same time happens before anybody looks.
        while (events[0] !== undefined && events[0].at <= now) events.shift()?.work()
      }
    },
  }
}

/** The machine's time with the timers that a simulation has. */
export const systemTime: Required<Clock> = {
  ...systemClock,
  after: (ms, work) => {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
}

export interface FakeReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Milliseconds; never where it is undefined. */
  readonly after: number | undefined
}
/** A partner without sockets: what undici's dispatch does, at the time of the simulation. */
export const fakePartner = (
  clock: Required<Clock>,
  answer: (request: {
    readonly path: string
    readonly count: number
    readonly headers: Readonly<Record<string, string>>
  }) => FakeReply,
) => {
  const sentAt: number[] = []
  const dispatch = (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean => {
    sentAt.push(clock.now())
    const reply = answer({
      path: options.path,
      count: sentAt.length,
      headers: options.headers as Readonly<Record<string, string>>,
    })
    let off = (): void => {}
    const controller = {
      abort: (reason: Error) => {
        off()
        handler.onResponseError?.(controller, reason)
      },
      pause: () => {},
      resume: () => {},
      paused: false,
      aborted: false,
      reason: null,
    } as unknown as Dispatcher.DispatchController
    handler.onRequestStart?.(controller, {})
    if (reply.after !== undefined)
      off = clock.after(reply.after, () => {
        handler.onResponseStart?.(controller, reply.status, { ...reply.headers }, '')
        handler.onResponseData?.(controller, Buffer.from(reply.body ?? '{}'))
        handler.onResponseEnd?.(controller, {})
      })
    return true
  }
  return { dispatcher: { dispatch } as unknown as Dispatcher, sentAt }
}

/** Numbers from 0 up to, and without, 1, the same for the same seed (mulberry32). */
export const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

/** The largest count of these times within any span, and what a bucket allows in it: positive where the bucket was exceeded. */
export const excess = (
  times: readonly number[],
  rate: { readonly perSecond: number; readonly burst: number },
): number => {
  // A token bucket that is drained by what was seen: its lowest level tells by how much it was exceeded.
  let tokens = rate.burst
  let worst = 0
  let last = times[0] ?? 0
  for (const at of times) {
    tokens = Math.min(rate.burst, tokens + ((at - last) / 1000) * rate.perSecond) - 1
    last = at
    worst = Math.min(worst, tokens)
  }
  return -worst
}
