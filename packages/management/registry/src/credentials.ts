import { secretFields } from '@ecokit/contracts'
import type { AnyConnector, AuthScheme } from '@ecokit/contracts'
import { inspect, valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import type { CredentialsReference } from './ecosystem.ts'
import { meantAsReference, referenceIn, secretNameFor } from './references.ts'
import type { Path } from './source.ts'
import { listOf, quote, unknownWord } from './suggest.ts'

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
    if (meantAsReference(text))
      return [
        {
          path,
          at: 'value',
          message: '${env:…}, ${secret:…} and ${file:…} may stand only in credentials; write the value itself',
        },
      ]
    // A URL with `user:password@` (RFC 3986, section 3.2.1) would be stored and shown with the config.
    if (/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]*:[^/?#@\s]+@/i.test(text))
      return [{ path, at: 'value', message: 'a password may not stand in a URL; remove it and use credentials' }]
    return []
  })

const plainSecret =
  'a secret may not stand in the file; keep it in the vault (`ecokit vault set`) and write ${secret:name}, or write ${env:NAME}'
/** For a reference that is misspelt, or only a part of the value. */
export const badReference =
  'a reference must be the whole value: ${secret:name} (lower case letters, digits, - and _), ${env:NAME} (letters, digits and _) or ${file:path}'

/** Where a secret of `partners.<name>.credentials` or `credentials.<name>` should be kept: the vault's name for it, and whose it is. */
const secretOf = ([section, owner = '']: Path, field: Path): NonNullable<Finding['secret']> => ({
  name: secretNameFor(String(owner), field),
  ...(section === 'partners' ? { partner: String(owner) } : {}),
})

/** What a scheme refuses in a reference. Values behind references are judged later, when they are known. */
const againstScheme = (scheme: AuthScheme, reference: CredentialsReference, at: Path): readonly Finding[] => {
  const { scheme: _, ...fields } = reference
  const secrets = new Set(secretFields(scheme.credentials))
  const clear = textsIn(fields).flatMap(({ path, text }): readonly Finding[] => {
    const isSecret = secrets.has(path.join('.'))
    const full = [...at, ...path]
    if (referenceIn(text) !== undefined) return []
    // A reference that is misspelt is told as one: moved to the vault, it would be kept there as if it were the secret.
    if (meantAsReference(text)) return [{ path: full, at: 'value', message: badReference }]
    if (isSecret) return [{ path: full, at: 'value', message: plainSecret, secret: secretOf(at, path) }]
    return text.includes('${') ? [{ path: full, at: 'value', message: badReference }] : []
  })
  const judged = new Set(clear.map(({ path }) => path.join('.')))
  const refused = inspect(scheme.credentials, fields, at).findings.filter(({ path }) => {
    const value = valueAt(fields, path.slice(at.length))
    return !judged.has(path.join('.')) && !(typeof value === 'string' && referenceIn(value) !== undefined)
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
