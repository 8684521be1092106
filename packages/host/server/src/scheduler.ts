import { toIntegrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'
import { dueRuns, openSchedule, servedUntil } from '@ecokit/flow'
import type { Schedule } from '@ecokit/flow'
import type { PipelineEntry } from '@ecokit/registry'
import type { Store } from '@ecokit/store'

/** How often the store is asked about a schedule whose time has not come: a clock may have been put forward or back. */
const askEveryMs = 10_000
/** How long a run that another process holds up waits until it is tried again. */
const heldMs = 30_000

/** Starts pipelines when their time has come. It has no timer of its own: its host calls `tick`. */
export interface Scheduler {
  /** Starts what is due and gives how many runs that were; resolves when each of them has begun or could not. */
  tick(): Promise<number>
}

export interface SchedulerOptions {
  readonly store: Store
  readonly pipelines: readonly PipelineEntry[]
  /** Runs a pipeline to its end; calls `begun` when the run has its place in the store, and throws what kept it from beginning. */
  readonly run: (pipeline: string, begun: () => void) => Promise<unknown>
  /** Told of runs that could not begin, once for each reason, and of times that were skipped. */
  readonly onError: (error: IntegrationError) => void
  /** Told how many times were left out, because `missed` says so. */
  readonly onSkipped: (pipeline: string, missed: number) => Promise<void>
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Clockwork {
  readonly entry: PipelineEntry
  readonly schedule: Schedule | undefined
  /** It is being looked at, or runs. */
  running: boolean
  /** Not asked about before this. */
  askAt: number
  said: string | undefined
}

const openClockwork = (entry: PipelineEntry): readonly Clockwork[] => {
  const { schedule, everyMs } = entry
  if (schedule === undefined && everyMs === undefined) return []
  const opened = schedule === undefined ? undefined : openSchedule(schedule)
  return [{ entry, schedule: opened, running: false, askAt: 0, said: undefined }]
}

/** Opens the scheduler over the pipelines that have an interval or a schedule. A pipeline never runs beside itself. */
export const openScheduler = (options: SchedulerOptions): Scheduler => {
  const { store, run, onError, onSkipped, now } = options
  const works = options.pipelines.flatMap(openClockwork)

  /** Whether it is to run now; an interval is first due at once. */
  const isDue = async (work: Clockwork): Promise<boolean> => {
    const { entry, schedule } = work
    const at = now()
    // A clock that was put back would make everything wait for the time that it was.
    if (at < work.askAt && work.askAt - at <= Math.max(heldMs, entry.everyMs ?? 0)) return false
    if (schedule === undefined) return true
    const { due, missed, nextAt } = await dueRuns(store, entry.name, schedule, at)
    work.askAt = Math.min(at + askEveryMs, nextAt ?? Infinity)
    if (!due && missed > 0) await onSkipped(entry.name, missed)
    return due
  }
  const start = (work: Clockwork): Promise<void> =>
    new Promise((resolve) => {
      const { entry, schedule } = work
      const startedAt = now()
      let begun = false
      const served = async () => {
        if (schedule !== undefined) await servedUntil(store, entry.name, startedAt)
      }
      run(entry.name, () => {
        begun = true
        work.said = undefined
        served().then(resolve, (thrown: unknown) => {
          onError(toIntegrationError(thrown, entry.name))
          resolve()
        })
      })
        .catch(async (thrown: unknown) => {
          const error = toIntegrationError(thrown, entry.name)
          const held = error.code === 'conflict'
          // Held by another process, or by a lease that one left behind: looked at again before a long interval is over.
          if (held) work.askAt = now() + Math.min(entry.everyMs ?? Infinity, heldMs)
          // What is wrong with the file or a secret does not mend itself within the minute: it waits for its next time.
          // A host that is being closed has not served anything.
          else if (!begun && error.code !== 'cancelled') await served()
          // Said once and not each time; that another process runs it already is no news at all.
          if (error.code === 'cancelled' || held || error.message === work.said) return
          work.said = error.message
          onError(error)
        })
        .catch((thrown: unknown) => onError(toIntegrationError(thrown, entry.name)))
        .finally(() => {
          work.running = false
          resolve()
        })
      if (entry.everyMs !== undefined) work.askAt = startedAt + entry.everyMs
    })

  return {
    tick: async () => {
      const started = await Promise.all(
        works.map(async (work) => {
          if (work.running) return 0
          // From here on: two ticks may look at the same time, and one of them starts it.
          work.running = true
          try {
            if (await isDue(work)) {
              await start(work)
              return 1
            }
          } catch (thrown) {
            const error = toIntegrationError(thrown, work.entry.name)
            if (error.message !== work.said) onError(error)
            work.said = error.message
          }
          work.running = false
          return 0
        }),
      )
      return started.filter((one) => one === 1).length
    },
  }
}
