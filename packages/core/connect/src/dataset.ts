import path from 'node:path'
import type { DatasetName, Manifest } from '@ecokit/contracts'

const valueAt = (config: unknown, field: string): unknown => {
  let value = config
  for (const key of field.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  return value
}

/** A value as it stands in a name: of a URL what says where it is, never who may go there. */
const plain = (value: unknown): string | undefined => {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string' || value === '') return undefined
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? URL.parse(value) : null
  return url === null ? value : `${url.protocol}//${url.host}${url.pathname}`.replace(/\/+$/, '')
}

/** Fills the patterns of a manifest's dataset with the config; undefined where a field is not set. */
export const datasetOf = (
  manifest: Manifest,
  config: unknown,
  table: string,
  sink: string | undefined,
): DatasetName | undefined => {
  const sinks = manifest.sinks ?? {}
  const own = sink !== undefined && Object.hasOwn(sinks, sink) ? sinks[sink]?.dataset : undefined
  const pattern = own ?? manifest.dataset
  if (pattern === undefined) return undefined
  const missing: string[] = []
  const fill = (text: string): string =>
    text.replace(/\{([^{}]+)\}/g, (_, field: string) => {
      const value = field === 'table' ? table : plain(valueAt(config, field))
      if (value === undefined) missing.push(field)
      return value ?? ''
    })
  const [namespace, name] = [fill(pattern.namespace), fill(pattern.name)]
  if (missing.length > 0) return undefined
  return { namespace, name: namespace === 'file' ? path.resolve(name) : name }
}
