import { open } from 'node:fs/promises'
import { resolve as resolvePath } from 'node:path'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { CredentialsReference, Ecosystem } from './ecosystem.ts'
import { referenceIn } from './references.ts'
import type { Reference } from './references.ts'
import { listOf, quote } from './suggest.ts'

/** Where the values behind references come from. */
export interface ValueSources {
  /** For `${env:NAME}`. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the paths of `${file:path}` are relative to. Default: the working folder. */
  readonly folder?: string
  /** For `${secret:name}`: gives the value for this partner, and throws what names the secret where there is none. Absent: there is no vault. */
  readonly secrets?: (partner: string, name: string) => Promise<string>
}

/** A key file with its certificate chain has some 10,000 bytes; what is larger than this is another file. */
const maxFileBytes = 64 * 1024

/** Where a value is wanted, for messages. */
export interface Place {
  readonly partner: string
  readonly filename: string
  readonly field: string
  /** Default `invalid_credentials`. */
  readonly code?: 'invalid_credentials' | 'invalid_config'
}

/** The error for a value that cannot be had; names the field, and never the value. */
export const refuse = ({ partner, field, code = 'invalid_credentials' }: Place, what: string, next: string) =>
  integrationError(code, { partner, what: `${field} ${what}`, next, details: { field } })

/** The text of a file without its last line break; the path is relative to the folder. */
export const readFileValue = async (
  name: string,
  folder: string,
  place: Place,
  maxBytes = maxFileBytes,
): Promise<string> => {
  const path = resolvePath(folder, name)
  const bad = (why: string) =>
    refuse(place, `needs the file ${quote(name)}, ${why}`, `Mend it, or change ${place.filename}`)
  try {
    const file = await open(path, 'r')
    try {
      const about = await file.stat()
      if (!about.isFile()) throw bad('which is no file')
      const bytes = Buffer.alloc(maxBytes + 1)
      let length = 0
      for (let count = 1; count > 0 && length < bytes.length; length += count)
        ({ bytesRead: count } = await file.read(bytes, length, bytes.length - length))
      if (length > maxBytes) throw bad(`which is larger than ${maxBytes} bytes`)
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length)).replace(/\r?\n$/, '')
      if (text === '') throw bad('which is empty')
      return text
    } finally {
      await file.close()
    }
  } catch (error) {
    if (isIntegrationError(error)) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw bad(
      code === 'ENOENT'
        ? 'which is not there'
        : code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
          ? 'which is not UTF-8 text'
          : `which cannot be read (${code})`,
    )
  }
}

/** What stands behind a reference. */
export const valueOf = async ({ kind, name }: Reference, sources: ValueSources, place: Place): Promise<string> => {
  if (kind === 'file') return readFileValue(name, sources.folder ?? '.', place)
  if (kind === 'secret') {
    if (sources.secrets !== undefined)
      return sources.secrets(place.partner, name).catch((error: unknown) => {
        if (!isIntegrationError(error, 'not_found')) throw error
        throw refuse(
          place,
          `needs the secret ${quote(name)}, which the vault does not have`,
          `Set it: ecokit vault set ${name} --partner ${place.partner}`,
        )
      })
    throw refuse(place, `needs the secret ${quote(name)}, and there is no vault here`, 'Run it with `ecokit`')
  }
  const found = Object.hasOwn(sources.env, name) ? sources.env[name] : undefined
  if (found !== undefined && found !== '') return found
  throw refuse(
    place,
    `needs the environment variable ${name}, which is ${found === undefined ? 'not set' : 'empty'}`,
    `Set it (export ${name}=…) and start again, or change ${place.filename}`,
  )
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const resolveReference = async (
  reference: CredentialsReference,
  at: string,
  about: { readonly partner: string; readonly filename: string },
  sources: ValueSources,
): Promise<Record<string, unknown>> => {
  const resolve = async (value: unknown, field: string): Promise<unknown> => {
    if (Array.isArray(value)) return Promise.all(value.map((item, index) => resolve(item, `${field}.${index}`)))
    if (isObject(value)) return resolveFields(value, field)
    const found = typeof value === 'string' ? referenceIn(value) : undefined
    return found === undefined ? value : valueOf(found, sources, { ...about, field })
  }
  const resolveFields = async (fields: Readonly<Record<string, unknown>>, field: string) =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(fields).map(async ([key, item]) => [key, await resolve(item, `${field}.${key}`)] as const),
      ),
    )
  return resolveFields(reference, at)
}

/** The credentials of a named reference with the values behind it; throws `invalid_credentials` naming what is missing. */
export const resolveNamed = (
  ecosystem: Ecosystem | undefined,
  partner: string,
  name: string,
  sources: ValueSources,
): Promise<Record<string, unknown>> => {
  const entry = ecosystem?.credentials.find((item) => item.name === name)
  if (ecosystem === undefined || entry === undefined)
    throw integrationError('invalid_credentials', {
      partner,
      what: `there are no credentials named ${quote(name)}`,
      next: `Add them to ${ecosystem?.filename ?? 'ecosystem.yaml'} or name others`,
      details: { field: `partners.${partner}.credentials` },
    })
  return resolveReference(entry.reference, `credentials.${name}`, { partner, filename: ecosystem.filename }, sources)
}

/**
 * The credentials of a partner of the file with the values behind its references: what `connect` takes. Undefined where it has none; throws
 * `invalid_credentials` naming the partner, the field, and the variable, file or secret that is missing.
 */
export const resolveCredentials = async (
  ecosystem: Ecosystem,
  partner: string,
  sources: ValueSources,
): Promise<Record<string, unknown> | undefined> => {
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
    ? resolveNamed(ecosystem, partner, credentials, sources)
    : resolveReference(
        credentials,
        `partners.${partner}.credentials`,
        { partner, filename: ecosystem.filename },
        sources,
      )
}

/** What the collector of `lineage.url` is shown, with the values behind its references; undefined where the file says nothing. */
export const resolveLineage = async (
  ecosystem: Ecosystem,
  sources: ValueSources,
): Promise<Record<string, unknown> | undefined> => {
  const { credentials } = ecosystem.lineage
  if (credentials === undefined) return undefined
  const about = { partner: 'lineage', filename: ecosystem.filename }
  return typeof credentials === 'string'
    ? resolveNamed(ecosystem, 'lineage', credentials, sources)
    : resolveReference(credentials, 'lineage.credentials', about, sources)
}
