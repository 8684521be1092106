import { toJson } from '@ecokit/contracts'
import { withRuntime } from '../open.ts'
import { healthShade } from '../output/health.ts'
import { table } from '../output/table.ts'
import { duration } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'

/** Lists the partners with what the last check of any process saw. */
export const partners = (invocation: Invocation): Promise<number> =>
  withRuntime(invocation, async ({ registry, health }) => {
    const { terminal, json } = invocation
    const states = new Map((await health.states()).map((state) => [state.partner, state]))
    const rows = (await registry.list()).map((record) => ({ ...record, health: states.get(record.name) ?? null }))
    if (json) await terminal.out(`${toJson(rows, 2)}\n`)
    else
      await terminal.out(
        table(
          [
            { title: 'PARTNER', cell: ({ name }) => name },
            { title: 'CONNECTOR', cell: ({ connector }) => connector },
            { title: 'TIER', cell: ({ tier }) => tier },
            {
              title: 'HEALTH',
              cell: (row) => row.health?.status ?? 'unknown',
              shade: (row) => healthShade[row.health?.status ?? 'unknown'],
            },
            {
              title: 'CHECKED',
              cell: (row) =>
                row.health === null ? 'never' : `${duration(Date.now() - Date.parse(row.health.checkedAt))} ago`,
            },
            { title: 'OWNER', cell: ({ owner }) => owner },
            { title: 'FROM', cell: ({ origin }) => origin },
          ],
          rows,
          terminal,
        ),
      )
    return exits.done
  })
