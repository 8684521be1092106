import type { AnyConnector } from '@ecokit/contracts'
import { openSession } from './context.ts'
import { rules as own } from './rules/index.ts'
import type { ConformanceOptions, Report, Rule, RuleResult } from './types.ts'

/** All rules that a connector is held to: the kit's own and those of the options. */
export const rulesFor = (options: Pick<ConformanceOptions, 'rules'>): readonly Rule[] => [
  ...own,
  ...(options.rules ?? []),
]

const reportOf = (connector: AnyConnector, results: readonly RuleResult[]): Report => {
  const count = (status: RuleResult['status']) => results.filter((result) => result.status === status).length
  const failed = count('failed')
  return {
    connector: connector.manifest.id,
    ok: failed === 0,
    passed: count('passed'),
    failed,
    notApplicable: count('not_applicable'),
    results,
    exposed: Object.entries(connector.manifest.auth ?? {})
      .filter(([, scheme]) => scheme.exposed === true)
      .map(([name]) => name),
  }
}

/** Proves a connector against every rule, one after the other. Never throws for what a connector does: that is in the report. */
export const testConnector = async (connector: AnyConnector, options: ConformanceOptions): Promise<Report> => {
  const session = openSession(connector, options)
  const results: RuleResult[] = []
  for (const rule of rulesFor(options)) results.push(await session.run(rule))
  return reportOf(connector, results)
}

const marks = { passed: 'ok', failed: 'FAILED', not_applicable: 'n/a' } as const
/** The report as lines for people. */
export const formatReport = (report: Report): string =>
  [
    ...report.results.map(
      ({ rule, title, status, message }) =>
        `${marks[status].padEnd(6)} ${rule}: ${title}${message === undefined ? '' : ` (${message})`}`,
    ),
    ...(report.exposed.length > 0 ? [`Receives secrets itself through: ${report.exposed.join(', ')}`] : []),
    `${report.connector}: ${report.passed} passed, ${report.failed} failed, ${report.notApplicable} not applicable`,
  ].join('\n')

/** What the adapter needs of a test runner; vitest's `test` and node:test's `test` both fit. */
export type DefineTest = (title: string, run: () => Promise<void>) => unknown

/** Defines one test for each rule in the runner of your choice; `options` may be a function where a server must be started first. */
export const eachRule = (
  test: DefineTest,
  connector: AnyConnector,
  options: ConformanceOptions | (() => Promise<ConformanceOptions>),
  more: readonly Rule[] = [],
): void => {
  let session: Promise<ReturnType<typeof openSession>> | undefined
  const open = async () => openSession(connector, typeof options === 'function' ? await options() : options)
  const rules = [...rulesFor(typeof options === 'function' ? {} : options), ...more]
  for (const rule of rules)
    test(`${rule.id}: ${rule.title}`, async () => {
      session ??= open()
      const result = await (await session).run(rule)
      if (result.status === 'failed') throw new Error(result.message)
    })
}
