import { toJson } from '@ecokit/contracts'
import type { Health } from '@ecokit/contracts'
import { withRuntime } from '../open.ts'
import { healthShade } from '../output/health.ts'
import { table } from '../output/table.ts'
import type { TableOptions } from '../output/table.ts'
import { duration, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

/** The checks as a table; below it, uncut, why a partner is not healthy. */
const checkTable = (rows: readonly (Health & { readonly name: string })[], options: TableOptions): string => {
  const listed = table(
    [
      { title: 'PARTNER', cell: (row) => row.name },
      { title: 'STATUS', cell: (row) => row.status, shade: (row) => healthShade[row.status] },
      {
        title: 'LATENCY',
        cell: (row) => (row.latencyMs === undefined ? '' : duration(row.latencyMs)),
        right: true,
      },
      { title: 'VERSION', cell: (row) => row.version },
      { title: 'REASON', cell: (row) => row.code },
      // Only where there is something to see: a closed circuit is how it should be.
      ...(rows.some(({ circuit = 'closed' }) => circuit !== 'closed')
        ? [{ title: 'CIRCUIT', cell: (row: Health) => row.circuit, shade: () => 'yellow' as const }]
        : []),
      ...(rows.some(({ oldTls }) => oldTls === true)
        ? [{ title: 'TLS', cell: (row: Health) => (row.oldTls === true ? '1.2' : undefined) }]
        : []),
    ],
    rows,
    options,
  )
  return listed + rows.map(({ message }) => (message === undefined ? '' : `${visible(message)}\n`)).join('')
}

/** Checks the named partners, or all of them; 1 when one is not healthy, 2 when one lacks what `ecosystem.yaml` refers to. */
export const check = (invocation: Invocation, names: readonly string[]): Promise<number> =>
  withRuntime(invocation, async ({ registry, health }, signal) => {
    const { terminal, json } = invocation
    const known = (await registry.list()).map(({ name }) => name)
    const missing = names.filter((name) => !known.includes(name))
    if (missing.length > 0)
      throw new UsageError(
        `there is no partner ${missing.join(', ')}. ${known.length === 0 ? 'Add partners to the file' : `Choose from: ${known.join(', ')}`}`,
      )
    const wanted = names.length === 0 ? known : known.filter((name) => names.includes(name))
    const rows = await Promise.all(
      wanted.map(async (name): Promise<Health & { name: string }> => ({
        name,
        ...(await health.checkNow(name, { signal })),
      })),
    )
    if (json) await terminal.out(`${toJson(rows, 2)}\n`)
    else await terminal.out(checkTable(rows, terminal))
    // A variable that is not set, a secret that is missing: no partner was asked, and mending it is up to us.
    if (rows.some(({ code }) => code === 'invalid_credentials' || code === 'invalid_config')) return exits.usage
    return rows.every(({ status }) => status === 'healthy') ? exits.done : exits.failed
  })
