import { randomUUID } from 'node:crypto'
import { isIntegrationError } from '@ecokit/contracts'
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
  /** To be called before the first event is stored: what is there by then was left behind by others. */
  begin(): Promise<void>
  add(event: Waiting): void
  /** Resolves when nothing waits any more, or the collector has failed once more. */
  drained(): Promise<void>
  /** Ends what is under way; what waits stays in the store. Gives the reason why something was left, if it was. */
  stop(): Promise<unknown>
}

/** What waits behind an event that the collector will never take, because of what it says, need not wait for it. */
const isRefused = (error: unknown): boolean =>
  isIntegrationError(error) && ['rejected', 'too_large', 'conflict'].includes(error.code)

/** Sends events in their order, those that earlier runs left behind first; after one that fails the others wait for the next chance. */
export const openOutbox = (store: Store, send: SendEvent): Outbox => {
  const { db } = store
  const stopped = new AbortController()
  const own: Waiting[] = []
  let newestLeft: number | undefined
  let backlogSent = false
  let why: unknown
  let refusal: unknown

  /** False where the collector should be left alone for a while. */
  const attempt = async ({ id, body }: Waiting): Promise<boolean> => {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(sendMs)])
    const late = new Error('the collector did not answer in time')
    try {
      const aborted = new Promise<never>((_resolve, reject) => {
        const refuse = (): void => {
          reject(late)
        }
        signal.addEventListener('abort', refuse, { once: true })
      })
      aborted.catch(() => undefined)
      signal.throwIfAborted()
      // A sender that does not mind its signal must not hold up the others for ever.
      await Promise.race([send(JSON.parse(body) as object, { signal }), aborted])
    } catch (error) {
      if (isRefused(error)) {
        refusal = error
        return true
      }
      why = signal.aborted ? late : error
      return false
    }
    if (id !== undefined) await db.updateTable('lineage_events').set({ unsent: null }).where('id', '=', id).execute()
    return true
  }

  /** Sends what runs that have ended could not, one process at a time; false where it is not done yet. */
  const sendBacklog = async (last: number): Promise<boolean> => {
    const holder = randomUUID()
    if (!(await store.lease(backlogLease, holder, 2 * sendMs))) return true
    try {
      const rows = await db
        .selectFrom('lineage_events')
        .innerJoin('runs', 'runs.id', 'lineage_events.run_id')
        .select(['lineage_events.id as id', 'lineage_events.body as body'])
        .where('lineage_events.unsent', '=', 1)
        .where('lineage_events.id', '<=', last)
        .where('runs.status', '!=', 'running')
        .orderBy('lineage_events.id')
        .limit(backlogSize)
        .execute()
      for (const row of rows) {
        if (!(await store.renew(backlogLease, holder, 2 * sendMs))) return true
        if (!(await attempt(row))) return false
      }
      return true
    } finally {
      await store.release(backlogLease, holder)
    }
  }
  const sendAll = async (): Promise<void> => {
    // A store that cannot be read keeps nobody from sending what is new.
    if (newestLeft !== undefined) backlogSent ||= await sendBacklog(newestLeft).catch(() => true)
    else backlogSent = true
    for (let next = own[0]; backlogSent && next !== undefined && !stopped.signal.aborted; next = own[0]) {
      if (!(await attempt(next).catch(() => true))) return
      own.shift()
    }
  }
  let sending: Promise<void> | undefined
  const kick = async (): Promise<void> => {
    if (stopped.signal.aborted) return
    await (sending ??= sendAll().finally(() => {
      sending = undefined
    }))
  }
  return {
    begin: async () => {
      const newest = await db
        .selectFrom('lineage_events')
        .select('id')
        .where('unsent', '=', 1)
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst()
      newestLeft = newest?.id
    },
    add: (event) => {
      own.push(event)
      void kick()
    },
    drained: async () => {
      await sending
      if (own.length > 0 || !backlogSent) await kick()
    },
    stop: async () => {
      stopped.abort()
      await sending
      return own.length > 0 || !backlogSent ? why : refusal
    },
  }
}
