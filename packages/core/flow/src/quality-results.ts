import type { Severity } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { isRowKind } from './quality-values.ts'
import type { PassMode } from './types.ts'

/** What a rule said about a stream in one run. */
export interface QualityResult {
  readonly run: string
  readonly pipeline: string
  readonly stream: string
  readonly name: string
  /** Its kind: `not_null`, `unique`, … */
  readonly rule: string
  /** Its columns, with commas between; empty for the table as a whole. */
  readonly field: string
  readonly severity: Severity
  readonly passed: boolean
  /** Records that it was held against; 1 where it is about a number or a query. */
  readonly checked: number
  readonly failed: number
  /** What it found, with the first examples. */
  readonly message: string
  /** ISO 8601. */
  readonly at: string
}
/** A result before it has its place in the store. */
export type RuleResult = Omit<QualityResult, 'run' | 'pipeline' | 'stream' | 'at'>

/** What a rule found without the values that it was found in: for errors and lineage, which leave the house. */
export const summaryOf = ({
  rule,
  checked,
  failed,
  message,
}: Omit<RuleResult, 'name' | 'field' | 'severity' | 'passed'>): string => {
  if (rule === 'row_count' || rule === 'freshness' || (checked === 0 && failed > 0)) return message
  return rule === 'sql' ? `${failed} faults` : `${failed} of ${checked} records`
}

/** What the rules found that stopped nothing and put nothing aside, in sentences. */
export const warningsOf = (stream: string, results: readonly RuleResult[]): readonly string[] =>
  results
    .filter(
      ({ passed, severity, rule }) =>
        !passed && (severity === 'warn' || (severity === 'quarantine' && !isRowKind(rule))),
    )
    .map(({ name, rule, failed, checked, message }) =>
      isRowKind(rule)
        ? `${stream}: ${name}: broken by ${failed} of ${checked} records, such as ${message}`
        : `${stream}: ${name}: ${message}`,
    )

const rowsAtOnce = 500

/** Stores what the rules of a stream said in a run. */
export const storeQuality = async (
  store: Store,
  about: { readonly run: string; readonly pipeline: string; readonly stream: string; readonly at: number },
  results: readonly RuleResult[],
): Promise<void> => {
  const { run, pipeline, stream, at } = about
  const rows = results.map(({ passed, ...result }) => ({
    ...result,
    passed: passed ? 1 : 0,
    run_id: run,
    pipeline,
    stream,
    at,
  }))
  for (let from = 0; from < rows.length; from += rowsAtOnce)
    await store.db
      .insertInto('quality_results')
      .values(rows.slice(from, from + rowsAtOnce))
      .execute()
}

/** What quality rules said, newest first. */
export const listQuality = async (
  store: Store,
  about: {
    readonly run?: string | undefined
    readonly pipeline?: string | undefined
    readonly stream?: string | undefined
    readonly failedOnly?: boolean | undefined
    readonly limit?: number | undefined
  } = {},
): Promise<readonly QualityResult[]> => {
  const { run, pipeline, stream, failedOnly = false, limit = 100 } = about
  let query = store.db.selectFrom('quality_results').selectAll().orderBy('id', 'desc').limit(limit)
  if (run !== undefined) query = query.where('run_id', '=', run)
  if (pipeline !== undefined) query = query.where('pipeline', '=', pipeline)
  if (stream !== undefined) query = query.where('stream', '=', stream)
  if (failedOnly) query = query.where('passed', '=', 0)
  const rows = await query.execute()
  return rows.map(({ id: _id, run_id, passed, at, ...rest }) => ({
    ...rest,
    run: run_id,
    passed: passed === 1,
    at: new Date(at).toISOString(),
  }))
}

/** What the rules that compare need to know of the runs before. */
export interface QualityHistory {
  /** The counts of the last complete passes of the same mode. */
  readonly earlier: (runs: number) => Promise<readonly number[]>
  /** The newest time that the runs before have seen, by the name of its rule. */
  readonly newestBefore: (rule: string) => Promise<number | undefined>
}

/** What earlier passes of a stream brought, and what its rules saw, for the rules that compare. */
export const qualityHistory = (
  store: Store,
  about: { readonly run: string; readonly pipeline: string; readonly stream: string; readonly mode: PassMode },
): QualityHistory => ({
  earlier: async (runs) => {
    // The oldest incremental pass that is known may be the first of all, which brought everything: it is no measure.
    const wanted = about.mode === 'incremental' ? runs + 1 : runs
    const rows = await store.db
      .selectFrom('run_streams')
      .innerJoin('runs', 'runs.id', 'run_streams.run_id')
      .select('run_streams.read as read')
      .where('runs.pipeline', '=', about.pipeline)
      .where('run_streams.stream', '=', about.stream)
      .where('run_streams.mode', '=', about.mode)
      .where('run_streams.status', '=', 'completed')
      .where('runs.id', '!=', about.run)
      .orderBy('runs.id', 'desc')
      .limit(wanted)
      .execute()
    const counts = rows.map(({ read }) => read)
    return about.mode === 'incremental' ? counts.slice(0, -1) : counts
  },
  newestBefore: async (rule) => {
    const row = await store.db
      .selectFrom('quality_results')
      .select('message')
      .where('pipeline', '=', about.pipeline)
      .where('stream', '=', about.stream)
      .where('name', '=', rule)
      .where('rule', '=', 'freshness')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst()
    const [, newest] = /^newest (\S+), /.exec(row?.message ?? '') ?? []
    return newest === undefined ? undefined : Date.parse(newest)
  },
})
