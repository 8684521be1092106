import { z } from 'zod'
import { listOf, quote, unknownWord } from './suggest.ts'
import type { Path } from './source.ts'

/** Something that a schema refuses, said for people. */
export interface Finding {
  readonly path: Path
  readonly message: string
  /** Where an editor should point: at the name or at what it holds. */
  readonly at: 'key' | 'value'
  /** Where a secret that stands in clear should be kept instead: its name in the vault, and the partner that it belongs to; none where several may use it. */
  readonly secret?: { readonly name: string; readonly partner?: string }
}

type Json = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What stands at a path of a plain value; undefined where there is nothing. */
export const valueAt = (value: unknown, path: Path): unknown => {
  let here = value
  for (const step of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined
    here = (here as Record<string | number, unknown>)[step]
  }
  return here
}

const known = new WeakMap<z.ZodType, Json>()
/** The input side of a schema as JSON Schema draft 7, which is what editors know best. */
export const inputSchema = (schema: z.ZodType): Json => {
  const made = known.get(schema) ?? z.toJSONSchema(schema, { io: 'input', target: 'draft-7', unrepresentable: 'any' })
  known.set(schema, made)
  return made
}

/** Every schema that may describe the value at a path. */
const schemasAt = (root: Json, path: Path): readonly Json[] => {
  const open = (node: unknown, seen = 0): readonly Json[] => {
    if (!isObject(node) || seen > 8) return []
    const reference = node['$ref']
    const target =
      typeof reference === 'string' && reference.startsWith('#')
        ? [valueAt(root, reference.slice(1).split('/').slice(1))]
        : []
    const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((name) =>
      Array.isArray(node[name]) ? (node[name] as unknown[]) : [],
    )
    return [node, ...[...target, ...branches].flatMap((item) => open(item, seen + 1))]
  }
  let here = open(root)
  for (const step of path) {
    here = here.flatMap((node) => {
      if (typeof step === 'number') return open(node['items'])
      const properties = node['properties']
      return isObject(properties) && Object.hasOwn(properties, step)
        ? open(properties[step])
        : open(node['additionalProperties'])
    })
  }
  return here
}

const nouns: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'a map of fields',
  record: 'a map of fields',
  array: 'a list',
  null: 'nothing',
  undefined: 'nothing',
}
const nounOf = (value: unknown): string => {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const noun = nouns[kind] ?? kind
  return kind === 'number' || kind === 'boolean' ? `${noun} (in quotes it is a text)` : noun
}
const describe = (schemas: readonly Json[]): string => {
  const first = schemas[0] ?? {}
  const choices = 'const' in first ? [first['const']] : first['enum']
  const what =
    first['format'] === 'uri'
      ? 'a URL'
      : Array.isArray(choices)
        ? `${choices.length === 1 ? '' : 'one of '}${listOf(choices.map(String))}`
        : (nouns[typeof first['type'] === 'string' ? first['type'] : ''] ?? 'a value')
  const about = schemas
    .map((schema) => schema['description'] ?? schema['title'])
    .find((text) => typeof text === 'string')
  return typeof about === 'string' ? `${what} (${about.replace(/\.$/, '')})` : what
}

/** True where no constant of the schema says that the value is of another form. */
const isMeant = ({ properties }: Json, value: unknown): boolean =>
  !isObject(properties) ||
  Object.entries(properties).every(
    ([name, field]) => !isObject(field) || !('const' in field) || valueAt(value, [name]) === field['const'],
  )

/** The branch of a union that the value was probably meant for: the one that got furthest, then the one with the fewest faults. */
const branchOf = (branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] => {
  const depth = (issues: readonly z.core.$ZodIssue[]): number => Math.max(0, ...issues.map(({ path }) => path.length))
  const kind = (issues: readonly z.core.$ZodIssue[]): boolean =>
    issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0)
  return (
    [...branches].sort(
      (left, right) =>
        Number(kind(left)) - Number(kind(right)) || depth(right) - depth(left) || left.length - right.length,
    )[0] ?? []
  )
}

const bounds = (issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): string => {
  const [word, limit] = issue.code === 'too_big' ? ['most', issue.maximum] : ['least', issue.minimum]
  const unit = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' items' : ''
  const edge = issue.inclusive === false ? (issue.code === 'too_big' ? 'less than' : 'more than') : `at ${word}`
  return `must be ${edge} ${limit}${unit}`
}

const explainIssue = (issue: z.core.$ZodIssue, schema: Json, value: unknown, before: Path): readonly Finding[] => {
  const path = [...before, ...issue.path.filter((step) => typeof step !== 'symbol')]
  const found = valueAt(value, path)
  const here = (message: string, at: 'key' | 'value' = 'value'): readonly Finding[] => [{ path, message, at }]
  switch (issue.code) {
    case 'unrecognized_keys': {
      const fields = schemasAt(schema, path)
        .filter((node) => isMeant(node, valueAt(value, path)))
        .flatMap((node) => Object.keys(isObject(node['properties']) ? node['properties'] : {}))
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: unknownWord('field', key, [...new Set(fields)], 'fields here'),
        at: 'key',
      }))
    }
    case 'invalid_union': {
      if (issue.errors.length > 0)
        return branchOf(issue.errors).flatMap((item) => explainIssue(item, schema, value, path))
      const { options } = issue as { readonly options?: readonly unknown[] }
      if (options === undefined) break
      // The word that says which of several forms this is.
      if (typeof found === 'string') return here(unknownWord('value', found, options.map(String), 'allowed values'))
      return here(`${found === undefined ? 'missing; ' : ''}expected one of ${listOf(options.map(String))}`)
    }
    case 'invalid_key':
      return here(issue.issues[0]?.message ?? 'not a good name', 'key')
  }
  // A connector's own words for a field are better than ours.
  const own = !issue.message.startsWith('Invalid ')
  if (found === undefined && issue.code !== 'custom')
    return here(`missing; ${own ? issue.message : `expected ${describe(schemasAt(schema, path))}`}`)
  switch (issue.code) {
    case 'invalid_type':
      return here(own ? issue.message : `expected ${nouns[issue.expected] ?? issue.expected}, found ${nounOf(found)}`)
    case 'invalid_value': {
      if (own) return here(issue.message)
      const values = issue.values.map(String)
      return typeof found === 'string'
        ? here(unknownWord('value', found, values, 'allowed values'))
        : here(`expected ${values.length === 1 ? '' : 'one of '}${listOf(values)}`)
    }
    case 'too_big':
    case 'too_small':
      return here(issue.message.startsWith('Too ') ? bounds(issue) : issue.message)
    case 'invalid_format':
      return here(
        issue.format === 'url' && typeof found === 'string' && issue.message === 'Invalid URL'
          ? `${quote(found)} is not a URL; write it in full, such as https://host:port`
          : issue.message,
      )
    default:
      return here(issue.message)
  }
}

/** Everything that a schema refuses in a value, and what its output is when it refuses nothing. Never throws. */
export const inspect = <S extends z.ZodType>(
  schema: S,
  value: unknown,
  at: Path,
): { readonly data: z.output<S> | undefined; readonly findings: readonly Finding[] } => {
  const under = (finding: Finding): Finding => ({ ...finding, path: [...at, ...finding.path] })
  try {
    const parsed = schema.safeParse(value)
    if (parsed.success) return { data: parsed.data, findings: [] }
    const json = inputSchema(schema)
    return {
      data: undefined,
      findings: parsed.error.issues.flatMap((issue) => explainIssue(issue, json, value, []).map(under)),
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { data: undefined, findings: [{ path: at, message: `cannot be checked: ${reason}`, at: 'value' }] }
  }
}
