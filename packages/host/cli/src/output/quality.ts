import type { QualityResult } from '@ecokit/flow'
import { table, whole } from './table.ts'
import type { TableOptions } from './table.ts'
import { count } from './text.ts'

const verdict = ({ passed, severity }: QualityResult): string =>
  passed ? 'passed' : severity === 'warn' ? 'warning' : 'failed'

/** What quality rules said, a line for each. */
export const qualityTable = (results: readonly QualityResult[], options: TableOptions, more = false): string =>
  table(
    [
      ...(more
        ? [
            {
              title: 'AT',
              cell: ({ at }: QualityResult) => at.slice(0, 19).replace('T', ' '),
              least: whole,
              spare: true,
            },
            { title: 'PIPELINE', cell: ({ pipeline }: QualityResult) => pipeline, least: 20 },
          ]
        : []),
      { title: 'STREAM', cell: ({ stream }) => stream, least: 12 },
      { title: 'RULE', cell: ({ name }) => name, least: 20 },
      {
        title: 'RESULT',
        cell: verdict,
        least: whole,
        shade: (result) => (result.passed ? 'green' : result.severity === 'warn' ? 'yellow' : 'red'),
      },
      { title: 'IF BROKEN', cell: ({ severity }) => severity, least: whole, spare: true },
      { title: 'CHECKED', cell: ({ checked }) => count(checked), right: true, spare: true },
      { title: 'FAILED', cell: ({ failed }) => count(failed), right: true },
      { title: 'MESSAGE', cell: ({ message }) => message, least: 24 },
    ],
    results,
    options,
  )
