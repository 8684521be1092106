import { isIntegrationError, toJson, type AnyRecord } from '@ecokit/contracts'
import type { PlannedRule, TableRule } from './quality-rules.ts'
import { shown, timeOf } from './quality-values.ts'

/** What a rule about the table as a whole found. */
export interface Finding {
  readonly checked: number
  readonly failed: number
  /** What was found, in words. */
  readonly message: string
}

/** Asks the sink about its rows as they will be after the commit. */
export type Query = (sql: string) => Promise<readonly AnyRecord[]>

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
const countOf = (rows: readonly AnyRecord[], column: string): number => Number(rows[0]?.[column] ?? 0)
const plural = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`
const examples = 3
const longestMessage = 1_000

/** The table, or another one, as rows that are there: those that were marked as deleted are not. */
const rowsOf = (table: string, soft: boolean): string =>
  soft ? `(SELECT * FROM ${table} AS every_row WHERE ${quoted('_deleted_at')} IS NULL)` : table

/** A span for people, in its two largest units: `3 d 4 h`. */
const spanOf = (milliseconds: number): string => {
  const seconds = Math.round(Math.abs(milliseconds) / 1_000)
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([number]) => number > 0)
  if (first < 0) return '0 s'
  const shown = parts.slice(first, first + 2).filter(([number]) => number > 0)
  return (milliseconds < 0 ? '-' : '') + shown.map(([number, unit]) => `${number} ${unit}`).join(' ')
}

const ageRule = (newest: number, maxAgeMs: number, now: number, checked: number): Finding => {
  const old = now - newest > maxAgeMs
  return {
    checked,
    failed: old ? 1 : 0,
    message: `newest ${new Date(newest).toISOString()}, ${spanOf(now - newest)} old where ${spanOf(maxAgeMs)} may be`,
  }
}

const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const countRule = (
  { min, max, atLeast, atMost }: Extract<TableRule, { readonly rule: 'row_count' }>,
  count: number,
  earlier: readonly number[],
): Finding => {
  const usual = earlier.length === 0 ? undefined : median(earlier)
  const limits = [
    ...(min === undefined ? [] : [{ broken: count < min, words: `at least ${min}` }]),
    ...(max === undefined ? [] : [{ broken: count > max, words: `at most ${max}` }]),
    ...(usual === undefined || atLeast === undefined
      ? []
      : [{ broken: count < usual * atLeast, words: `at least ${atLeast} of the usual ${usual}` }]),
    ...(usual === undefined || atMost === undefined
      ? []
      : [{ broken: count > usual * atMost, words: `at most ${atMost} of the usual ${usual}` }]),
  ]
  const broken = limits.filter((limit) => limit.broken)
  const expected = (broken.length > 0 ? broken : limits).map(({ words }) => words).join(', ')
  return {
    checked: 1,
    failed: broken.length > 0 ? 1 : 0,
    message: `${plural(count, 'record')}, expected ${expected || 'anything: there is no earlier pass to compare with'}`,
  }
}

/** What a pass knows when it ends. */
export interface PassFacts {
  readonly query: Query | undefined
  /** Rows that are gone are kept and marked. */
  readonly soft: boolean
  readonly now: number
  readonly read: number
  /** The counts of the last complete passes of the same mode. */
  readonly earlier: (runs: number) => Promise<readonly number[]>
  /** The newest time that was read in a field, for sinks that cannot be asked. */
  readonly newest: (field: string) => number | undefined
}

/** Judges one rule about the table as a whole. */
export const judgeTable = async ({ rule }: PlannedRule<TableRule>, facts: PassFacts): Promise<Finding> => {
  const { query, soft, now, read, earlier } = facts
  const table = rowsOf('{table}', soft)
  if (rule.rule === 'row_count') return countRule(rule, read, await earlier(rule.runs ?? 5))
  if (query === undefined) {
    if (rule.rule === 'freshness') {
      const newest = facts.newest(rule.field)
      if (newest !== undefined) return ageRule(newest, rule.maxAgeMs, now, read)
      return { checked: read, failed: 1, message: `no record with a time in ${rule.field} was ever read` }
    }
    return { checked: 0, failed: 0, message: 'the sink cannot be asked' }
  }
  if (rule.rule === 'sql') {
    // On lines of its own, so that a comment at its end ends there.
    const faults = `(\n${rule.query.trim().replace(/;+\s*$/, '')}\n)`
    const failed = countOf(await query(`SELECT COUNT(*) AS faults FROM ${faults} AS found`), 'faults')
    const some = failed === 0 ? [] : await query(`SELECT * FROM ${faults} AS found LIMIT ${examples}`)
    const message =
      failed === 0 ? 'no faults' : `${plural(failed, 'fault')}, such as ${some.map((row) => toJson(row)).join(', ')}`
    return { checked: 1, failed, message: message.slice(0, longestMessage) }
  }
  const checked = countOf(await query(`SELECT COUNT(*) AS rows_there FROM ${table} AS here`), 'rows_there')
  if (rule.rule === 'freshness') {
    const rows = await query(`SELECT MAX(${quoted(rule.field)}) AS newest FROM ${table} AS here`)
    const newest = rows[0]?.['newest'] ?? undefined
    const at = timeOf(newest)
    if (at !== undefined) return ageRule(at, rule.maxAgeMs, now, checked)
    const message =
      newest !== undefined
        ? `the newest value, ${shown(newest)}, is no time`
        : checked === 0
          ? `the table is empty: it has no time in ${rule.field}`
          : `none of the ${plural(checked, 'row')} has a time in ${rule.field}`
    return { checked, failed: 1, message }
  }
  if (rule.rule === 'unique') {
    const by = rule.fields.map(quoted).join(', ')
    const groups = `SELECT ${by}, COUNT(*) AS times_there FROM ${table} AS here GROUP BY ${by} HAVING COUNT(*) > 1`
    const failed = countOf(
      await query(`SELECT COALESCE(SUM(times_there - 1), 0) AS surplus FROM (${groups}) AS doubled`),
      'surplus',
    )
    const some = failed === 0 ? [] : await query(`${groups} ORDER BY times_there DESC LIMIT ${examples}`)
    const named = some.map(
      (row) => `${rule.fields.map((field) => shown(row[field])).join(', ')} (${String(row['times_there'])} times)`,
    )
    return {
      checked,
      failed,
      message: failed === 0 ? 'no value twice' : `${plural(failed, 'row')} too many: ${named.join('; ')}`,
    }
  }
  const [field, reference] = [quoted(rule.field), quoted(rule.references)]
  const orphans = `FROM ${table} AS here WHERE here.${field} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {table:${rule.table}} AS there WHERE there.${reference} = here.${field})`
  const failed = countOf(await query(`SELECT COUNT(*) AS orphans ${orphans}`), 'orphans')
  const some = failed === 0 ? [] : await query(`SELECT here.${field} AS orphan ${orphans} LIMIT ${examples}`)
  return {
    checked,
    failed,
    message:
      failed === 0
        ? `all are in ${rule.table}.${rule.references}`
        : `${plural(failed, 'row')} not in ${rule.table}.${rule.references}, such as ${some.map((row) => shown(row['orphan'])).join(', ')}`,
  }
}

/** A sentence about a rule that could not be judged, because the sink refused its query. */
export const whyNot = (error: unknown): string =>
  isIntegrationError(error) || error instanceof Error ? error.message : String(error)
