import type { Rule } from '@ecokit/testkit'
import { readingRules } from './rules/reading.ts'
import { writingRules } from './rules/writing.ts'

/** What every connector for an MLOps platform is held to; pass it to `testConnector` as `rules`. Rules that write are carried out only where `samples` has an input for what creates. */
export const mlopsRules: readonly Rule[] = [...readingRules, ...writingRules]
