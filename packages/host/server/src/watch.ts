import { setTimeout as sleep } from 'node:timers/promises'
import { toIntegrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'
import { changedRuns } from '@ecokit/flow'
import type { Run } from '@ecokit/flow'
import type { EcosystemRuntime } from './ecosystem.ts'
import type { Hub } from './hub.ts'
import type { Views } from './views.ts'

/** Milliseconds between two looks at the store: how late the events of another process may be. */
const everyMs = 250
/** Rows may become visible after their own time stamp, so each look goes back this far and leaves out what it has told already. */
const overlapMs = 10_000

/** A run as it was told last, so that only what is new goes out: one of a thousand streams is half a megabyte. */
interface Told {
  readonly head: string
  readonly streams: ReadonlyMap<string, string>
}

export interface WatchOptions {
  readonly runtime: EcosystemRuntime
  readonly hub: Hub
  readonly views: Views
  readonly onError: (error: IntegrationError) => void
}

/** Turns what changes in the store, whichever process changed it, into events. Looks also while nobody listens, so that the first client misses nothing. */
export const watch = ({ runtime, hub, views, onError }: WatchOptions) => {
  const { registry, health, store } = runtime
  const closing = new AbortController()
  const runs = new Map<string, Told>()
  let marked: string | undefined
  let partners: ReadonlyMap<string, string> | undefined
  let states: ReadonlyMap<string, { checkedAt: string; status: string; since: string }> | undefined

  /** Changes with every partner that comes, goes, changes or is checked, in any process: a few numbers instead of every row, four times a second. */
  const mark = async (): Promise<string> => {
    const partners = await store.db
      .selectFrom('partners')
      .select(({ fn }) => [
        fn.countAll().as('rows'),
        fn.max('updated_at').as('newest'),
        fn.avg('updated_at').as('mean'),
      ])
      .executeTakeFirst()
    const checks = await store.db
      .selectFrom('health_states')
      .select(({ fn }) => [
        fn.countAll().as('rows'),
        fn.max('checked_at').as('newest'),
        fn.avg('checked_at').as('mean'),
      ])
      .executeTakeFirst()
    return JSON.stringify([partners, checks])
  }
  const lookAtPartners = async () => {
    const now = await mark()
    if (now === marked) return
    await compare()
    marked = now
  }
  const compare = async () => {
    const before = { partners, states }
    partners = new Map((await registry.list()).map(({ name, updatedAt }) => [name, updatedAt]))
    const found = await health.states()
    states = new Map(found.map((state) => [state.partner, state]))
    if (before.partners === undefined || before.states === undefined) return
    for (const name of before.partners.keys()) if (!partners.has(name)) hub.send('partner-removed', { name })
    const changed = new Set(
      [...partners].filter(([name, at]) => before.partners?.get(name) !== at).map(([name]) => name),
    )
    for (const state of found) {
      const last = before.states.get(state.partner)
      if (last?.checkedAt === state.checkedAt) continue
      if (last?.status !== state.status || last.since !== state.since) changed.add(state.partner)
      const [check] = await health.history(state.partner, { limit: 1 })
      hub.send('check', { partner: state.partner, health: state, check: check ?? state })
    }
    for (const name of changed) if (partners.has(name)) hub.send('partner', await views.partner(name))
  }
  const tell = (run: Run): void => {
    const { streams, totals, ...rest } = run
    const head = JSON.stringify(rest)
    const texts = new Map(streams.map((one) => [one.stream, JSON.stringify(one)]))
    const before = runs.get(run.id)
    runs.set(run.id, { head, streams: texts })
    if (before?.head !== head || before.streams.size !== texts.size) {
      hub.send('run', run)
      return
    }
    const changed = streams.filter(({ stream }) => before.streams.get(stream) !== texts.get(stream))
    if (changed.length > 0) hub.send('run-progress', { id: run.id, totals, streams: changed })
  }
  const lookAtRuns = async () => {
    const found = await changedRuns(store, Date.now() - overlapMs)
    for (const run of found.toReversed()) tell(run)
    const recent = new Set(found.map(({ id }) => id))
    for (const id of runs.keys()) if (!recent.has(id)) runs.delete(id)
  }
  const loop = async () => {
    let said: string | undefined
    while (!closing.signal.aborted) {
      try {
        await lookAtPartners()
        await lookAtRuns()
        said = undefined
      } catch (thrown) {
        const error = toIntegrationError(thrown)
        if (error.message !== said) onError(error)
        said = error.message
      }
      await sleep(everyMs, undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }
  const ended = loop()
  // A circuit opens between two checks, and a guard may say much at once: one event for what was said in one look.
  const guarded = new Set<string>()
  const stop = runtime.onGuard((name) => {
    if (guarded.size === 0)
      setTimeout(() => {
        const names = [...guarded]
        guarded.clear()
        for (const one of names)
          views.partner(one).then(
            (view) => hub.send('partner', view),
            () => undefined,
          )
      }, everyMs).unref()
    guarded.add(name)
  })
  return {
    close: async () => {
      stop()
      closing.abort()
      await ended
    },
  }
}
