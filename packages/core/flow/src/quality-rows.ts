import { toJson, type AnyRecord, type InvalidRecord } from '@ecokit/contracts'
import { holdAgainst, openPatience } from './quality-patterns.ts'
import type { PlannedRule } from './quality-rules.ts'
import { openRule, shown, type RowRule } from './quality-values.ts'

const keptExamples = 3

/** What a rule about records has found so far. */
export interface Counter {
  readonly planned: PlannedRule<RowRule>
  failed: number
  /** What was wrong, in words; the first few. */
  readonly examples: string[]
  /** Why some records could not be judged. */
  slow?: string
}
/** Why a record is put aside. */
export type Reason = Omit<InvalidRecord, 'record'>

/** Judges values of one batch: why they are broken, by their place. */
type JudgeValues = (values: readonly unknown[]) => ReadonlyMap<number, string>

/** Opens a rule for batches of about so many characters each. */
const openColumn = (counter: Counter): ((characters: number) => JudgeValues) => {
  const { rule } = counter.planned
  if (rule.rule !== 'regex') {
    const judge = openRule(rule)
    const all: JudgeValues = (values) => {
      const broken = new Map<number, string>()
      for (const [at, value] of values.entries()) {
        const why = judge(value)
        if (why !== undefined) broken.set(at, why)
      }
      return broken
    }
    return () => all
  }
  const { pattern: source, field } = rule
  const pattern = new RegExp(source)
  const slow = `the pattern ${source} of the column ${field} takes too long: write it without nested repetition, such as a+ in place of (a+)+`
  return (characters) => {
    const patience = openPatience(characters)
    return (values) => {
      const texts = values.map((value) =>
        value === null || value === undefined ? undefined : typeof value === 'string' ? value : toJson(value),
      )
      const { without, unjudged } = holdAgainst(pattern, texts, patience)
      if (unjudged.size > 0) counter.slow = slow
      return new Map([
        ...[...without].map((at) => [at, `${shown(values[at])} does not have the form ${source}`] as const),
        ...[...unjudged].map((at) => [at, slow] as const),
      ])
    }
  }
}

/** Judges records of one batch: why each is put aside, if it is. */
export type JudgeRows = (records: readonly AnyRecord[]) => readonly (Reason | undefined)[]

/** Opens rules about records; each batch is begun with about how many characters it has. */
export const openRows = (
  rules: readonly PlannedRule<RowRule>[],
): { readonly counters: readonly Counter[]; readonly begin: (characters: number) => JudgeRows } => {
  const counters = rules.map((planned): Counter => ({ planned, failed: 0, examples: [] }))
  const columns = counters.map((counter) => ({ counter, open: openColumn(counter) }))
  const begin = (characters: number): JudgeRows => {
    const judges = columns.map(({ counter, open }) => ({ counter, judge: open(characters) }))
    return (records) => {
      const reasons: (Reason | undefined)[] = records.map(() => undefined)
      for (const { counter, judge } of judges) {
        const { name, severity, rule } = counter.planned
        const broken = judge(records.map((one) => (Object.hasOwn(one, rule.field) ? one[rule.field] : undefined)))
        counter.failed += broken.size
        for (const [at, why] of broken) {
          if (counter.examples.length < keptExamples && !counter.examples.includes(why)) counter.examples.push(why)
          if (severity === 'quarantine') reasons[at] ??= { field: rule.field, reason: `${name}: ${why}` }
        }
      }
      return reasons
    }
  }
  return { counters, begin }
}

/** What a rule has found, in words: why it could not judge first, because that is about the rule. */
export const messageOf = ({ examples, slow }: Counter): string =>
  (slow === undefined ? examples : [slow, ...examples.filter((one) => one !== slow)]).join('; ')
