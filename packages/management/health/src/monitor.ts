import { setTimeout as wait } from 'node:timers/promises'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { AnyConnection, CallOptions, Health, HealthStatus } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { openProbe } from './probe.ts'
import type { Clock, Probe } from './probe.ts'
import { openRecorder } from './recorder.ts'
import { pruneChecks, readHistory, readState, readStates, recordChecks } from './records.ts'
import type { HealthState, Keep } from './records.ts'
import { defaultRules } from './rules.ts'
import type { Rules } from './rules.ts'
import { merged, openGate, within } from './waiting.ts'

/** A partner to be watched. */
export interface Watched {
  readonly name: string
  /** A check starts at most this long after the one before it started. */
  readonly everyMs: number
  readonly timeoutMs: number
  /** Changes when the partner has to be connected to anew. */
  readonly revision?: string
}
/** A partner's state changed; `from` is what this monitor reported last. */
export interface HealthChange {
  readonly partner: string
  readonly from: HealthStatus
  readonly to: HealthStatus
  readonly health: HealthState
}
/** A check was made: what it saw, and the state after it. */
export interface HealthCheck {
  readonly partner: string
  readonly health: Health
  readonly state: HealthState
}
export interface HealthSummary {
  readonly total: number
  readonly healthy: number
  readonly degraded: number
  readonly unhealthy: number
  /** Not checked yet. */
  readonly unknown: number
}

export interface HealthMonitorOptions {
  readonly store: Store
  /** Who is watched; asked again every `refreshMs` and before each `checkNow`. */
  readonly partners: () => Promise<readonly Watched[]>
  /** Opens a connection for the monitor alone, which closes it. */
  readonly connect: (name: string) => Promise<AnyConnection>
  readonly clock?: Clock
  /** From 0 up to 1; default Math.random. */
  readonly random?: () => number
  /** How many checks may start at a time. One that takes longer than a second stops counting, so that partners that hang delay no other. Default 32. */
  readonly concurrency?: number
  /** Default 2,000. */
  readonly refreshMs?: number
  readonly rules?: Partial<Rules>
  readonly keep?: Partial<Keep>
  /** Told of faults that have no caller: the store, the list of partners, a callback. */
  readonly onError?: (error: unknown) => void
}

/** Watches the health of partners. */
export interface HealthMonitor extends AsyncDisposable {
  /** Begins the scheduled checks; the first ones come within a second. */
  start(): void
  /** Checks now, or joins the check that is running; stored and told like any other. Throws `not_found`, or `cancelled` when the caller's signal is aborted or the monitor is closed. */
  checkNow(name: string, options?: CallOptions): Promise<Health>
  /** Called after each change of a state; what it throws or waits for disturbs nobody. Gives the function that ends it. */
  onChange(callback: (change: HealthChange) => unknown): () => void
  /** Called after each check. */
  onCheck(callback: (check: HealthCheck) => unknown): () => void
  /** The last checks, oldest first. Default limit 60. */
  history(name: string, options?: { readonly limit?: number }): Promise<readonly Health[]>
  /** Undefined before the first check. */
  state(name: string): Promise<HealthState | undefined>
  states(): Promise<readonly HealthState[]>
  summary(): Promise<HealthSummary>
  /** Stops, cancels the checks that are running and closes the connections. */
  close(): Promise<void>
}

interface Entry {
  watched: Watched
  readonly probe: Probe
  nextAt: number
  running: Promise<Health> | undefined
  reported: HealthStatus | undefined
  /** Checks since the history was pruned. */
  unpruned: number
}

const systemClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => wait(ms, undefined, signal === undefined ? {} : { signal }),
}
const parkAfterMs = 1000
const pruneEvery = 50
const shortestEveryMs = 10
// setTimeout counts in 31 bits; waking up once a minute costs nothing.
const longestSleepMs = 60_000

/** Opens a monitor over a store; nothing is checked before `start` or `checkNow`. */
export const openHealthMonitor = (options: HealthMonitorOptions): HealthMonitor => {
  const { store, partners, connect, clock = systemClock, random = Math.random } = options
  const { concurrency = 32, refreshMs = 2000, onError = () => undefined } = options
  const rules: Rules = { ...defaultRules, ...options.rules }
  const keep: Keep = { forMs: 24 * 3_600_000, perPartner: 10_000, ...options.keep }
  const entries = new Map<string, Entry>()
  const listeners = {
    change: new Set<(change: HealthChange) => unknown>(),
    check: new Set<(check: HealthCheck) => unknown>(),
  }
  const gate = openGate(concurrency)
  const recorder = openRecorder((seen) => recordChecks(store, seen, rules), clock)
  const closed = new AbortController()
  let woken = new AbortController()
  let loop: Promise<void> | undefined

  const wake = (): void => woken.abort()
  const report = (error: unknown): void => {
    if (!closed.signal.aborted && !isIntegrationError(error, 'cancelled')) onError(error)
  }
  const tell = <T>(callbacks: ReadonlySet<(event: T) => unknown>, event: T): void => {
    for (const callback of callbacks)
      void Promise.resolve()
        .then(() => callback(event))
        .catch(report)
  }

  const refresh = merged(async () => {
    const wanted = new Map((await partners()).map((watched) => [watched.name, watched]))
    for (const [name, entry] of entries) {
      if (wanted.has(name)) continue
      entries.delete(name)
      void entry.probe.close()
    }
    const now = clock.now()
    for (const [name, watched] of wanted) {
      const entry = entries.get(name)
      if (entry === undefined) {
        const nextAt = now + random() * Math.min(1000, watched.everyMs / 10)
        const fresh = { running: undefined, reported: undefined, unpruned: pruneEvery }
        entries.set(name, { watched, probe: openProbe(name, () => connect(name), clock), nextAt, ...fresh })
        continue
      }
      if (entry.watched.revision !== watched.revision) {
        entry.probe.renew()
        entry.nextAt = now
      }
      entry.nextAt = Math.min(entry.nextAt, now + watched.everyMs)
      entry.watched = watched
    }
    wake()
  })

  const check = async (entry: Entry): Promise<Health> => {
    const { name, timeoutMs } = entry.watched
    const leave = await gate.enter()
    const ended = recorder.expect()
    const parked = new AbortController()
    try {
      clock.sleep(parkAfterMs, parked.signal).then(leave, () => undefined)
      const health = await entry.probe.check(timeoutMs, closed.signal)
      leave()
      const { before, state } = await recorder.record(name, health)
      const from = entry.reported ?? before
      entry.reported = state.status
      tell(listeners.check, { partner: name, health, state })
      if (from !== state.status) tell(listeners.change, { partner: name, from, to: state.status, health: state })
      entry.unpruned += 1
      if (entry.unpruned > pruneEvery) {
        entry.unpruned = 0
        await pruneChecks(store, name, clock.now(), keep)
      }
      return health
    } finally {
      parked.abort()
      leave()
      ended()
    }
  }
  const run = (entry: Entry): Promise<Health> => {
    if (entry.running !== undefined) return entry.running
    // Jitter only shortens the interval: a change is seen within `everyMs`.
    entry.nextAt = clock.now() + Math.max(shortestEveryMs, entry.watched.everyMs) * (1 - random() / 10)
    const running = check(entry).finally(() => {
      entry.running = undefined
      wake()
    })
    entry.running = running
    return running
  }

  const watch = async (): Promise<void> => {
    let refreshAt = -Infinity
    while (!closed.signal.aborted) {
      woken = new AbortController()
      const now = clock.now()
      // Also where the clock was set back.
      if (now >= refreshAt || now < refreshAt - refreshMs) {
        refreshAt = now + refreshMs
        refresh().catch(report)
      }
      let wakeAt = refreshAt
      for (const entry of entries.values()) {
        if (entry.running !== undefined) continue
        if (entry.nextAt <= now) run(entry).catch(report)
        else wakeAt = Math.min(wakeAt, entry.nextAt)
      }
      const signal = AbortSignal.any([closed.signal, woken.signal])
      await clock.sleep(Math.min(Math.max(0, wakeAt - now), longestSleepMs), signal).catch(() => undefined)
    }
  }
  const shut = (partner?: string) =>
    integrationError('cancelled', { partner, what: 'the health monitor was closed', details: {} })

  const close = async (): Promise<void> => {
    closed.abort()
    recorder.close()
    const open = [...entries.values()]
    await loop
    await Promise.allSettled(open.flatMap(({ running }) => running ?? []))
    await Promise.all(open.map(({ probe }) => probe.close()))
    entries.clear()
  }
  const listen = <T>(callbacks: Set<T>, callback: T): (() => void) => {
    callbacks.add(callback)
    return () => void callbacks.delete(callback)
  }

  return {
    start: () => {
      loop ??= watch()
    },
    checkNow: (name, { signal } = {}) => {
      const checked = async (): Promise<Health> => {
        if (closed.signal.aborted) throw shut(name)
        await refresh()
        const entry = entries.get(name)
        if (entry !== undefined) return run(entry)
        throw integrationError('not_found', {
          what: `there is no partner \`${name}\``,
          next: 'Ask for one that is registered',
          details: {},
        })
      }
      // Others may wait for the same check: the caller's signal ends the caller's waiting only.
      return within(checked(), signal).catch((error: unknown) => {
        if (signal?.aborted === true)
          throw integrationError('cancelled', { partner: name, what: 'cancelled', details: {} })
        throw error
      })
    },
    onChange: (callback) => listen(listeners.change, callback),
    onCheck: (callback) => listen(listeners.check, callback),
    history: (name, { limit = 60 } = {}) => readHistory(store, name, limit),
    state: (name) => readState(store, name),
    states: () => readStates(store),
    summary: async () => {
      const states = new Map((await readStates(store)).map(({ partner, status }) => [partner, status]))
      const counts = { healthy: 0, degraded: 0, unhealthy: 0, unknown: 0 }
      const watched = await partners()
      for (const { name } of watched) counts[states.get(name) ?? 'unknown'] += 1
      return { total: watched.length, ...counts }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
