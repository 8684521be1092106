import { integrationError, secretFields } from '@ecokit/contracts'
import type { AnyConnector, AuthScheme } from '@ecokit/contracts'
import { inspect, valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import type { CredentialsReference, Ecosystem } from './ecosystem.ts'
import type { Path } from './source.ts'
import { listOf, quote, unknownWord } from './suggest.ts'

const exact = /^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$/
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Every text in a plain value, with its path. */
export const textsIn = (value: unknown, at: Path = []): readonly { readonly path: Path; readonly text: string }[] => {
  if (typeof value === 'string') return [{ path: at, text: value }]
  if (Array.isArray(value)) return value.flatMap((item: unknown, index) => textsIn(item, [...at, index]))
  return isObject(value) ? Object.entries(value).flatMap(([key, item]) => textsIn(item, [...at, key])) : []
}

/** What is wrong with references and secrets in a connector's config, where neither may stand. */
export const secretsInConfig = (config: unknown, at: Path): readonly Finding[] =>
  textsIn(config, at).flatMap(({ path, text }): readonly Finding[] => {
    if (text.includes('${env:'))
      return [{ path, at: 'value', message: '${env:…} may stand only in credentials; write the value itself' }]
    // A URL with `user:password@` (RFC 3986, section 3.2.1) would be stored and shown with the config.
    if (/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]*:[^/?#@\s]+@/i.test(text))
      return [{ path, at: 'value', message: 'a password may not stand in a URL; remove it and use credentials' }]
    return []
  })

/** What a scheme refuses in a reference. Values behind `${env:NAME}` are judged later, when they are known. */
const againstScheme = (scheme: AuthScheme, reference: CredentialsReference, at: Path): readonly Finding[] => {
  const { scheme: _, ...fields } = reference
  const secrets = new Set(secretFields(scheme.credentials))
  const clear = textsIn(fields).flatMap(({ path, text }): readonly Finding[] => {
    const isSecret = secrets.has(path.join('.'))
    const full = [...at, ...path]
    if (exact.test(text)) return []
    if (isSecret) return [{ path: full, at: 'value', message: 'a secret may not stand in the file; write ${env:NAME}' }]
    return text.includes('${')
      ? [
          {
            path: full,
            at: 'value',
            message: 'a reference must be the whole value: ${env:NAME}, with letters, digits and _ in the name',
          },
        ]
      : []
  })
  const judged = new Set(clear.map(({ path }) => path.join('.')))
  const refused = inspect(scheme.credentials, fields, at).findings.filter(({ path }) => {
    const value = valueAt(fields, path.slice(at.length))
    return !judged.has(path.join('.')) && !(typeof value === 'string' && exact.test(value))
  })
  return [...clear, ...refused]
}

/** What is wrong with a reference for one connector. `at` is where the reference stands, `user` where it is used. */
export const checkReference = (
  connector: AnyConnector,
  reference: CredentialsReference,
  at: Path,
  user: Path = at,
): readonly Finding[] => {
  const { id, auth = {} } = connector.manifest
  const schemes = Object.keys(auth)
  const named = user !== at
  if (schemes.length === 0) {
    if (reference.scheme === 'none' && Object.keys(reference).length === 1) return []
    return [{ path: user, at: 'key', message: `connector ${quote(id)} takes no credentials; remove this` }]
  }
  const scheme = Object.hasOwn(auth, reference.scheme) ? auth[reference.scheme] : undefined
  if (scheme !== undefined) return againstScheme(scheme, reference, at)
  return [
    named
      ? {
          path: user,
          at: 'value',
          message: `${quote(at.join('.'))} uses scheme ${quote(reference.scheme)}, which connector ${quote(id)} does not have; its schemes: ${listOf(schemes)}`,
        }
      : {
          path: [...at, 'scheme'],
          at: 'value',
          message: unknownWord('scheme', reference.scheme, schemes, `schemes of connector ${quote(id)}`),
        },
  ]
}

/** What is wrong with a partner that names no credentials. */
export const checkNoReference = (connector: AnyConnector, at: Path): readonly Finding[] => {
  const { id, auth = {} } = connector.manifest
  const schemes = Object.entries(auth)
  if (schemes.length === 0 || schemes.some(([, { kind }]) => kind === 'none')) return []
  return [
    {
      path: at,
      at: 'value',
      message: `missing; connector ${quote(id)} needs credentials with a scheme: ${listOf(schemes.map(([name]) => name))}`,
    },
  ]
}

/** What is wrong with a named reference that no partner uses: it should fit some installed connector. */
export const checkUnused = (
  connectors: readonly AnyConnector[],
  reference: CredentialsReference,
  at: Path,
): readonly Finding[] => {
  const schemes = connectors.flatMap(({ manifest }) => Object.entries(manifest.auth ?? {}))
  const fitting = schemes.filter(([name]) => name === reference.scheme)
  if (fitting.length === 0) {
    const names = [...new Set(schemes.map(([name]) => name))]
    return [
      {
        path: [...at, 'scheme'],
        at: 'value',
        message: unknownWord('scheme', reference.scheme, names, 'schemes of the installed connectors'),
      },
    ]
  }
  const tried = fitting.map(([, scheme]) => againstScheme(scheme, reference, at))
  return tried.sort((left, right) => left.length - right.length)[0] ?? []
}

type Environment = Readonly<Record<string, string | undefined>>

const resolveReference = (
  reference: CredentialsReference,
  at: string,
  about: { readonly partner: string; readonly filename: string },
  env: Environment,
): Record<string, unknown> => {
  const resolve = (value: unknown, field: string): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => resolve(item, `${field}.${index}`))
    if (isObject(value))
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, `${field}.${key}`)]))
    const variable = typeof value === 'string' ? exact.exec(value)?.[1] : undefined
    if (variable === undefined) return value
    const found = Object.hasOwn(env, variable) ? env[variable] : undefined
    if (found !== undefined && found !== '') return found
    throw integrationError('invalid_credentials', {
      partner: about.partner,
      what: `${field} needs the environment variable ${variable}, which is ${found === undefined ? 'not set' : 'empty'}`,
      next: `Set it (export ${variable}=…) and start again, or change ${about.filename}`,
      details: { field },
    })
  }
  return Object.fromEntries(Object.entries(reference).map(([key, value]) => [key, resolve(value, `${at}.${key}`)]))
}

/** The credentials of a named reference with the variables' values; throws `invalid_credentials` naming the variable. */
export const resolveNamed = (
  ecosystem: Ecosystem | undefined,
  partner: string,
  name: string,
  env: Environment,
): Record<string, unknown> => {
  const entry = ecosystem?.credentials.find((item) => item.name === name)
  if (ecosystem === undefined || entry === undefined)
    throw integrationError('invalid_credentials', {
      partner,
      what: `there are no credentials named ${quote(name)}`,
      next: `Add them to ${ecosystem?.filename ?? 'ecosystem.yaml'} or name others`,
      details: { field: `partners.${partner}.credentials` },
    })
  return resolveReference(entry.reference, `credentials.${name}`, { partner, filename: ecosystem.filename }, env)
}

/** The credentials of a partner of the file, with the variables' values: what `connect` takes. Undefined where it has none; throws `invalid_credentials` naming the partner, the field and the variable. */
export const resolveCredentials = (
  ecosystem: Ecosystem,
  partner: string,
  env: Environment,
): Record<string, unknown> | undefined => {
  const entry = ecosystem.partners.find((item) => item.name === partner)
  if (entry === undefined)
    throw integrationError('not_found', {
      partner,
      what: `${ecosystem.filename} has no partner of this name`,
      next: `Its partners: ${listOf(ecosystem.partners.map(({ name }) => name))}`,
      details: {},
    })
  const { credentials } = entry
  if (credentials === undefined) return undefined
  return typeof credentials === 'string'
    ? resolveNamed(ecosystem, partner, credentials, env)
    : resolveReference(credentials, `partners.${partner}.credentials`, { partner, filename: ecosystem.filename }, env)
}
