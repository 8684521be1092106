import { integrationError } from '@ecokit/contracts'
import type { Discovered, JsonSchema } from '@ecokit/contracts'
import { isWellFormed } from './json.ts'

type Schema = Readonly<Record<string, unknown>>
const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const follow = (schema: Schema, root: Schema): Schema => {
  const reference = schema['$ref']
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return schema
  let found: unknown = root
  for (const step of reference.slice(2).split('/'))
    found = isSchema(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
  return isSchema(found) ? found : {}
}
/** A field's schema without its reference, as it is kept when the schema that it stood in is gone. */
export const inlined = (field: unknown, root: JsonSchema): unknown => (isSchema(field) ? follow(field, root) : field)

const allowsNull = (type: unknown): boolean => type === 'null' || (Array.isArray(type) && type.includes('null'))
const isNull = (schema: unknown): boolean =>
  isSchema(schema) && (schema['type'] === 'null' || ('const' in schema && schema['const'] === null))
/** The schema, with null allowed. */
export const orNull = (schema: JsonSchema): JsonSchema => {
  const { type, anyOf } = schema
  const plain = schema['enum'] === undefined && schema['const'] === undefined
  const some = Array.isArray(anyOf) && anyOf.some((member) => isSchema(member) && allowsNull(member['type']))
  if (Object.keys(schema).length === 0 || allowsNull(type) || some) return schema
  return typeof type === 'string' && plain ? { ...schema, type: [type, 'null'] } : { anyOf: [schema, { type: 'null' }] }
}

/** A column type that every store has; `json` keeps the schema of its values. */
export type PlainType =
  { readonly kind: 'boolean' | 'bigint' | 'double' } | { readonly kind: 'json'; readonly schema: unknown }
/** How a store makes types of its own of JSON Schema. */
export interface Typing<Type extends { readonly kind: string }> {
  /** The type in the store's words: where two are the same, so are the types. */
  readonly sql: (type: Type | PlainType) => string
  /** That of any text. */
  readonly anyText: Type
  /** The kinds that are texts in a record, that of any text among them. */
  readonly texts: readonly string[]
  /** The type of a text by its format. */
  readonly text: (schema: Schema) => Type
  /** That of a list of such items; undefined where it can only be JSON. */
  readonly list: (of: Type | PlainType) => Type | undefined
  /** That of an object; undefined, or absent, where it can only be JSON. */
  readonly object?: (schema: Schema, typeOf: (field: unknown) => Type | PlainType) => Type | undefined
}

const typeOfValue = (value: unknown): string =>
  typeof value === 'number' ? (Number.isInteger(value) ? 'integer' : 'number') : typeof value

/** Gives the column type for the JSON Schema of a field; null in a union only says that the column may be empty, as every column may. */
export const columnTypes = <Type extends { readonly kind: string }>(typing: Typing<Type>) => {
  type Any = Type | PlainType
  /** The one type that holds every member: the same, text for texts, a double for numbers, else JSON. */
  const common = (types: readonly Any[], schema: Schema): Any => {
    const [first] = types
    // Each member's JSON has a schema of its own, and only that of the whole says what may stand in it.
    if (first !== undefined && types.length > 1 && types.every(({ kind }) => kind === 'json'))
      return { kind: 'json', schema }
    if (first !== undefined && types.every((type) => typing.sql(type) === typing.sql(first))) return first
    if (first !== undefined && types.every(({ kind }) => typing.texts.includes(kind))) return typing.anyText
    if (first !== undefined && types.every(({ kind }) => kind === 'bigint' || kind === 'double'))
      return { kind: 'double' }
    return { kind: 'json', schema }
  }
  const byType = (type: unknown, schema: Schema, root: Schema): Any => {
    const typeOf = (field: unknown) => columnType(field, root)
    switch (type) {
      case 'boolean':
        return { kind: 'boolean' }
      case 'integer':
        return { kind: 'bigint' }
      case 'number':
        return { kind: 'double' }
      case 'string':
        return typing.text(schema)
      case 'array': {
        const items = isSchema(schema['items']) && !('prefixItems' in schema) ? typeOf(schema['items']) : undefined
        return (items === undefined ? undefined : typing.list(items)) ?? { kind: 'json', schema }
      }
      case 'object':
        return typing.object?.(schema, typeOf) ?? { kind: 'json', schema }
      default:
        return { kind: 'json', schema }
    }
  }
  const columnType = (field: unknown, root: JsonSchema): Any => {
    if (!isSchema(field)) return { kind: 'json', schema: {} }
    const schema = follow(field, root)
    for (const union of [schema['anyOf'], schema['oneOf']])
      if (Array.isArray(union)) {
        const members = union.filter((member) => !isNull(member)).map((member) => columnType(member, root))
        return common(members, schema)
      }
    const { type } = schema
    if (type === undefined) {
      const values: readonly unknown[] =
        'const' in schema ? [schema['const']] : Array.isArray(schema['enum']) ? schema['enum'] : []
      const types = values.filter((value) => value !== null).map((value) => byType(typeOfValue(value), schema, root))
      return common(types, schema)
    }
    if (!Array.isArray(type)) return byType(type, schema, root)
    return common(
      type.filter((member) => member !== 'null').map((member) => byType(member, schema, root)),
      schema,
    )
  }
  return columnType
}

/** What is against a name in any store, with the reason; bookkeeping has names of its own. */
export const nameFault = (name: string): string | undefined => {
  if (name === '') return 'a name may not be empty'
  if (name.includes('\0') || !isWellFormed(name)) return 'a name may not hold NUL or half of a surrogate pair'
  if (name.toLowerCase().startsWith('_ecokit_')) return 'names that start with _ecokit_ are kept for bookkeeping'
  return undefined
}

/** The fields of a table's schema, which become columns; `invalid_input` names what is wrong. `fault` says what is against a name in this store. */
export const fieldsOf = (
  table: Discovered,
  partner: string,
  fault: (name: string, what: 'table' | 'column') => string | undefined,
): readonly (readonly [string, unknown])[] => {
  const wrong = (field: string, reason: string) =>
    integrationError('invalid_input', { partner, what: `table ${table.name}: ${field}: ${reason}`, details: { field } })
  const tableFault = nameFault(table.name) ?? fault(table.name, 'table')
  if (tableFault !== undefined) throw wrong('table.name', tableFault)
  const properties = table.schema['properties']
  if (!isSchema(properties) || Object.keys(properties).length === 0)
    throw wrong('table.schema', 'needs at least one property, which becomes a column')
  for (const name of Object.keys(properties)) {
    const reason = nameFault(name) ?? fault(name, 'column')
    if (reason !== undefined) throw wrong(`table.schema.properties.${name}`, reason)
  }
  for (const key of table.primaryKey ?? [])
    if (!Object.hasOwn(properties, key)) throw wrong('table.primaryKey', `${key} is not a property of the schema`)
  return Object.entries(properties)
}
