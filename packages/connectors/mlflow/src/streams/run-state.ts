import type { MlflowRun } from '@ecokit/protocol-mlflow-rest'
import { z } from 'zod'

const mostRecent = 2_000
const mostOpen = 2_000

/** A run that ended not long before the newest end: its id, its end, and a digest that tells whether it has changed since. */
const recentRun = z.tuple([z.string(), z.number(), z.string()])
/** Where a pass stands within the runs of some experiments. */
const phase = z.enum(['all', 'open', 'ended', 'missing'])
export type Phase = z.output<typeof phase>

/** What a pass has learnt so far. */
const learnt = z.object({
  /** The newest end among the runs seen, in epoch milliseconds. */
  ended: z.number().optional(),
  recent: z.array(recentRun),
  /** Unfinished runs. */
  open: z.array(z.string()),
})
export type Learnt = z.output<typeof learnt>

const position = z.object({
  phase,
  /** Experiments up to this id are done in this phase. */
  after: z.string().optional(),
  /** Runs are asked for from this value of the phase's time on. */
  at: z.number().optional(),
  /** The page among those from `at` on; absent: the first. */
  token: z.string().optional(),
  /** Runs that a page from here on would bring again. */
  seen: z.array(z.string()),
})
export type Position = z.output<typeof position>

export const runState = z.object({
  runs: z.literal(1),
  ...learnt.shape,
  /** A pass that is under way. */
  pass: z
    .object({
      kind: z.enum(['full', 'changes', 'window']),
      startedAt: z.number(),
      position,
      learnt,
      /** Runs that were unfinished when this pass began and have not been seen again yet. */
      missing: z.array(z.string()),
    })
    .optional(),
  /** In the middle of one run's histories: the metric, and the page to ask for next. */
  history: z
    .object({
      run: z.string(),
      key: z.string(),
      token: z.string().optional(),
      /** What the run looked like then: one that went on and ended since must be read from its first metric. */
      mark: z.string().optional(),
    })
    .optional(),
})
export type RunState = z.output<typeof runState>
export type Pass = NonNullable<RunState['pass']>

export const noRuns: RunState = { runs: 1, recent: [], open: [] }

const unfinished = new Set(['RUNNING', 'SCHEDULED'])
export const isOpen = (run: MlflowRun): boolean => unfinished.has(run.status)

/** Keeps the runs that ended within the lag before the newest end, and of those the newest few thousand: one that is forgotten is read once more. */
const prune = (recent: Learnt['recent'], from: number): Learnt['recent'] => {
  const kept = recent.filter(([, ended]) => ended >= from)
  return kept.length <= mostRecent ? kept : kept.toSorted((one, other) => other[1] - one[1]).slice(0, mostRecent)
}

/** What is known after some more runs were handed on. */
export const learn = (
  before: Learnt,
  runs: readonly MlflowRun[],
  digestOf: (run: MlflowRun) => string,
  lagMs: number,
): Learnt => {
  const open = [...before.open]
  const known = new Set(open)
  const recent = [...before.recent]
  let { ended } = before
  for (const run of runs)
    if (isOpen(run)) {
      if (!known.has(run.id)) open.push(run.id)
    } else if (run.endedAt !== undefined) {
      recent.push([run.id, run.endedAt, digestOf(run)])
      ended = Math.max(ended ?? run.endedAt, run.endedAt)
    }
  return {
    ...(ended === undefined ? {} : { ended }),
    recent: recent.length <= 2 * mostRecent ? recent : prune(recent, (ended ?? 0) - lagMs),
    open: open.slice(-mostOpen),
  }
}

/** The state after a pass that saw everything it had to see. A client's clock that runs ahead of ours must not hide the runs of the others. */
export const conclude = (before: RunState, pass: Pass, lagMs: number): RunState => {
  if (pass.kind === 'window') return noRuns
  const seen = pass.learnt.ended === undefined ? undefined : Math.min(pass.learnt.ended, pass.startedAt)
  const ended = Math.max(before.ended ?? -Infinity, seen ?? -Infinity)
  return {
    runs: 1,
    ...(Number.isFinite(ended) ? { ended } : {}),
    recent: prune(pass.learnt.recent, ended - lagMs),
    open: pass.learnt.open,
  }
}
