import { fromJson, toJson } from '@ecokit/contracts'
import { listQuality, listQuarantine } from '@ecokit/flow'
import { findRun } from '../find-run.ts'
import { withRuntime } from '../open.ts'
import { qualityTable } from '../output/quality.ts'
import { table, whole } from '../output/table.ts'
import type { Invocation } from '../program.ts'
import { checkPipelineName, exits } from '../usage.ts'

export interface FindingOptions {
  readonly stream?: string
  readonly run?: string
  readonly limit: number
}

/** A record as it was; its text where it was cut off. */
const parsed = (text: string): unknown => {
  try {
    return fromJson(text)
  } catch {
    return text
  }
}

/** Lists the records that were left out, newest first. */
export const quarantine = (
  invocation: Invocation,
  pipeline: string | undefined,
  { run, ...rest }: FindingOptions,
): Promise<number> =>
  withRuntime(invocation, async (runtime) => {
    const { terminal, json } = invocation
    const id = run === undefined ? undefined : (await findRun(runtime, run)).id
    const found = await listQuarantine(runtime.store, { ...rest, pipeline, run: id })
    if (found.length === 0) checkPipelineName(runtime.ecosystem, pipeline)
    if (json) {
      const records = found.map(({ record, ...about }) => ({ ...about, record: parsed(record) }))
      await terminal.out(`${toJson(records, 2)}\n`)
      return exits.done
    }
    await terminal.out(
      table(
        [
          { title: 'AT', cell: ({ at }) => at.slice(0, 19).replace('T', ' '), least: whole, spare: true },
          { title: 'PIPELINE', cell: (one) => one.pipeline, least: 20 },
          { title: 'STREAM', cell: ({ stream }) => stream },
          { title: 'FIELD', cell: ({ field }) => field },
          { title: 'REASON', cell: ({ reason }) => reason, shade: () => 'yellow', least: 30 },
          { title: 'RECORD', cell: ({ record }) => record },
        ],
        found,
        terminal,
      ),
    )
    if (found.length === rest.limit) terminal.note(`the newest ${found.length}; --limit shows more\n`)
    return exits.done
  })

/** Lists what the quality rules said, newest first. */
export const quality = (
  invocation: Invocation,
  pipeline: string | undefined,
  { run, failed, ...rest }: FindingOptions & { readonly failed: boolean },
): Promise<number> =>
  withRuntime(invocation, async (runtime) => {
    const { terminal, json } = invocation
    const id = run === undefined ? undefined : (await findRun(runtime, run)).id
    const found = await listQuality(runtime.store, { ...rest, pipeline, run: id, failedOnly: failed })
    if (found.length === 0) checkPipelineName(runtime.ecosystem, pipeline)
    await terminal.out(json ? `${toJson(found, 2)}\n` : qualityTable(found, terminal, true))
    return exits.done
  })
