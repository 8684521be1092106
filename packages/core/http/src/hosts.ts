import { integrationError } from '@ecokit/contracts'

/** A place that a connection may talk to. */
export interface Host {
  /** As the manifest says it. */
  readonly declared: string
  /** Scheme, host and port. */
  readonly origin: string
  /** True where the whole host name stands in the config or in the manifest; false where a field of the config completes it (`api.{site}`). */
  readonly named: boolean
}

const scheme = /^[a-z][a-z0-9+.-]*:\/\//i
const hostPart = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?$/i

/** Parses an absolute http(s) URL, or a plain host, which means https. Undefined for anything else. */
export const parseUrl = (text: string): URL | undefined => {
  const url = URL.parse(scheme.test(text) ? text : `https://${text}`)
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url : undefined
}

/** Whether the host name of a pattern is one word of one person: a field of the config, or no field at all. */
const isNamed = (pattern: string): boolean => {
  const host = pattern.replace(scheme, '').replace(/\/.*$/, '')
  return /^(?:\{[^{}]+\}|[^{}]+)(?::[^\]]*)?$/.test(host)
}

const lookUp = (config: unknown, field: string): unknown => {
  let value = config
  for (const key of field.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/**
 * The hosts of a manifest for one configuration: `{trackingUri}` (a URL: its origin), `api.{site}`, `api.example.com`; a plain host means https.
 * A host whose field is not set is left out. Throws `invalid_config` with the field when the value is no address.
 */
export const resolveHosts = (patterns: readonly string[], config: unknown, partner?: string): readonly Host[] => {
  const hosts: Host[] = []
  for (const declared of patterns) {
    const refuse = (field: string, why: string): never => {
      throw integrationError('invalid_config', {
        partner,
        what: `config.${field} ${why}`,
        next: 'Give an http(s) URL or a host name there',
        details: { field: `config.${field}` },
      })
    }
    const whole = /^\{([^{}]+)\}$/.exec(declared)?.[1]
    const missing: string[] = []
    const text = declared.replace(/\{([^{}]+)\}/g, (_, field: string) => {
      const value = lookUp(config, field)
      if (value === undefined || value === null || value === '') missing.push(field)
      else if (typeof value !== 'string' && typeof value !== 'number') refuse(field, 'is not a text')
      else if (whole === undefined && !hostPart.test(String(value)))
        refuse(field, 'may only hold a part of a host name')
      else return String(value)
      return ''
    })
    if (missing.length > 0) continue
    const url = parseUrl(text)
    const field = whole ?? /\{([^{}]+)\}/.exec(declared)?.[1]
    if (url === undefined) {
      if (field !== undefined) refuse(field, 'is not an http(s) address')
      throw integrationError('internal', {
        partner,
        what: `"${declared}" in the manifest's hosts is not a host`,
        details: {},
      })
    }
    if (whole !== undefined && (url.username !== '' || url.password !== ''))
      refuse(whole, 'may not hold a user name or password, which belong in the credentials')
    hosts.push({ declared, origin: url.origin, named: isNamed(declared) })
  }
  return hosts
}
