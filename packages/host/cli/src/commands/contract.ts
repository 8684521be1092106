import { toJson } from '@ecokit/contracts'
import { listContracts } from '@ecokit/flow'
import type { StreamContract } from '@ecokit/flow'
import { withRuntime } from '../open.ts'
import { changeWords } from '../output/run.ts'
import { table, whole } from '../output/table.ts'
import type { Invocation } from '../program.ts'
import { checkPipelineName, exits } from '../usage.ts'

const columnsOf = ({ schema }: StreamContract): number => {
  const { properties } = schema
  return typeof properties === 'object' && properties !== null ? Object.keys(properties).length : 0
}

/** Lists what pipelines have agreed to hold for each stream; 1 when one waits because its schema has changed. */
export const contract = (invocation: Invocation, pipeline: string | undefined): Promise<number> =>
  withRuntime(invocation, async ({ store, ecosystem }) => {
    const { terminal, json } = invocation
    const found = await listContracts(store, { pipeline })
    if (found.length === 0) checkPipelineName(ecosystem, pipeline)
    const paused = found.filter((one) => one.paused !== undefined)
    if (json)
      await terminal.out(
        `${toJson(
          found.map((one) => ({ ...one, paused: one.paused ?? null })),
          2,
        )}\n`,
      )
    else
      await terminal.out(
        table(
          [
            { title: 'PIPELINE', cell: (one) => one.pipeline, least: 20 },
            { title: 'STREAM', cell: ({ stream }) => stream, least: 20 },
            { title: 'VERSION', cell: ({ version }) => version, right: true },
            { title: 'COLUMNS', cell: columnsOf, right: true },
            { title: 'KEY', cell: ({ primaryKey }) => primaryKey.join(', '), least: 12, spare: true },
            { title: 'CURSOR', cell: ({ cursor }) => cursor, spare: true },
            {
              title: 'CHANGED',
              cell: ({ updatedAt }) => updatedAt.slice(0, 19).replace('T', ' '),
              least: whole,
              spare: true,
            },
            {
              title: 'WAITS BECAUSE',
              cell: (one) => one.paused?.map(changeWords).join('; '),
              shade: () => 'yellow',
              least: 20,
            },
          ],
          found,
          terminal,
        ),
      )
    for (const { pipeline: name, stream } of json ? [] : paused)
      terminal.note(`${name}/${stream} waits; let it go on with \`ecokit contract accept ${name} ${stream}\`\n`)
    return paused.length === 0 ? exits.done : exits.failed
  })

/** Lets streams go on that wait because their schema has changed. */
export const accept = (invocation: Invocation, pipeline: string, stream: string | undefined): Promise<number> =>
  withRuntime(invocation, async (runtime) => {
    const { terminal, json } = invocation
    const accepted = await runtime.accept(pipeline, stream)
    if (json) await terminal.out(`${JSON.stringify({ accepted })}\n`)
    else
      await terminal.out(
        accepted === 0
          ? `nothing of ${pipeline} was waiting\n`
          : `${accepted} ${accepted === 1 ? 'stream goes' : 'streams go'} on with the next run of ${pipeline}\n`,
      )
    return exits.done
  })
