import { integrationError } from '@ecokit/contracts'

const lookUp = (config: unknown, path: string): unknown => {
  let value = config
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  return value
}

/** A text in which `{field}` stands for a field of the connector's config (dotted below the top); throws `invalid_config` naming the field that is not set. */
export const fill = (pattern: string, config: unknown, partner: string): string =>
  pattern.replace(/\{([^{}]+)\}/g, (_, field: string) => {
    const value = lookUp(config, field)
    if ((typeof value === 'string' && value !== '') || typeof value === 'number') return String(value)
    throw integrationError('invalid_config', {
      partner,
      what: `config.${field} is not set, and the auth scheme needs it`,
      next: 'Set it in the config of this connection',
      details: { field: `config.${field}` },
    })
  })
