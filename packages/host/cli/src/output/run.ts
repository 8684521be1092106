import type { Run } from '@ecokit/flow'
import { runShade } from './health.ts'
import { table, whole } from './table.ts'
import type { TableOptions } from './table.ts'
import { count, duration, size, visible } from './text.ts'

const rowsPerSecond = ({ read, durationMs }: Run['streams'][number]): string =>
  read === 0 || durationMs === 0 ? '' : count(Math.round((read * 1000) / durationMs))

/** One change of a schema, as a sentence without its end. */
export const changeWords = ({ kind, field, before, after }: Run['streams'][number]['drift'][number]): string => {
  const from = before === undefined ? '' : ` from ${before}`
  const to = after === undefined ? '' : ` to ${after}`
  switch (kind) {
    case 'table_added':
      return 'the stream is new'
    case 'column_added':
      return `column ${field} is new${after === undefined ? '' : ` (${after})`}`
    case 'column_removed':
      return `column ${field} is gone`
    case 'type_changed':
      return `column ${field} changed${from}${to}`
    case 'key_lost':
      return `the primary key changed${from}${to}`
    case 'cursor_lost':
      return `the cursor changed${from}${to}`
  }
}

/** What has changed in the schema of each stream, a line for each change. */
export const driftLines = ({ streams }: Run, { paint }: TableOptions): string =>
  streams
    .flatMap(({ stream, drift }) =>
      drift.map((change) => `${paint('yellow', 'drift')}: ${visible(`${stream}: ${changeWords(change)}`)}\n`),
    )
    .join('')

/** A run's streams as a table, with what went wrong in each below it. */
export const runTable = (run: Run, options: TableOptions): string => {
  const number = (
    title: string,
    field: 'read' | 'written' | 'quarantined' | 'deleted' | 'requests',
    spare = false,
  ) => ({
    title,
    cell: (stream: Run['streams'][number]) => count(stream[field]),
    right: true,
    spare,
  })
  const rows = table(
    [
      { title: 'STREAM', cell: ({ stream }) => stream, least: 20 },
      { title: 'STATUS', cell: ({ status }) => status, shade: ({ status }) => runShade[status], least: whole },
      { title: 'PASS', cell: ({ mode }) => mode, least: whole },
      number('READ', 'read'),
      number('WRITTEN', 'written'),
      number('QUARANTINED', 'quarantined'),
      number('DELETED', 'deleted', true),
      number('REQUESTS', 'requests', true),
      { title: 'SIZE', cell: ({ bytes }) => size(bytes), right: true, spare: true },
      { title: 'TOOK', cell: ({ durationMs }) => duration(durationMs), right: true },
      { title: 'ROWS/S', cell: rowsPerSecond, right: true, spare: true },
    ],
    run.streams,
    options,
  )
  const faults = run.streams.flatMap(({ stream, error }) =>
    error === undefined ? [] : [`${stream}: ${error.code}: ${visible(error.message)}\n`],
  )
  return rows + faults.join('')
}
