import { integrationError, type IntegrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { hasPassed } from './clock.ts'
import { describeHolder, holderOf, isGone, liveRuns } from './ids.ts'
import type { Ledger } from './ledger.ts'

const ttlMs = 30_000
const beatMs = 500

const taken = (pipeline: string, holder: string | undefined): IntegrationError =>
  integrationError('conflict', {
    what: `the pipeline ${pipeline} is being run by ${holder === undefined ? 'another process' : describeHolder(holder)}`,
    next: 'Wait for that run to end, or cancel it',
    details: {},
  })

/** The right to run one pipeline, over all processes that share the store. */
export interface PipelineLease {
  readonly holder: string
  release(): Promise<void>
  /** Keeps the lease and the run's heartbeat; aborts `run` when the lease is lost or somebody asked the run to stop. Ends with `stop`. */
  keep(
    ledger: Ledger,
    run: AbortController,
    now: () => number,
  ): {
    readonly fence: () => Promise<void>
    readonly stop: () => Promise<void>
  }
}

/** Takes the lease, also from a process that ended without giving it back; throws `conflict` naming who has it. */
export const takeLease = async (store: Store, pipeline: string, run: string): Promise<PipelineLease> => {
  const name = `pipeline/${pipeline}`
  const holder = holderOf(run)
  liveRuns.add(run)
  const release = async (): Promise<void> => {
    liveRuns.delete(run)
    await store.release(name, holder)
  }
  try {
    if (!(await store.lease(name, holder, ttlMs))) {
      const other = await store.leaseHolder(name)
      if (other !== undefined && isGone(other)) await store.release(name, other)
      if (!(await store.lease(name, holder, ttlMs))) throw taken(pipeline, await store.leaseHolder(name))
    }
  } catch (error) {
    liveRuns.delete(run)
    throw error
  }
  return {
    holder,
    release,
    keep: (ledger, controller, now) => {
      let renewedAt = now()
      const beat = async (): Promise<void> => {
        const at = now()
        if (!(await store.renew(name, holder, ttlMs))) controller.abort(taken(pipeline, await store.leaseHolder(name)))
        renewedAt = at
        if (await ledger.beat())
          controller.abort(integrationError('cancelled', { what: `the run of ${pipeline} was cancelled`, details: {} }))
      }
      let beating: Promise<void> | undefined
      const timer = setInterval(() => {
        // A store that cannot be written for a moment is no reason to end the run: the next commit decides.
        beating ??= beat()
          .catch(() => undefined)
          .finally(() => {
            beating = undefined
          })
      }, beatMs)
      timer.unref()
      return {
        fence: async () => {
          if (hasPassed(renewedAt, now(), ttlMs / 2)) await beat()
          controller.signal.throwIfAborted()
        },
        stop: async () => {
          clearInterval(timer)
          await beating
        },
      }
    },
  }
}
