import { randomUUID } from 'node:crypto'
import type { Store } from '@ecokit/store'

/** Sends one event to a collector; what it throws, or that it takes too long, leaves the event for the next run. */
export type SendEvent = (event: object, options: { readonly signal: AbortSignal }) => Promise<void>

/** How long one event may take. */
const sendMs = 10_000
/** How many events of earlier runs are sent again by one run. */
const backlogSize = 1_000
const backlogLease = 'lineage/unsent'

interface Waiting {
  /** Its row in the store; undefined where it could not be stored. */
  readonly id: number | undefined
  readonly body: string
}

/** Events that a collector has not taken yet. */
export interface Outbox {
  add(event: Waiting): void
  /** Resolves when nothing waits any more, or the collector has refused once more. */
  drained(): Promise<void>
  /** Ends what is under way; what waits stays in the store. */
  stop(): Promise<void>
}

/** Sends events in their order, those that earlier runs left behind first; after one that fails the others wait for the next chance. `failed` is told why. */
export const openOutbox = (store: Store, send: SendEvent, failed: (error: unknown) => void): Outbox => {
  const { db } = store
  const stopped = new AbortController()
  const holder = randomUUID()
  const own: Waiting[] = []

  const attempt = async ({ id, body }: Waiting): Promise<boolean> => {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(sendMs)])
    try {
      const aborted = new Promise<never>((_resolve, reject) => {
        const refuse = (): void => {
          reject(new Error('the collector did not answer in time'))
        }
        signal.addEventListener('abort', refuse, { once: true })
      })
      aborted.catch(() => undefined)
      signal.throwIfAborted()
      // A sender that does not mind its signal must not hold up the others for ever.
      await Promise.race([send(JSON.parse(body) as object, { signal }), aborted])
      if (id !== undefined) await db.updateTable('lineage_events').set({ unsent: null }).where('id', '=', id).execute()
      return true
    } catch (error) {
      failed(stopped.signal.aborted ? new Error('the collector did not answer in time') : error)
      return false
    }
  }

  /** Sends what runs that have ended could not; one process at a time does that. */
  const sendBacklog = async (): Promise<boolean> => {
    if (!(await store.lease(backlogLease, holder, 2 * sendMs))) return true
    try {
      const rows = await db
        .selectFrom('lineage_events')
        .innerJoin('runs', 'runs.id', 'lineage_events.run_id')
        .select(['lineage_events.id as id', 'lineage_events.body as body'])
        .where('lineage_events.unsent', '=', 1)
        .where('runs.status', '!=', 'running')
        .orderBy('lineage_events.id')
        .limit(backlogSize)
        .execute()
      const mine = new Set(own.map(({ id }) => id))
      for (const row of rows) {
        if (mine.has(row.id)) continue
        if (stopped.signal.aborted || !(await store.renew(backlogLease, holder, 2 * sendMs))) return true
        if (!(await attempt(row))) return false
      }
      return true
    } finally {
      await store.release(backlogLease, holder)
    }
  }

  let backlogSent = false
  const sendAll = async (): Promise<void> => {
    try {
      backlogSent ||= await sendBacklog()
      if (!backlogSent) return
    } catch (error) {
      failed(error)
      return
    }
    for (let next = own[0]; next !== undefined && !stopped.signal.aborted; next = own[0]) {
      if (!(await attempt(next))) return
      own.shift()
    }
  }
  let sending: Promise<void> | undefined
  const kick = (): Promise<void> =>
    (sending ??= sendAll().finally(() => {
      sending = undefined
    }))
  return {
    add: (event) => {
      own.push(event)
      void kick()
    },
    drained: async () => {
      await sending
      if (own.length > 0) await kick()
    },
    stop: async () => {
      stopped.abort()
      await sending
    },
  }
}
