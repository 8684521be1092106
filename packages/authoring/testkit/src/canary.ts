import { randomBytes } from 'node:crypto'
import { jsonSchema, secretFields, toJson } from '@ecokit/contracts'
import type { AuthScheme, Manifest } from '@ecokit/contracts'
import { inspect } from 'node:util'

/** Credentials whose every secret is a word that can be searched for. */
export interface Canary {
  readonly scheme: string
  readonly kind: string
  readonly credentials: Readonly<Record<string, unknown>>
  /** The secret words. */
  readonly words: readonly string[]
}

const word = () => `canary${randomBytes(8).toString('hex')}`

const fill = (scheme: AuthScheme, given: Readonly<Record<string, unknown>>) => {
  const secrets = secretFields(scheme.credentials)
  const described = jsonSchema(scheme.credentials, 'input')
  const properties = (described['properties'] ?? {}) as Readonly<Record<string, { readonly type?: unknown }>>
  const words: string[] = []
  const entries = Object.entries(properties).map(([name, { type }]): [string, unknown] => {
    if (!secrets.includes(name)) return [name, given[name] ?? (type === 'string' ? 'canary-user' : undefined)]
    words.push(word())
    return [name, words.at(-1)]
  })
  return { fields: Object.fromEntries(entries.filter(([, value]) => value !== undefined)), words }
}

/** One for each scheme that has a secret; what else the scheme asks for is taken from the credentials given, where they are of that scheme. */
export const canariesOf = (manifest: Manifest, given: unknown): readonly Canary[] =>
  Object.entries(manifest.auth ?? {}).flatMap(([name, scheme]): Canary[] => {
    const same = typeof given === 'object' && given !== null && 'scheme' in given && given.scheme === name
    const { fields, words } = fill(scheme, same ? given : {})
    return words.length === 0
      ? []
      : [{ scheme: name, kind: scheme.kind, credentials: { scheme: name, ...fields }, words }]
  })

/** The forms in which a word may come out: as it is, and in base64 at each of the three alignments, cut to what does not depend on its neighbours. */
const formsOf = (text: string): readonly string[] => [
  text,
  ...[0, 1, 2].map((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)])
    return bytes.toString('base64').slice([0, 2, 3][shift], Math.floor((bytes.length * 8) / 6))
  }),
]

/** True where one of the words can be found in anything that the value shows of itself. */
export const shows = (value: unknown, words: readonly string[]): boolean => {
  const error = value instanceof Error ? `${value.message} ${value.stack ?? ''} ${inspect(value.cause)}` : ''
  const text = `${error} ${inspect(value, { depth: 8, showHidden: true })} ${typeof value === 'string' ? value : (toJson(value) as string | undefined)}`
  return words.flatMap(formsOf).some((form) => text.includes(form))
}
