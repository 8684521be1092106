import type { Dispatcher } from 'undici'
import { systemClock, type Clock } from '../src/index.ts'

/** Time that passes only when everybody waits: the next event is taken when nothing else can happen. Same seed, same run. */
export const simulation = (start = Date.UTC(2026, 0, 1)) => {
  interface Event {
    readonly at: number
    readonly work: () => void
    readonly order: number
  }
  const heap: Event[] = []
  let now = start
  let order = 0
  const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
  const push = (event: Event): void => {
    heap.push(event)
    for (let at = heap.length - 1; at > 0;) {
      const up = (at - 1) >> 1
      if (!before(heap[at]!, heap[up]!)) break
      ;[heap[at], heap[up]] = [heap[up]!, heap[at]!]
      at = up
    }
  }
  const pop = (): Event | undefined => {
    const [first] = heap
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left
      if (right < heap.length && before(heap[right]!, heap[least]!)) least = right
      if (least === at) return first
      ;[heap[at], heap[least]] = [heap[least]!, heap[at]!]
      at = least
    }
  }
  const after = (ms: number, work: () => void): (() => void) => {
    let on = true
    push({ at: now + Math.max(0, ms), order: order++, work: () => on && work() })
    return () => (on = false)
  }
  const clock: Required<Clock> = {
    now: () => now,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) reject(signal.reason)
        const off = after(ms, resolve)
        signal?.addEventListener('abort', () => (off(), reject(signal.reason)), { once: true })
      }),
  }
  return {
    clock,
    /** Runs events until the work is done; fails where it waits for something that will never come. */
    run: async <T>(work: Promise<T>): Promise<T> => {
      let over = false
      const done = work.finally(() => (over = true))
      done.catch(() => undefined)
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve))
        if (over) return done
        const next = pop()
        if (next === undefined) throw new Error('everybody waits, and nothing will happen')
        now = Math.max(now, next.at)
        next.work()
        // Whatever is due at the same time happens before anybody looks.
        while (heap[0] !== undefined && heap[0].at <= now) pop()?.work()
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
