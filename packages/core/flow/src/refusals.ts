import { integrationError, type IntegrationError } from '@ecokit/contracts'

/** Something that a partner cannot do. */
export const unsupported = (partner: string, what: string, next: string): IntegrationError =>
  integrationError('unsupported', { partner, what, next, details: { what } })
/** Something that is wrong with the pipeline's configuration; `field` is a dotted path inside of it. */
export const invalid = (partner: string, field: string, message: string, next: string): IntegrationError =>
  integrationError('invalid_config', { partner, what: `${field}: ${message}`, next, details: { field } })
