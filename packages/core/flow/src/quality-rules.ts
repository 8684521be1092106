import { integrationError, type JsonSchema, type QualityRule, type Severity } from '@ecokit/contracts'
import { isBound, isRowRule, type RowRule } from './quality-values.ts'
import { propertiesOf, typeName } from './schemas.ts'

/** A rule of one stream with everything decided; its fields are columns of the table. */
export interface PlannedRule<Rule extends QualityRule = QualityRule> {
  readonly name: string
  readonly severity: Severity
  readonly rule: Rule
  /** The columns that it looks at; none for the table as a whole. */
  readonly fields: readonly string[]
}
/** A rule about the table, or the pass, as a whole. */
export type TableRule = Exclude<QualityRule, RowRule>

/** Types whose largest value may be the newest time. */
const ordered: ReadonlySet<string> = new Set(['timestamp', 'local-date-time', 'date', 'integer', 'number', 'any'])

const fieldsOf = (rule: QualityRule): readonly string[] =>
  'fields' in rule ? rule.fields : 'field' in rule ? [rule.field] : []

const withFields = (rule: QualityRule, name: (field: string) => string): QualityRule => {
  if ('fields' in rule) return { ...rule, fields: rule.fields.map(name) }
  return 'field' in rule ? { ...rule, field: name(rule.field) } : rule
}

/** What is wrong with a rule by itself, in words. */
const wrong = (rule: QualityRule): string | undefined => {
  const badLimit = (limit: number | undefined): boolean => limit !== undefined && !(limit >= 0)
  switch (rule.rule) {
    case 'range':
      if (rule.min === undefined && rule.max === undefined) return 'it needs min or max'
      return [rule.min, rule.max].every((bound) => bound === undefined || isBound(bound))
        ? undefined
        : 'min and max are numbers, or times as ISO 8601'
    case 'set':
      return rule.values.length === 0 ? 'it has no values' : undefined
    case 'regex':
      try {
        new RegExp(rule.pattern)
        return undefined
      } catch {
        return `${rule.pattern} is no regular expression`
      }
    case 'unique':
      return rule.fields.length === 0 ? 'it has no fields' : undefined
    case 'freshness':
      return rule.maxAgeMs > 0 ? undefined : 'it needs an age'
    case 'row_count': {
      const { min, max, atLeast, atMost, runs } = rule
      if ([min, max, atLeast, atMost].every((limit) => limit === undefined))
        return 'it needs min, max, at_least or at_most'
      if ([min, max, atLeast, atMost].some(badLimit)) return 'its limits are not below 0'
      return runs === undefined || (Number.isInteger(runs) && runs > 0) ? undefined : 'runs counts from 1'
    }
    case 'referential':
      return /^[^{}]+$/.test(rule.table) ? undefined : 'the name of its table is empty or has braces'
    case 'sql':
      return rule.query.trim() === '' ? 'it has no query' : undefined
    default:
      return undefined
  }
}

/**
 * The rules of a stream: those that its connector declares, with the columns' names, and those of the pipeline. A declared rule whose field the pipeline does not read is left out; anything else that cannot be judged is `invalid_config`.
 */
export const planRules = (about: {
  readonly partner: string
  readonly stream: string
  readonly declared: readonly QualityRule[]
  readonly added: readonly QualityRule[]
  readonly schema: JsonSchema
  /** The column that a field of the stream becomes; undefined: it is not read. */
  readonly columnOf: (field: string) => string | undefined
}): readonly PlannedRule[] => {
  const { partner, stream, declared, added, columnOf } = about
  const columns = Object.keys(about.schema['properties'] ?? {})
  const renamed = declared
    .filter((rule) => fieldsOf(rule).every((field) => columnOf(field) !== undefined))
    .map((rule) => withFields(rule, (field) => columnOf(field) ?? field))
  const names = new Map<string, number>()
  return [...renamed, ...added].map((rule): PlannedRule => {
    const fields = fieldsOf(rule)
    const given = rule.name ?? (fields.length === 0 ? rule.rule : `${rule.rule}(${fields.join(',')})`)
    const refuse = (what: string, next: string): never => {
      throw integrationError('invalid_config', {
        partner,
        what: `streams.${stream}.quality: ${given}: ${what}`,
        next,
        details: { field: `streams.${stream}.quality` },
      })
    }
    const missing = fields.find((field) => !columns.includes(field))
    if (missing !== undefined) refuse(`there is no column ${missing}`, `Choose one of: ${columns.join(', ')}`)
    if (rule.rule === 'freshness') {
      const type = typeName(propertiesOf(about.schema)[rule.field], about.schema)
      // As texts, times of different zones are in no order.
      if (!type.split(' | ').every((one) => ordered.has(one)))
        refuse(
          `the column ${rule.field} holds ${type} and no times`,
          `Choose a column of times, or make it one with cast: { ${rule.field}: timestamp }`,
        )
    }
    const fault = wrong(rule)
    if (fault !== undefined) refuse(fault, 'Mend the rule, or leave it out')
    const seen = (names.get(given) ?? 0) + 1
    names.set(given, seen)
    return { name: seen === 1 ? given : `${given} ${seen}`, severity: rule.severity ?? 'quarantine', rule, fields }
  })
}

/** The rules that are judged record by record. */
export const rowRules = (rules: readonly PlannedRule[]): readonly PlannedRule<RowRule>[] =>
  rules.filter((one): one is PlannedRule<RowRule> => isRowRule(one.rule))
/** The rules about the table as a whole. */
export const tableRules = (rules: readonly PlannedRule[]): readonly PlannedRule<TableRule>[] =>
  rules.filter((one): one is PlannedRule<TableRule> => !isRowRule(one.rule))

/** Throws `unsupported` where a rule has to ask a sink about its rows; for sinks that cannot be asked. */
export const refuseAsking = (rules: readonly PlannedRule[], partner: string, stream: string): void => {
  const asking = rules.find(({ rule: { rule } }) => rule === 'unique' || rule === 'referential' || rule === 'sql')
  if (asking === undefined) return
  throw integrationError('unsupported', {
    partner,
    what: `streams.${stream}.quality: ${asking.name}: the sink cannot be asked about its rows`,
    next: 'Leave the rule out, or choose a sink that answers queries',
    details: { what: `quality rule ${asking.rule.rule}` },
  })
}
