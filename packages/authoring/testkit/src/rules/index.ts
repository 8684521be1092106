import type { Rule } from '../types.ts'
import { authRules } from './auth.ts'
import { cancellationRules } from './cancellation.ts'
import { checkRules } from './check.ts'
import { closeRules } from './close.ts'
import { configRules } from './config.ts'
import { docsRules } from './docs.ts'
import { errorRules } from './errors.ts'
import { manifestRules } from './manifest.ts'
import { openRules } from './open.ts'
import { operationRules } from './operations.ts'
import { secretRules } from './secrets.ts'
import { sinkRules } from './sinks.ts'
import { streamRules } from './streams.ts'

/** The kit's own rules, in the order in which they are carried out: what others rest on comes first. */
export const rules: readonly Rule[] = [
  ...manifestRules,
  ...configRules,
  ...authRules,
  ...openRules,
  ...checkRules,
  ...operationRules,
  ...streamRules,
  ...sinkRules,
  ...cancellationRules,
  ...errorRules,
  ...secretRules,
  ...closeRules,
  ...docsRules,
]
