import { firstIssue, integrationError, secretFields } from '@ecokit/contracts'
import type { AuthScheme, Manifest } from '@ecokit/contracts'
import { redactor } from '@ecokit/http'
import type { z } from 'zod'

const refuse = (
  code: 'invalid_config' | 'invalid_credentials',
  partner: string,
  refused: { readonly field: string; readonly message: string },
) =>
  integrationError(code, {
    partner,
    what: `${refused.field}: ${refused.message}`,
    details: { field: refused.field },
  })

/** The config as the connector receives it; throws `invalid_config` naming the field. */
export const checkConfig = (manifest: Manifest, partner: string, config: unknown): unknown => {
  const parsed = manifest.config.safeParse(config)
  if (!parsed.success) throw refuse('invalid_config', partner, firstIssue(parsed.error, 'config'))
  return parsed.data
}

/** The strings that stand at a dotted path, through lists. */
const stringsAt = (value: unknown, path: readonly string[]): readonly string[] => {
  if (Array.isArray(value)) return value.flatMap((item: unknown) => stringsAt(item, path))
  const [key, ...rest] = path
  if (key === undefined) return typeof value === 'string' && value !== '' ? [value] : []
  return typeof value === 'object' && value !== null ? stringsAt((value as Record<string, unknown>)[key], rest) : []
}

const known = new WeakMap<z.ZodType, readonly string[]>()
/** The secret values in credentials, by the marks in their schema. */
const secretValues = (schema: z.ZodType, credentials: unknown): readonly string[] => {
  const fields = known.get(schema) ?? secretFields(schema)
  known.set(schema, fields)
  return fields.flatMap((field) => stringsAt(credentials, field.split('.')))
}

export interface Chosen {
  /** Absent where the connector has no auth. */
  readonly scheme?: AuthScheme
  readonly name: string
  /** As the scheme's schema gave them. */
  readonly credentials: Readonly<Record<string, unknown>>
  readonly secrets: readonly string[]
}

/** The scheme that the credentials choose, and their checked values; throws `invalid_credentials` naming the field, never a value. */
export const checkCredentials = (manifest: Manifest, partner: string, given: unknown): Chosen => {
  const schemes = manifest.auth ?? {}
  const names = Object.keys(schemes)
  const list = `write one of: ${names.join(', ')}`
  const fail = (field: string, message: string) => refuse('invalid_credentials', partner, { field, message })

  const anonymous = names.length === 0 ? 'none' : names.find((name) => schemes[name]?.kind === 'none')
  const wanted: unknown = given ?? (anonymous === undefined ? undefined : { scheme: anonymous })
  if (wanted === undefined) throw fail('credentials', `missing; ${list} as credentials.scheme`)
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted))
    throw fail('credentials', 'expected an object with `scheme`')
  const { scheme: name, ...fields } = wanted as Readonly<Record<string, unknown>>
  if (names.length === 0) {
    if (name !== 'none' || Object.keys(fields).length > 0)
      throw fail('credentials', 'this connector takes no credentials; leave them out')
    return { name, credentials: {}, secrets: [] }
  }
  const scheme = typeof name === 'string' && Object.hasOwn(schemes, name) ? schemes[name] : undefined
  if (typeof name !== 'string' || scheme === undefined)
    throw fail('credentials.scheme', `${name === undefined ? 'missing' : 'no such scheme'}; ${list}`)
  const secrets = secretValues(scheme.credentials, fields)
  const parsed = scheme.credentials.safeParse(fields)
  if (!parsed.success) {
    const { field, message } = firstIssue(parsed.error, 'credentials')
    // A schema's own message may quote what it refuses.
    throw fail(field, redactor(secrets)(message))
  }
  const changed = secretValues(scheme.credentials, parsed.data)
  return { scheme, name, credentials: parsed.data, secrets: [...new Set([...secrets, ...changed])] }
}
