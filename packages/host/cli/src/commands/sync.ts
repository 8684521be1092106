import { getRun } from '@ecokit/flow'
import type { RunResult } from '@ecokit/flow'
import type { EcosystemRuntime, SyncRequest } from '@ecokit/server/ecosystem'
import { errorLine, exitOf } from '../explain.ts'
import { withRuntime } from '../open.ts'
import { openProgress } from '../output/progress.ts'
import { driftLines, runTable } from '../output/run.ts'
import { duration, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

type Wanted = Pick<SyncRequest, 'full' | 'streams' | 'backfill'>

/** Runs one pipeline to its end and says how it ended; what went wrong before it began is thrown. */
const runOne = async (
  invocation: Invocation,
  runtime: EcosystemRuntime,
  pipeline: string,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<RunResult> => {
  const { terminal, json } = invocation
  const progress = openProgress(terminal)
  let planned = false
  const run = await runtime.sync(pipeline, {
    ...wanted,
    signal,
    onProgress: (step) => {
      progress.show(step)
      if (planned) return
      planned = true
      // How many streams there are stands in the store; without it the bar is only less telling.
      void getRun(runtime.store, step.run).then(
        (begun) => progress.plan(begun?.streams.length ?? 0),
        () => undefined,
      )
    },
  })
  progress.end()
  if (!json) {
    await terminal.out(runTable(run, terminal) + driftLines(run, terminal))
    for (const warning of run.warnings)
      terminal.note(`${terminal.paintNote('yellow', 'warning:')} ${visible(warning)}\n`)
  }
  const took = duration(Date.parse(run.endedAt) - Date.parse(run.startedAt))
  // What a stream failed of stands below the table already.
  const told = run.streams.some(({ error }) => error?.message === run.error?.message)
  const why = run.error === undefined || (told && !json) ? '' : `: ${visible(run.error.message).replace(/[.?!]$/, '')}`
  if (run.status === 'completed') terminal.note(`${pipeline} completed in ${took}\n`)
  else
    terminal.note(
      `${terminal.paintNote('red', 'error:')} ${pipeline} ${run.status} after ${took}${why}. Run it again to go on from where it stopped\n`,
    )
  return run
}

/** Runs a pipeline to its end, or all of the file one after the other; 1 when a stream failed or it was cancelled. */
export const syncPipeline = (
  invocation: Invocation,
  pipeline: string | undefined,
  { full, stream }: { readonly full: boolean; readonly stream?: readonly string[] },
): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const names = runtime.ecosystem.pipelines.map(({ name }) => name)
    if (pipeline === undefined && names.length === 0)
      throw new UsageError(`${runtime.ecosystem.filename} has no pipelines. Add one below \`pipelines:\``)
    if (pipeline === undefined && stream !== undefined && names.length > 1)
      throw new UsageError(`--stream belongs to one pipeline. Choose from: ${names.join(', ')}`)
    const wanted = { full, streams: stream }
    if (pipeline !== undefined) {
      const run = await runOne(invocation, runtime, pipeline, wanted, signal)
      if (json) await terminal.out(`${JSON.stringify(run, undefined, 2)}\n`)
      return run.status === 'completed' ? exits.done : exits.failed
    }
    const runs: RunResult[] = []
    const codes: number[] = []
    for (const name of names) {
      if (signal.aborted) break
      try {
        const run = await runOne(invocation, runtime, name, wanted, signal)
        runs.push(run)
        codes.push(run.status === 'completed' ? exits.done : exits.failed)
      } catch (thrown) {
        // One that cannot begin keeps no other from running.
        terminal.note(errorLine(terminal, thrown))
        codes.push(exitOf(thrown))
      }
    }
    if (json) await terminal.out(`${JSON.stringify(runs, undefined, 2)}\n`)
    return codes.length < names.length ? exits.failed : Math.max(...codes)
  })

export interface BackfillOptions {
  readonly since?: string
  readonly until?: string
  readonly stream?: readonly string[]
}

/** Reads a window of the cursor again; 1 when a stream failed or it was cancelled. */
export const backfill = (
  invocation: Invocation,
  pipeline: string,
  { since, until, stream }: BackfillOptions,
): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    if (since === undefined && until === undefined)
      throw new UsageError('a backfill needs a window. Add --since, --until or both, such as --since 2026-01-01')
    const wanted = { backfill: { since, until }, streams: stream }
    const run = await runOne(invocation, runtime, pipeline, wanted, signal)
    if (invocation.json) await invocation.terminal.out(`${JSON.stringify(run, undefined, 2)}\n`)
    return run.status === 'completed' ? exits.done : exits.failed
  })
