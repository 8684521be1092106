import { getRun } from '@ecokit/flow'
import { withRuntime } from '../open.ts'
import { openProgress } from '../output/progress.ts'
import { runTable } from '../output/run.ts'
import { duration, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'

/** Runs a pipeline to its end; 1 when a stream failed or it was cancelled. */
export const syncPipeline = (
  invocation: Invocation,
  pipeline: string,
  { full }: { readonly full: boolean },
): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const progress = openProgress(terminal)
    let planned = false
    const run = await runtime.sync(pipeline, {
      full,
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
    if (json) await terminal.out(`${JSON.stringify(run, undefined, 2)}\n`)
    else {
      await terminal.out(runTable(run, terminal))
      for (const warning of run.warnings)
        terminal.note(`${terminal.paintNote('yellow', 'warning:')} ${visible(warning)}\n`)
    }
    const took = duration(Date.parse(run.endedAt) - Date.parse(run.startedAt))
    if (run.status === 'completed') terminal.note(`${pipeline} completed in ${took}\n`)
    else
      terminal.note(
        `${terminal.paintNote('red', 'error:')} ${pipeline} ${run.status} after ${took}${run.error === undefined ? '' : `: ${visible(run.error.message)}`}. Run it again to go on from where it stopped\n`,
      )
    return run.status === 'completed' ? exits.done : exits.failed
  })
