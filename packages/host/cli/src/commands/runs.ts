import { getRun, listRuns } from '@ecokit/flow'
import type { Run } from '@ecokit/flow'
import { withRuntime } from '../open.ts'
import { runShade } from '../output/health.ts'
import { runTable } from '../output/run.ts'
import { table } from '../output/table.ts'
import { count, duration, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

const total = (run: Run, field: 'read' | 'written' | 'quarantined'): number =>
  run.streams.reduce((sum, stream) => sum + stream[field], 0)
const tookOf = ({ startedAt, endedAt }: Run): number =>
  (endedAt === null ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt)

/** Lists the last runs, newest first. */
export const runs = (
  invocation: Invocation,
  options: { readonly pipeline?: string; readonly limit: number },
): Promise<number> =>
  withRuntime(invocation, async ({ store, recover }) => {
    const { terminal, json } = invocation
    await recover()
    const found = await listRuns(store, options)
    if (json) await terminal.out(`${JSON.stringify(found, undefined, 2)}\n`)
    else
      await terminal.out(
        table(
          [
            { title: 'RUN', cell: ({ id }) => id },
            { title: 'PIPELINE', cell: ({ pipeline }) => pipeline },
            { title: 'STATUS', cell: ({ status }) => status, shade: ({ status }) => runShade[status] },
            { title: 'STARTED', cell: ({ startedAt }) => startedAt.slice(0, 19).replace('T', ' ') },
            { title: 'TOOK', cell: (run) => duration(tookOf(run)), right: true },
            { title: 'READ', cell: (run) => count(total(run, 'read')), right: true },
            { title: 'WRITTEN', cell: (run) => count(total(run, 'written')), right: true },
            { title: 'QUARANTINED', cell: (run) => count(total(run, 'quarantined')), right: true },
          ],
          found,
          terminal,
        ),
      )
    return exits.done
  })

/** Shows one run with its streams. */
export const showRun = (invocation: Invocation, id: string): Promise<number> =>
  withRuntime(invocation, async ({ store, recover }) => {
    const { terminal, json } = invocation
    await recover()
    const matching = (await listRuns(store, { limit: 500 })).filter((run) => id === 'latest' || run.id.startsWith(id))
    const [found, second] = matching
    const run = (await getRun(store, id)) ?? found
    if (run === undefined || id === '') throw new UsageError(`there is no run ${id}. List them with \`ecokit runs\``)
    if (second !== undefined && id !== 'latest' && run.id !== id)
      throw new UsageError(`${matching.length} runs begin with ${id}. Write more of the id`)
    if (json) {
      await terminal.out(`${JSON.stringify(run, undefined, 2)}\n`)
      return exits.done
    }
    const { paint } = terminal
    await terminal.out(
      [
        `${paint('bold', run.pipeline)}  ${paint(runShade[run.status] ?? 'dim', run.status)}  ${run.source} → ${run.sink}\n`,
        `${run.id}  ${run.trigger}${run.full ? ', everything' : ''}  ${run.startedAt}  ${duration(tookOf(run))}\n`,
        ...(run.error === undefined ? [] : [`${paint('red', run.error.code)}: ${visible(run.error.message)}\n`]),
        ...run.warnings.map((warning) => `${paint('yellow', 'warning')}: ${visible(warning)}\n`),
        `\n${runTable(run, terminal)}`,
      ].join(''),
    )
    return exits.done
  })
