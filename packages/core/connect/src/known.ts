import { integrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'

/** The error for something that the connector does not have; `known`: what it has instead. */
export const unsupported = (partner: string, what: string, known: readonly string[]): IntegrationError =>
  integrationError('unsupported', {
    partner,
    what: `there is no ${what}`,
    next: known.length === 0 ? 'The connector has none at all' : `Choose one of: ${known.join(', ')}`,
    details: { what },
  })

/** The error for a connector that declares something and does not implement it. */
export const missing = (partner: string, what: string): IntegrationError =>
  integrationError('internal', {
    partner,
    what: `the connector declares ${what} and does not implement it`,
    next: 'Report it to the maker of the connector',
    details: {},
  })

/** What a record holds under its own key: names from outside must not reach a prototype. */
export const own = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined
