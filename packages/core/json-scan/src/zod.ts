import { z } from 'zod'
import type { Field, Form } from './form.ts'

/** What keeps a schema from having a form: code that only zod can run. */
class NoForm extends Error {}

type Def = Readonly<Record<string, unknown>>
const defOf = (schema: z.ZodType): Def => schema._zod.def as unknown as Def
const refuse = (path: string, why: string): never => {
  throw new NoForm(`${path === '' ? 'the record' : path}: ${why}`)
}

/** Formats that zod checks by code beside, or instead of, a pattern. */
const formatsInCode = new Set([
  ...['url', 'httpUrl', 'ipv6', 'cidrv6', 'base64', 'base64url', 'jwt', 'json_string'],
  ...['starts_with', 'ends_with', 'includes', 'lowercase', 'uppercase'],
])

const checksOf = (schema: z.ZodType): readonly Def[] => {
  const def = defOf(schema)
  const own = typeof def['check'] === 'string' ? [def] : []
  const added = ((def['checks'] ?? []) as readonly { readonly _zod: { readonly def: Def } }[]).map(
    (check) => check._zod.def,
  )
  return [...own, ...added]
}

const stringForm = (schema: z.ZodType, path: string): Form => {
  const patterns: { source: string; flags: string }[] = []
  let [minLength, maxLength]: [number, number] = [0, Infinity]
  let time: Form | undefined
  for (const check of checksOf(schema)) {
    const { check: kind, format, pattern } = check
    if (kind === 'min_length') minLength = Math.max(minLength, Number(check['minimum']))
    else if (kind === 'max_length') maxLength = Math.min(maxLength, Number(check['maximum']))
    else if (kind === 'length_equals')
      [minLength, maxLength] = [
        Math.max(minLength, Number(check['length'])),
        Math.min(maxLength, Number(check['length'])),
      ]
    else if (kind === 'string_format' && format === 'datetime') {
      if (check['local'] === true || (check['precision'] ?? null) !== null)
        refuse(path, 'a time without a zone, or of one precision only')
      time = { kind: 'timestamp', ...(check['offset'] === true ? {} : { zoneOnlyZ: true }) }
    } else if (kind === 'string_format' && pattern instanceof RegExp && !formatsInCode.has(String(format)))
      patterns.push({ source: pattern.source, flags: pattern.flags.replaceAll(/[gy]/g, '') })
    else refuse(path, `the check ${String(format ?? kind)} is code`)
  }
  if (time !== undefined) {
    if (minLength > 0 || maxLength < Infinity || patterns.length > 0) refuse(path, 'a time with more checks')
    return time
  }
  return {
    kind: 'string',
    ...(minLength > 0 && { minLength }),
    ...(maxLength < Infinity && { maxLength }),
    ...(patterns.length > 0 && { patterns }),
  }
}

const numberForm = (schema: z.ZodType, path: string): Form => {
  let integer = false
  let [minimum, maximum, above, below]: [number, number, number, number] = [-Infinity, Infinity, -Infinity, Infinity]
  for (const { check, format, value, inclusive } of checksOf(schema)) {
    if (check === 'number_format' && (format === 'safeint' || format === 'int32' || format === 'uint32')) {
      integer = true
      const [low, high] =
        format === 'safeint'
          ? [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
          : format === 'int32'
            ? [-(2 ** 31), 2 ** 31 - 1]
            : [0, 2 ** 32 - 1]
      ;[minimum, maximum] = [Math.max(minimum, low), Math.min(maximum, high)]
    } else if (check === 'greater_than' && typeof value === 'number') {
      if (inclusive === true) minimum = Math.max(minimum, value)
      else above = Math.max(above, value)
    } else if (check === 'less_than' && typeof value === 'number') {
      if (inclusive === true) maximum = Math.min(maximum, value)
      else below = Math.min(below, value)
    } else refuse(path, `the check ${String(format ?? check)} is code`)
  }
  if (integer)
    return {
      kind: 'integer',
      minimum: BigInt(Math.max(Math.ceil(minimum), above === -Infinity ? -Infinity : Math.floor(above) + 1)),
      maximum: BigInt(Math.min(Math.floor(maximum), below === Infinity ? Infinity : Math.ceil(below) - 1)),
    }
  return {
    kind: 'double',
    ...(minimum > -Infinity && { minimum }),
    ...(maximum < Infinity && { maximum }),
    ...(above > -Infinity && { above }),
    ...(below < Infinity && { below }),
  }
}

const listForm = (schema: z.ZodType, path: string): Form => {
  let [minLength, maxLength]: [number, number] = [0, Infinity]
  for (const check of checksOf(schema))
    if (check['check'] === 'min_length') minLength = Math.max(minLength, Number(check['minimum']))
    else if (check['check'] === 'max_length') maxLength = Math.min(maxLength, Number(check['maximum']))
    else refuse(path, `the check ${String(check['check'])} is code`)
  return {
    kind: 'list',
    item: convert(defOf(schema)['element'] as z.ZodType, `${path}[]`),
    ...(minLength > 0 && { minLength }),
    ...(maxLength < Infinity && { maxLength }),
  }
}

const structForm = (schema: z.ZodType, path: string): Form => {
  const { shape, catchall } = defOf(schema) as {
    readonly shape: Readonly<Record<string, z.ZodType>>
    readonly catchall?: z.ZodType
  }
  const rest = catchall === undefined ? undefined : defOf(catchall)['type']
  if (rest !== undefined && rest !== 'never') refuse(path, 'unknown fields are kept')
  const fields = Object.entries(shape).map(([name, given]): Field => {
    const at = path === '' ? name : `${path}.${name}`
    const optional = defOf(given)['type'] === 'optional'
    const inner = optional ? (defOf(given)['innerType'] as z.ZodType) : given
    return { name, form: convert(inner, at), ...(optional && { optional }) }
  })
  return { kind: 'struct', fields, unknownFields: rest === 'never' ? 'refuse' : 'strip' }
}

const convert = (schema: z.ZodType, path: string): Form => {
  const meta = z.globalRegistry.get(schema) as Def | undefined
  // int64() and double() are one check each; what is more was added to them, and has their meta all the same.
  const own = ['pipe', 'custom'].includes(String(defOf(schema)['type'])) ? 1 : 0
  const added = checksOf(schema).filter(({ check }) => check === 'custom').length - own
  if (meta?.['format'] !== undefined && added > 0) refuse(path, 'a refinement is code')
  if (meta?.['format'] === 'int64') return { kind: 'integer' }
  if (meta?.['format'] === 'decimal') {
    if (checksOf(schema).length > 0) refuse(path, 'a decimal with more checks')
    return { kind: 'decimal', precision: Number(meta['precision']), scale: Number(meta['scale']) }
  }
  // NaN and the infinities cannot stand in JSON, so what is left of `double()` is any number.
  if (meta?.['format'] === 'double') return { kind: 'double' }
  const def = defOf(schema)
  const type = String(def['type'])
  const inner = def['innerType'] as z.ZodType
  const plain = (form: Form): Form => {
    if (checksOf(schema).length > 0) refuse(path, 'a refinement is code')
    return form
  }
  if (def['coerce'] === true) refuse(path, 'the value is coerced')
  switch (type) {
    case 'string':
      return stringForm(schema, path)
    case 'number':
      return numberForm(schema, path)
    case 'array':
      return listForm(schema, path)
    case 'object':
      return plain(structForm(schema, path))
    case 'boolean':
      return plain({ kind: 'boolean' })
    case 'enum':
    case 'literal': {
      const values = Object.values((type === 'enum' ? def['entries'] : def['values']) as object) as readonly unknown[]
      if (!values.every((value) => typeof value === 'string')) refuse(path, 'a choice that is not of texts')
      return plain({ kind: 'string', values: values as readonly string[] })
    }
    case 'nullable':
      return plain({ ...convert(inner, path), nullable: true })
    case 'readonly':
      return plain(convert(inner, path))
    case 'record': {
      const key = stringForm(def['keyType'] as z.ZodType, path)
      if (defOf(def['keyType'] as z.ZodType)['type'] !== 'string' || Object.keys(key).length > 1)
        refuse(path, 'a map whose keys are checked')
      return plain({ kind: 'map', value: convert(def['valueType'] as z.ZodType, `${path}.*`) })
    }
    case 'unknown':
    case 'any':
      return plain({ kind: 'json' })
    default:
      return refuse(path, `${type} is code`)
  }
}

/** The form of a zod schema, or in words why it has none, so that its records must be checked by zod itself: refinements, transforms, unions, coercions, unknown fields that are kept. */
export const formOf = (schema: z.ZodType): { readonly form: Form } | { readonly why: string } => {
  try {
    return { form: convert(schema, '') }
  } catch (error) {
    if (error instanceof NoForm) return { why: error.message }
    throw error
  }
}
