import { toJson } from '@ecokit/contracts'
import { schedulesOf } from '@ecokit/server/ecosystem'
import type { ScheduleView } from '@ecokit/server/ecosystem'
import { withRuntime } from '../open.ts'
import { runShade } from '../output/health.ts'
import { table, whole } from '../output/table.ts'
import { count, duration } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'

const whenOf = ({ schedule, everyMs }: ScheduleView): string =>
  schedule === null ? `every ${duration(everyMs ?? 0)}` : `${schedule.cron} (${schedule.timezone})`
const minute = (time: string | null | undefined): string =>
  time === null || time === undefined ? '' : time.slice(0, 19).replace('T', ' ')

/** Lists the pipelines that run by themselves: when next, when last, and what was missed. */
export const schedule = (invocation: Invocation): Promise<number> =>
  withRuntime(invocation, async ({ store, ecosystem, recover }) => {
    const { terminal, json } = invocation
    await recover()
    const found = await schedulesOf(store, ecosystem.pipelines)
    if (json) await terminal.out(`${toJson(found, 2)}\n`)
    else
      await terminal.out(
        table(
          [
            { title: 'PIPELINE', cell: ({ pipeline }) => pipeline, least: 20 },
            { title: 'WHEN', cell: whenOf, least: 16 },
            { title: 'NEXT (UTC)', cell: ({ nextAt }) => minute(nextAt), least: whole },
            {
              title: 'LAST RUN',
              cell: ({ lastRun }) => minute(lastRun?.startedAt) || 'never',
              least: whole,
              spare: true,
            },
            {
              title: 'STATUS',
              cell: ({ lastRun }) => lastRun?.status,
              least: whole,
              shade: ({ lastRun }) => (lastRun === null ? undefined : runShade[lastRun.status]),
            },
            {
              title: 'MISSED',
              cell: ({ missed }) => count(missed),
              right: true,
              shade: ({ missed }) => (missed > 0 ? 'yellow' : undefined),
            },
          ],
          found,
          terminal,
        ),
      )
    if (!json && found.length > 0) terminal.note('`ecokit up` runs them\n')
    return exits.done
  })
