import { type IntegrationError, integrationError } from '@ecokit/contracts'
import type { SecretName } from './types.ts'

/** What a partner's name looks like in an error: none for a secret that belongs to no partner. */
export const partnerOf = ({ partner }: SecretName): string | undefined => (partner === '*' ? undefined : partner)

/** The record is not what was sealed there: changed, cut off, or moved from another place. */
export const damaged = (name: SecretName, version: number, what: string): IntegrationError =>
  integrationError('invalid_data', {
    partner: partnerOf(name),
    what: `the sealed value "${name.name}" (version ${version}) does not open: ${what}`,
    next: 'Somebody or something changed the database; set the secret again or restore a backup',
    details: { stream: 'vault', field: name.name },
  })

export const missing = (name: SecretName, version?: number): IntegrationError =>
  integrationError('not_found', {
    partner: partnerOf(name),
    what: `the vault has no ${version === undefined ? '' : `version ${version} of the `}secret "${name.name}"${name.partner === '*' ? '' : ' for this partner'}`,
    next: `Set it with: ecokit vault set ${name.name}${name.partner === '*' ? '' : ` --partner ${name.partner}`}`,
    details: {},
  })

export const noKey = (where: string, how: string): IntegrationError =>
  integrationError('invalid_config', {
    what: `the vault has no key: ${where}`,
    next: `${how}. Keep a copy of the key in a safe place: without it nothing in the vault can be read`,
    details: { field: 'vault.key' },
  })

export const badKey = (what: string, next: string): IntegrationError =>
  integrationError('invalid_config', { what, next, details: { field: 'vault.key' } })

export const badInput = (field: string, what: string): IntegrationError =>
  integrationError('invalid_input', { what, details: { field } })
