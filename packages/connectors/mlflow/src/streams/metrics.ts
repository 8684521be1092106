import { digest, inOrder, onward, readCheckpoint, resumePage, shrinkingPages, timeBound } from '@ecokit/connect/reading'
import { toJson, type CallOptions, type Reader } from '@ecokit/contracts'
import type { MlflowMetric, MlflowRest, MlflowRun, Page } from '@ecokit/protocol-mlflow-rest'
import type { z } from 'zod'
import { metricRecord, type metricRow } from '../records.ts'
import { isOpen, runState, type RunState } from './run-state.ts'
import { walkRuns, type Visit } from './walk.ts'

type Row = z.input<typeof metricRow>

const runsPerPage = 100
const rowsPerPage = 10_000
const rowsPerBatch = 10_000
const atOnce = 8

/** The history of one metric of the run at this place among the visits. */
interface Task {
  readonly place: number
  readonly run: MlflowRun
  readonly key: string
  /** The page to begin with. */
  readonly token: string | undefined
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/** One task for each metric of each changed run; a run without metrics costs no request. A read that goes on in the middle of a run begins where it left off. */
const tasksOf = (runs: readonly Visit[], resume: RunState['history']): readonly Task[] =>
  runs.flatMap(({ run, changed }, place) => {
    if (!changed) return []
    const keys = [...new Set(run.metrics.map(({ key }) => key))].sort(compare)
    const same = resume?.run === run.id && (isOpen(run) || resume.mark === lastOf(run))
    const from = same ? resume : undefined
    return keys
      .filter((key) => from === undefined || key >= from.key)
      .map((key) => ({ place, run, key, token: key === from?.key ? from.token : undefined }))
  })

/** What tells whether a run that ended has new values. */
const lastOf = ({ status, endedAt, metrics }: MlflowRun): string => digest(toJson([status, endedAt, metrics]))

/** Every value of every metric. */
export const metricReader = (api: MlflowRest, partner: string, lagMs: number): Reader<Row> =>
  async function* (options) {
    const since = timeBound(partner, 'since', options.since)
    const until = timeBound(partner, 'until', options.until)
    const bounded = since !== undefined || until !== undefined
    const before = options.checkpoint && readCheckpoint(partner, 'metrics', runState, options.checkpoint)
    const ask = shrinkingPages(rowsPerPage)
    const pageOf = (task: Task, pageToken: string | undefined, call: CallOptions): Promise<Page<MlflowMetric>> =>
      ask((pageSize) => api.metrics.page({ runId: task.run.id, key: task.key, pageSize, pageToken }, call))
    const within = ({ timestamp }: MlflowMetric): boolean =>
      !bounded || (timestamp >= BigInt(since ?? 0) && (until === undefined || timestamp < BigInt(until)))

    let rows: Row[] = []
    const take = (task: Task, page: Page<MlflowMetric>): void => {
      for (const metric of page.items) if (within(metric)) rows.push(metricRecord(task.run.id, metric))
    }
    const handOver = (checkpoint: RunState) => {
      const records = rows
      rows = []
      return { encoding: 'records' as const, records, checkpoint }
    }

    const walk = walkRuns({
      api,
      before,
      // A run that ended before `since` has no value after it, unless one was logged to it later or with a time that had not come.
      window: bounded ? (since === undefined ? { phases: ['all'] } : { phases: ['open', 'ended'], since }) : undefined,
      lagMs: options.lagMs ?? lagMs,
      pageSize: runsPerPage,
      digestOf: lastOf,
      options,
    })
    let resume = before?.history
    for await (const { runs, after } of walk) {
      const tasks = tasksOf(runs, resume)
      if (tasks.length > 0) resume = undefined
      const firstPages = inOrder(tasks, atOnce, options.signal, async (task, signal) => ({
        task,
        page: await resumePage(task.token, (token) => pageOf(task, token, { signal })),
      }))
      let place = 0
      for await (const { task, page } of firstPages) {
        // All runs before this one are done, and those rows may go.
        if (task.place > place && rows.length >= rowsPerBatch) yield handOver(after(task.place))
        place = task.place
        take(task, page)
        const onto = onward(partner, 'metrics')
        onto(task.token)
        for (let next = onto(page.next); next !== undefined;) {
          yield handOver({
            ...after(place),
            history: { run: task.run.id, key: task.key, token: next, mark: lastOf(task.run) },
          })
          const more = await pageOf(task, next, options)
          take(task, more)
          next = onto(more.next)
        }
      }
      yield handOver(after(runs.length))
    }
  }
