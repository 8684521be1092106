import { isIntegrationError } from '@ecokit/contracts'

/** The exit codes of every command. */
export const exits = { done: 0, failed: 1, usage: 2 } as const

/** A command line that cannot be carried out as it stands; ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Codes that say that the command line or `ecosystem.yaml` must be mended, and not a partner. */
const ours = new Set(['invalid_config', 'invalid_credentials', 'invalid_input', 'unsupported', 'host_not_allowed'])

/** The exit code that belongs to what was thrown. */
export const exitOf = (thrown: unknown): number =>
  thrown instanceof UsageError || (isIntegrationError(thrown) && (ours.has(thrown.code) || isUnknownName(thrown)))
    ? exits.usage
    : exits.failed

// A name that ecosystem.yaml does not have carries no status: no partner was asked.
const isUnknownName = (error: unknown): boolean =>
  isIntegrationError(error, 'not_found') &&
  error.details.status === undefined &&
  error.details.partnerCode === undefined

/** What was thrown, in one line for people. */
export const explain = (thrown: unknown): string => {
  if (thrown instanceof UsageError || isIntegrationError(thrown)) return thrown.message
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return `an unexpected fault: ${text}. Set ECOKIT_DEBUG=1 to see where, and report it`
}
