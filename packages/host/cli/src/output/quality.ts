import type { QualityResult } from '@ecokit/flow'
import { table } from './table.ts'
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
            { title: 'AT', cell: ({ at }: QualityResult) => at.slice(0, 19).replace('T', ' ') },
            { title: 'PIPELINE', cell: ({ pipeline }: QualityResult) => pipeline },
          ]
        : []),
      { title: 'STREAM', cell: ({ stream }) => stream },
      { title: 'RULE', cell: ({ name }) => name },
      {
        title: 'RESULT',
        cell: verdict,
        shade: (result) => (result.passed ? 'green' : result.severity === 'warn' ? 'yellow' : 'red'),
      },
      { title: 'IF BROKEN', cell: ({ severity }) => severity },
      { title: 'CHECKED', cell: ({ checked }) => count(checked), right: true },
      { title: 'FAILED', cell: ({ failed }) => count(failed), right: true },
      { title: 'MESSAGE', cell: ({ message }) => message },
    ],
    results,
    options,
  )
