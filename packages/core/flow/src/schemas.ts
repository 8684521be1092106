import { decide } from '@ecokit/json-scan'
import type { JsonSchema } from '@ecokit/contracts'
import type { SchemaChange } from './types.ts'

/** Fields from the record inwards; `[]` stands for the items of a list. */
export type Path = readonly string[]

type Schema = Readonly<Record<string, unknown>>
const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The fields of a record's JSON Schema. */
export const propertiesOf = (schema: unknown): Schema => {
  const properties = isSchema(schema) ? schema['properties'] : undefined
  return isSchema(properties) ? properties : {}
}

const follow = (schema: unknown, root: unknown): Schema => {
  if (!isSchema(schema)) return {}
  const reference = schema['$ref']
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return schema
  let found: unknown = root
  for (const step of reference.slice(2).split('/'))
    found = isSchema(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
  return isSchema(found) ? found : {}
}

const isNull = (schema: unknown): boolean =>
  isSchema(schema) && (schema['type'] === 'null' || ('const' in schema && schema['const'] === null))
const unionOf = (schema: Schema): readonly unknown[] | undefined => {
  const union = schema['anyOf'] ?? schema['oneOf']
  if (Array.isArray(union)) return union as readonly unknown[]
  return Array.isArray(schema['type']) ? schema['type'].map((type: unknown) => ({ ...schema, type })) : undefined
}

/** True where null is among the values. */
export const isNullable = (schema: unknown): boolean =>
  isSchema(schema) && (isNull(schema) || unionOf(schema)?.some(isNullable) === true)

/** A schema without null and references, where one is left. */
export const bare = (schema: unknown, root: unknown): Schema => {
  const found = follow(schema, root)
  const members = unionOf(found)?.filter((member) => !isNull(member))
  return members?.length === 1 ? bare(members[0], root) : found
}

/** Schemas may hold themselves. */
export const deepest = 12

const typeOfValue = (value: unknown): string =>
  value === null ? 'null' : typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value

/** What a field holds, in a word: `integer`, `list<string>`, `decimal(18,4)`; choices and bounds of a type do not change it. */
export const typeName = (schema: unknown, root: unknown, depth = 0): string => {
  if (depth > deepest) return 'any'
  const found = bare(schema, root)
  const union = unionOf(found)
  if (union !== undefined) {
    const names = new Set(union.filter((one) => !isNull(one)).map((one) => typeName(one, root, depth + 1)))
    return names.has('any') || names.size === 0 ? 'any' : [...names].toSorted().join(' | ')
  }
  const { type, format } = found
  switch (type) {
    case 'string':
      if (format === 'date-time') return 'timestamp'
      if (format === 'decimal') return `decimal(${String(found['precision'])},${String(found['scale'])})`
      return format === 'date' || format === 'local-date-time' ? format : 'string'
    case 'array':
      return 'prefixItems' in found ? 'list' : `list<${typeName(found['items'], root, depth + 1)}>`
    case 'object': {
      const values = found['additionalProperties']
      const named = Object.keys(propertiesOf(found)).length > 0
      return !named && isSchema(values) ? `map<${typeName(values, root, depth + 1)}>` : 'object'
    }
    case 'integer':
    case 'number':
    case 'boolean':
      return type
    default: {
      const values: readonly unknown[] =
        'const' in found ? [found['const']] : Array.isArray(found['enum']) ? found['enum'] : []
      const names = new Set(values.filter((value) => value !== null).map(typeOfValue))
      return names.size === 0 ? 'any' : [...names].toSorted().join(' | ')
    }
  }
}

const decimalOf = (name: string): { readonly whole: number; readonly scale: number } | undefined => {
  const found = /^decimal\((\d+),(\d+)\)$/.exec(name)
  return found === null ? undefined : { whole: Number(found[1]) - Number(found[2]), scale: Number(found[2]) }
}
/** True where every value of one type is one of the other. */
export const widens = (from: string, to: string): boolean => {
  if (to === 'any' || (from === 'integer' && to === 'number')) return true
  const [one, other] = [decimalOf(from), decimalOf(to)]
  if (one !== undefined && other !== undefined) return other.whole >= one.whole && other.scale >= one.scale
  const [items, others] = [/^list<(.*)>$/.exec(from)?.[1], /^list<(.*)>$/.exec(to)?.[1]]
  return items !== undefined && others !== undefined && widens(items, others)
}
/** A column of doubles holds whole numbers only up to 2^53. */
const isSafe = (schema: Schema): boolean =>
  Math.abs(Number(schema['minimum'])) <= Number.MAX_SAFE_INTEGER &&
  Math.abs(Number(schema['maximum'])) <= Number.MAX_SAFE_INTEGER

/** A change with what has to be known to act on it. */
export interface Difference extends SchemaChange {
  readonly path: Path
  /** The field's schema as it was agreed to. */
  readonly agreed?: unknown
  /** True where the new type holds all values of the old one. */
  readonly widening?: boolean
}

const dotted = (path: Path): string => path.join('.').replaceAll('.[]', '[]')

interface Compared {
  readonly differences: readonly Difference[]
  /** Columns whose values have become fewer: their table stays as it is. */
  readonly narrowed: ReadonlySet<string>
}

/** How the fields of a record's schema have changed. That a field may be null or missing, and what it may choose from, is no change. */
export const compareSchemas = (before: JsonSchema, after: JsonSchema): Compared => {
  const differences: Difference[] = []
  const narrowed = new Set<string>()
  const compareField = (one: unknown, other: unknown, path: Path): void => {
    const [agreed, planned] = [bare(one, before), bare(other, after)]
    const [from, to] = [typeName(agreed, before), typeName(planned, after)]
    if (path.length > deepest) return
    if (from === 'object' && to === 'object') {
      compareFields(agreed, planned, path)
      return
    }
    if (agreed['type'] === 'array' && planned['type'] === 'array') {
      const [items, others] = [bare(agreed['items'], before), bare(planned['items'], after)]
      if (typeName(items, before) === 'object' && typeName(others, after) === 'object') {
        compareFields(items, others, [...path, '[]'])
        return
      }
    }
    if (from === to) return
    if (widens(to, from) && (to !== 'integer' || from === 'any' || isSafe(planned))) {
      if (path.length === 1) narrowed.add(path[0] ?? '')
      return
    }
    differences.push({
      kind: 'type_changed',
      field: dotted(path),
      before: from,
      after: to,
      path,
      agreed: one,
      widening: widens(from, to),
    })
  }
  const compareFields = (one: unknown, other: unknown, path: Path): void => {
    const [agreed, planned] = [propertiesOf(one), propertiesOf(other)]
    for (const [name, schema] of Object.entries(agreed)) {
      const at = [...path, name]
      if (Object.hasOwn(planned, name)) compareField(schema, planned[name], at)
      else differences.push({ kind: 'column_removed', field: dotted(at), before: typeName(schema, before), path: at })
    }
    for (const [name, schema] of Object.entries(planned))
      if (!Object.hasOwn(agreed, name)) {
        const at = [...path, name]
        differences.push({ kind: 'column_added', field: dotted(at), after: typeName(schema, after), path: at })
      }
  }
  compareFields(before, after, [])
  return { differences, narrowed }
}

const isTimestamp = (text: string): boolean => 'row' in decide({ kind: 'timestamp' }, Buffer.from(JSON.stringify(text)))

/** True where a value can stand in a column of that schema; what is inside of objects is not looked at. */
export const fits = (value: unknown, schema: unknown): boolean => {
  if (value === null || value === undefined) return true
  const found = bare(schema, schema)
  const union = unionOf(found)
  if (union !== undefined) return union.some((member) => fits(value, member))
  const name = typeName(found, found)
  if (name === 'any') return true
  if (name === 'string') return typeof value === 'string'
  if (name === 'timestamp') return typeof value === 'string' && isTimestamp(value)
  if (name === 'date')
    return typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) && isTimestamp(`${value}T00:00:00Z`)
  if (name === 'local-date-time') return typeof value === 'string' && isTimestamp(`${value.replace(' ', 'T')}Z`)
  if (name === 'integer')
    return typeof value === 'bigint' ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value)
  if (name === 'number')
    return typeof value === 'number' || (typeof value === 'bigint' && BigInt(Number(value)) === value)
  if (name === 'boolean') return typeof value === 'boolean'
  if (name.startsWith('decimal')) {
    const form = { kind: 'decimal', precision: Number(found['precision']), scale: Number(found['scale']) } as const
    return (
      ['number', 'bigint', 'string'].includes(typeof value) &&
      'row' in decide(form, Buffer.from(typeof value === 'string' ? JSON.stringify(value) : String(value as number)))
    )
  }
  if (name.startsWith('list')) return Array.isArray(value) && value.every((item) => fits(item, found['items'] ?? {}))
  return isSchema(value)
}
