import { isIntegrationError } from '@ecokit/contracts'
import type { Terminal } from './output/terminal.ts'
import { visible } from './output/text.ts'
import { UsageError, exits } from './usage.ts'

/** Codes that say that the command line or `ecosystem.yaml` must be mended, and not a partner. */
const ours = new Set(['invalid_config', 'invalid_credentials', 'invalid_input', 'unsupported', 'host_not_allowed'])

// A name that ecosystem.yaml does not have carries no status: no partner was asked.
const isUnknownName = (error: unknown): boolean =>
  isIntegrationError(error, 'not_found') &&
  error.details.status === undefined &&
  error.details.partnerCode === undefined

/** The exit code that belongs to what was thrown. */
export const exitOf = (thrown: unknown): number =>
  thrown instanceof UsageError || (isIntegrationError(thrown) && (ours.has(thrown.code) || isUnknownName(thrown)))
    ? exits.usage
    : exits.failed

const explain = (thrown: unknown): string => {
  if (thrown instanceof UsageError || isIntegrationError(thrown)) return thrown.message
  // Ctrl-C or Ctrl-D at a question, or while something was written: what people want, and no fault.
  if (thrown instanceof Error && thrown.name === 'AbortError')
    return 'stopped before it was done. Run it again when you like'
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return `an unexpected fault: ${text}. Set ECOKIT_DEBUG=1 to see where, and report it`
}

/** What was thrown, as people read it on a terminal; with ECOKIT_DEBUG also where. */
export const errorLine = ({ paintNote }: Pick<Terminal, 'paintNote'>, thrown: unknown): string => {
  const where = process.env['ECOKIT_DEBUG'] !== undefined && thrown instanceof Error ? `${thrown.stack ?? ''}\n` : ''
  return `${paintNote('red', 'error:')} ${explain(thrown).split('\n').map(visible).join('\n')}\n${where}`
}
