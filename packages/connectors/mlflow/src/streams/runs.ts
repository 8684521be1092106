import { batches, digest, readCheckpoint, timeBound } from '@ecokit/connect/reading'
import { toJson, type Reader } from '@ecokit/contracts'
import type { MlflowRest, MlflowRun } from '@ecokit/protocol-mlflow-rest'
import type { z } from 'zod'
import { runRecord, type runRow } from '../records.ts'
import { runState } from './run-state.ts'
import { walkRuns } from './walk.ts'

const pageSize = 500

/** Runs with their params, tags and last metric values. */
export const runReader = (api: MlflowRest, partner: string, lagMs: number): Reader<z.input<typeof runRow>> =>
  async function* (options) {
    const texts = new WeakMap<MlflowRun, string>()
    const textOf = (run: MlflowRun): string => {
      const text = texts.get(run) ?? toJson(runRecord(run))
      texts.set(run, text)
      return text
    }
    const since = timeBound(partner, 'since', options.since)
    const until = timeBound(partner, 'until', options.until)
    const unbounded = since === undefined && until === undefined
    const visits = walkRuns({
      api,
      before: options.checkpoint && readCheckpoint(partner, 'runs', runState, options.checkpoint),
      window: unbounded
        ? undefined
        : {
            // What has not ended yet ends after any `since`, and before no `until`.
            phases: until === undefined ? ['open', 'ended'] : ['ended'],
            ...(since === undefined ? {} : { since }),
            ...(until === undefined ? {} : { until }),
          },
      lagMs: options.lagMs ?? lagMs,
      pageSize,
      digestOf: (run) => digest(textOf(run)),
      options,
    })
    for await (const { runs, after, gone } of visits) {
      const rows = runs
        .filter(({ changed }) => changed)
        .map(({ run }) => ({ row: runRecord(run), size: textOf(run).length }))
      const deleted = gone.map((id) => ({ run_id: id }))
      yield* batches(rows, { checkpoint: after(runs.length), ...(deleted.length === 0 ? {} : { deleted }) })
    }
  }
