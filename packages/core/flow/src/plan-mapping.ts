import type { Discovered, JsonSchema } from '@ecokit/contracts'
import { castSchema, keepsKeys } from './casts.ts'
import type { MappedField, Mapping } from './mapping.ts'
import type { Known } from './plan.ts'
import { invalid } from './refusals.ts'
import { propertiesOf } from './schemas.ts'
import type { PipelineStream } from './types.ts'

interface PlannedMapping {
  readonly mapping: Mapping
  readonly target: Discovered
  /** The column of the cursor. */
  readonly cursor: string | undefined
}

/** The schema of a table that holds these columns. */
const tableSchema = (schema: JsonSchema, fields: readonly MappedField[]): JsonSchema => {
  const before = propertiesOf(schema)
  const properties = Object.fromEntries(
    fields.map(({ field, column, cast }) => [
      column,
      cast === undefined ? before[field] : (castSchema(cast, before[field]) ?? {}),
    ]),
  )
  const { required } = schema
  const kept = Array.isArray(required)
    ? { required: fields.filter(({ field }) => required.includes(field)).map(({ column }) => column) }
    : {}
  return { ...schema, properties, ...kept }
}

/** Decides which fields are read, how their columns are called and what they hold; says what is wrong with what was asked for. */
export const planMapping = (partner: string, wanted: PipelineStream, { table, cursor }: Known): PlannedMapping => {
  const { stream, columns, rename = {}, cast = {} } = wanted
  const at = `streams.${stream}`
  const known = Object.keys(propertiesOf(table.schema))
  const keys = table.primaryKey ?? []
  const unknown = (where: string, field: string, among: readonly string[]) =>
    invalid(partner, `${at}.${where}`, `${stream} has no field ${field}`, `Choose from: ${among.join(', ')}`)

  for (const field of columns ?? []) if (!known.includes(field)) throw unknown('columns', field, known)
  if (columns?.length === 0)
    throw invalid(partner, `${at}.columns`, 'no column is left', `Choose from: ${known.join(', ')}`)
  const needed = new Set([...(columns ?? known), ...keys, ...(cursor === undefined ? [] : [cursor])])
  const fields = known.filter((field) => needed.has(field))
  for (const field of Object.keys(rename)) if (!fields.includes(field)) throw unknown('rename', field, fields)

  const names = new Map<string, string>()
  for (const field of fields) {
    const column = (Object.hasOwn(rename, field) ? rename[field] : undefined) ?? field
    if (column === '') throw invalid(partner, `${at}.rename`, `${field} would have no name`, 'Name its column')
    const other = names.get(column)
    if (other !== undefined)
      throw invalid(
        partner,
        `${at}.rename`,
        `${other} and ${field} would both be the column ${column}`,
        'Rename one of them',
      )
    names.set(column, field)
  }
  const mapped = fields.map((field): MappedField => {
    const column = (Object.hasOwn(rename, field) ? rename[field] : undefined) ?? field
    const type = Object.hasOwn(cast, column) ? cast[column] : undefined
    return { field, column, ...(type !== undefined && { cast: type }) }
  })
  const made = mapped.map(({ column }) => column)
  for (const [column, type] of Object.entries(cast)) {
    if (!made.includes(column)) throw unknown('cast', column, made)
    if (castSchema(type, undefined) === undefined)
      throw invalid(
        partner,
        `${at}.cast.${column}`,
        `there is no type ${type}`,
        'Choose from: string, integer, number, boolean, timestamp, date, json, decimal(18,4) and the like',
      )
  }
  const columnOf = (field: string): string => mapped.find((one) => one.field === field)?.column ?? field
  for (const { field, column, cast: type } of mapped)
    if (type !== undefined && keys.includes(field) && !keepsKeys(type))
      throw invalid(
        partner,
        `${at}.cast.${column}`,
        `as ${type} two different primary keys could become one`,
        'Cast it to string or integer, or leave it as it is',
      )
  const perRecord = mapped.some(({ field, column, cast: type }) => field !== column || type !== undefined)
  return {
    mapping: { fields: mapped, columns: columns === undefined ? undefined : fields, guards: [], perRecord },
    target: {
      name: table.name,
      schema: perRecord || columns !== undefined ? tableSchema(table.schema, mapped) : table.schema,
      ...(table.primaryKey && { primaryKey: keys.map(columnOf) }),
    },
    cursor: cursor === undefined ? undefined : columnOf(cursor),
  }
}
