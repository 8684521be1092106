import { toJson } from '@ecokit/contracts'
import { listQuality, listRuns, runLineage } from '@ecokit/flow'
import type { LineageEvent, RunSummary } from '@ecokit/flow'
import { findRun } from '../find-run.ts'
import { withRuntime } from '../open.ts'
import { runShade } from '../output/health.ts'
import { qualityTable } from '../output/quality.ts'
import { driftLines, runTable } from '../output/run.ts'
import { table, whole } from '../output/table.ts'
import { count, duration, size, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { checkPipelineName, exits } from '../usage.ts'

const tookOf = ({ startedAt, endedAt }: RunSummary): number =>
  (endedAt === null ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt)

/** Of a run's id, which begins with its time in milliseconds: enough for `ecokit run`. */
const shortId = 13

/** Lists the last runs, newest first. */
export const runs = (
  invocation: Invocation,
  pipeline: string | undefined,
  options: { readonly limit: number },
): Promise<number> =>
  withRuntime(invocation, async ({ store, recover, ecosystem }) => {
    const { terminal, json } = invocation
    await recover()
    const found = await listRuns(store, { pipeline, limit: options.limit })
    if (found.length === 0) checkPipelineName(ecosystem, pipeline)
    if (json) await terminal.out(`${toJson(found, 2)}\n`)
    else
      await terminal.out(
        table(
          [
            {
              title: 'RUN',
              cell: ({ id }) => (terminal.columns === undefined ? id : id.slice(0, shortId)),
              least: whole,
            },
            { title: 'PIPELINE', cell: (run) => run.pipeline, least: 20 },
            { title: 'STATUS', cell: ({ status }) => status, shade: ({ status }) => runShade[status], least: whole },
            { title: 'STARTED', cell: ({ startedAt }) => startedAt.slice(0, 19).replace('T', ' '), least: whole },
            { title: 'TOOK', cell: (run) => duration(tookOf(run)), right: true },
            { title: 'READ', cell: ({ totals }) => count(totals.read), right: true },
            { title: 'WRITTEN', cell: ({ totals }) => count(totals.written), right: true },
            { title: 'QUARANTINED', cell: ({ totals }) => count(totals.quarantined), right: true },
            { title: 'SIZE', cell: ({ totals }) => size(totals.bytes), right: true },
          ],
          found,
          terminal,
        ),
      )
    return exits.done
  })

/** What a run has read and written, as lineage calls it. */
const datasetsOf = (events: readonly LineageEvent[]) => {
  const of = (side: 'inputs' | 'outputs') => {
    const found = events.flatMap((event) => event[side].map(({ namespace, name }) => ({ namespace, name })))
    return [...new Map(found.map((one) => [`${one.namespace} ${one.name}`, one])).values()]
  }
  return { inputs: of('inputs'), outputs: of('outputs') }
}

const windowOf = ({ backfill }: RunSummary): string =>
  backfill === undefined ? '' : `, backfill ${backfill.since ?? '…'} to ${backfill.until ?? '…'}`

/** Shows one run: its streams, what changed, what the quality rules said, and its datasets. */
export const showRun = (invocation: Invocation, id: string): Promise<number> =>
  withRuntime(invocation, async (runtime) => {
    const { terminal, json } = invocation
    await runtime.recover()
    const run = await findRun(runtime, id)
    const quality = await listQuality(runtime.store, { run: run.id, limit: 1000 })
    const { inputs, outputs } = datasetsOf(await runLineage(runtime.store, run.id))
    if (json) {
      await terminal.out(`${toJson({ ...run, quality, inputs, outputs }, 2)}\n`)
      return exits.done
    }
    const { paint } = terminal
    const aside = run.totals.quarantined
    const dataset = (side: string) => (one: { namespace: string; name: string }) =>
      `${paint('dim', side)} ${visible(`${one.namespace}  ${one.name}`)}\n`
    await terminal.out(
      [
        `${paint('bold', run.pipeline)}  ${paint(runShade[run.status] ?? 'dim', run.status)}  ${run.source} → ${run.sink}\n`,
        `${run.id}  ${run.trigger}${run.full ? ', everything' : ''}${visible(windowOf(run))}  ${run.startedAt}  ${duration(tookOf(run))}\n`,
        ...(run.error === undefined ? [] : [`${paint('red', run.error.code)}: ${visible(run.error.message)}\n`]),
        ...run.warnings.map((warning) => `${paint('yellow', 'warning')}: ${visible(warning)}\n`),
        `\n${runTable(run, terminal)}`,
        driftLines(run, terminal),
        ...(aside === 0 ? [] : [`${count(aside)} records were put aside: \`ecokit quarantine --run ${run.id}\`\n`]),
        ...(quality.length === 0 ? [] : [`\n${qualityTable(quality, terminal)}`]),
        ...(inputs.length + outputs.length === 0 ? [] : ['\n']),
        ...inputs.map(dataset('read   ')),
        ...outputs.map(dataset('written')),
      ].join(''),
    )
    return exits.done
  })
