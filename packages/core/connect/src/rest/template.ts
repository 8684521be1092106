import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Manifest, RestStream, Stream } from '@ecokit/contracts'
import { declarationFault } from './declaration.ts'

const placeholder = /\{([A-Za-z_][\w.]*)\}/g

const lookUp = (values: unknown, name: string): unknown => {
  let value = values
  for (const key of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as AnyRecord)[key]
  }
  return value
}
/** Whether a value can stand in a text. */
export const isPlain = (value: unknown): value is string | number | bigint | boolean =>
  ['string', 'number', 'bigint', 'boolean'].includes(typeof value) && value !== ''

/** A text with the values of its fields; `encode` is done to each of them. What is missing stays as it is: `checkRest` has seen to the config, and a partition has its fields. */
export const fill = (text: string, values: AnyRecord, encode: (value: string) => string = (value) => value): string =>
  text.replace(placeholder, (whole, name: string) => {
    const value = lookUp(values, name)
    return isPlain(value) ? encode(String(value)) : whole
  })

/** The same for all texts within a body; a text that is nothing but a field becomes the value itself. */
export const fillBody = (body: unknown, values: AnyRecord): unknown => {
  if (typeof body === 'string') {
    const [, name] = /^\{([A-Za-z_][\w.]*)\}$/.exec(body) ?? []
    const value = name === undefined ? undefined : lookUp(values, name)
    return isPlain(value) ? value : fill(body, values)
  }
  if (Array.isArray(body)) return body.map((item) => fillBody(item, values))
  if (typeof body !== 'object' || body === null) return body
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [key, fillBody(value, values)]))
}

const textsOf = (value: unknown): readonly string[] => {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}
/** The names of all fields that a declared stream is completed with. */
export const placeholders = ({ base, path, query, headers, body }: RestStream): readonly string[] =>
  textsOf([base, path, query, headers, body]).flatMap((text) =>
    [...text.matchAll(placeholder)].map(([, name = '']) => name),
  )

const parentFields = ({ partitions }: RestStream): readonly string[] =>
  partitions !== undefined && 'fields' in partitions ? Object.keys(partitions.fields) : []

const units: Readonly<Record<number, string>> = { 1: 'milliseconds', 1000: 'whole seconds', 86_400_000: 'whole days' }
/** What is wrong with a declared stream by itself, in words; undefined where nothing is. */
export const restFault = (manifest: Manifest, name: string): string | undefined => {
  const { rest, cursor } = manifest.streams?.[name] ?? {}
  if (rest === undefined) return undefined
  // The compiler sees much of this too, but not everybody has one.
  const fault = declarationFault(rest)
  if (fault !== undefined) return fault
  const { partitions, wire, map, incremental, changes, base, method, body } = rest
  const columnsOf = (schema: Stream['schema']) => Object.keys('shape' in schema ? (schema.shape as object) : {})
  const { schema, primaryKey = [] } = manifest.streams?.[name] ?? {}
  const fields = schema === undefined ? [] : columnsOf(schema)
  const absent = [...primaryKey, ...(cursor === undefined ? [] : [cursor])].find((field) => !fields.includes(field))
  if (absent !== undefined && fields.length > 0) return `its schema has no field ${absent}`
  if ((wire === undefined) !== (map === undefined)) return 'wire and map belong together'
  if (body !== undefined && method !== 'POST') return 'a body is sent with method POST only'
  if (incremental !== undefined && cursor === undefined) return 'incremental needs a cursor'
  if (changes === 'compare' && (partitions !== undefined || incremental !== undefined))
    return 'changes: compare reads the whole list, without partitions and without incremental'
  if (base === undefined && manifest.hosts.length === 0) return 'there is no host to read it from'
  if (partitions === undefined) return undefined
  if ('windowMs' in partitions) {
    const { windowMs, from, form } = partitions
    const unit = form === 'date' ? 86_400_000 : form === 'epoch_s' ? 1000 : 1
    if (windowMs % unit !== 0) return `windowMs must be ${units[unit] ?? ''}`
    // Windows that are rounded would overlap.
    return Date.parse(from) % unit === 0 ? undefined : `the windows must begin at ${units[unit] ?? ''}`
  }
  for (let at = partitions; ;) {
    const parent = manifest.streams?.[at.parent]
    if (parent?.rest === undefined) return `its parent ${at.parent} is no stream that is declared with rest`
    const wrong = declarationFault(parent.rest)
    if (wrong !== undefined) return `its parent ${at.parent} is declared wrongly: ${wrong}`
    const columns = columnsOf(parent.schema)
    const unknown = Object.values(at.fields).find((field) => !columns.includes(field))
    if (unknown !== undefined) return `its parent ${at.parent} has no field ${unknown}`
    const above = parent.rest.partitions
    if (above === undefined || !('parent' in above)) return undefined
    if (above.parent === name || above.parent === at.parent) return 'its parents go round in a circle'
    at = above
  }
}

/** Refuses declared streams that cannot be read with this config: `invalid_config` names the field that is missing. */
export const checkRest = (manifest: Manifest, partner: string, config: unknown): void => {
  for (const [name, { rest }] of Object.entries(manifest.streams ?? {})) {
    if (rest === undefined) continue
    const fault = restFault(manifest, name)
    if (fault !== undefined)
      throw integrationError('internal', {
        partner,
        what: `the stream ${name} is declared wrongly: ${fault}`,
        next: 'Report it to the maker of the connector',
        details: {},
      })
    const ofPartition = parentFields(rest)
    const missing = placeholders(rest).find((field) => !ofPartition.includes(field) && !isPlain(lookUp(config, field)))
    if (missing !== undefined)
      throw integrationError('invalid_config', {
        partner,
        what: `config.${missing}: missing, and the stream ${name} is read with it`,
        details: { field: `config.${missing}` },
      })
  }
}
