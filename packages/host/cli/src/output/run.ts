import type { Run } from '@ecokit/flow'
import { runShade } from './health.ts'
import { table } from './table.ts'
import type { TableOptions } from './table.ts'
import { count, duration, size, visible } from './text.ts'

/** A run's streams as a table, with what went wrong in each below it. */
export const runTable = (run: Run, options: TableOptions): string => {
  const number = (title: string, field: 'read' | 'written' | 'quarantined' | 'deleted' | 'requests') => ({
    title,
    cell: (stream: Run['streams'][number]) => count(stream[field]),
    right: true,
  })
  const rows = table(
    [
      { title: 'STREAM', cell: ({ stream }) => stream },
      { title: 'STATUS', cell: ({ status }) => status, shade: ({ status }) => runShade[status] },
      { title: 'PASS', cell: ({ mode }) => mode },
      number('READ', 'read'),
      number('WRITTEN', 'written'),
      number('QUARANTINED', 'quarantined'),
      number('DELETED', 'deleted'),
      number('REQUESTS', 'requests'),
      { title: 'SIZE', cell: ({ bytes }) => size(bytes), right: true },
      { title: 'TOOK', cell: ({ durationMs }) => duration(durationMs), right: true },
    ],
    run.streams,
    options,
  )
  const faults = run.streams.flatMap(({ stream, error }) =>
    error === undefined ? [] : [`${stream}: ${error.code}: ${visible(error.message)}\n`],
  )
  return rows + faults.join('')
}
