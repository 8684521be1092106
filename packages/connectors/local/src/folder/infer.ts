import type { JsonSchema } from '@ecokit/contracts'

const typeOf = (value: unknown): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  // Whole numbers have no -0: as one of them it would become 0.
  if (Object.is(value, -0)) return 'number'
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))) return 'integer'
  return typeof value
}
const typesOf = (schema: JsonSchema | undefined): readonly string[] => {
  const type = schema?.['type']
  return typeof type === 'string' ? [type] : Array.isArray(type) ? (type as readonly string[]) : []
}

/** The schema that holds what came before and one more record: the kinds of JSON values seen in each field. Texts stay texts: dates are not guessed. */
export const widen = (
  properties: Readonly<Record<string, JsonSchema>>,
  record: unknown,
): Readonly<Record<string, JsonSchema>> => {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return properties
  const seen = Object.entries(record).map(([name, value]): readonly [string, JsonSchema] => {
    const before = Object.hasOwn(properties, name) ? properties[name] : undefined
    const types = new Set([...typesOf(before), typeOf(value), 'null'])
    if (types.has('number')) types.delete('integer')
    return [name, { type: [...types].toSorted() }]
  })
  return { ...properties, ...Object.fromEntries(seen) }
}
