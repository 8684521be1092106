import { bare, deepest, propertiesOf } from './schemas.ts'

type Fix = (value: unknown) => unknown

/**
 * What makes doubles of the long integers in a line's record where its schema says number: lines are read with all digits, and a sink that is given the bytes themselves rounds them in the same way.
 * Undefined where the schema has no number.
 */
export const doublesIn = (schema: unknown, root: unknown, depth = 0): Fix | undefined => {
  if (depth > deepest) return undefined
  const found = bare(schema, root)
  if (found['type'] === 'number') return (value) => (typeof value === 'bigint' ? Number(value) : value)
  if (found['type'] === 'array') {
    const item = doublesIn(found['items'], root, depth + 1)
    return item && ((value) => (Array.isArray(value) ? value.map(item) : value))
  }
  if (found['type'] !== 'object') return undefined
  const fields = new Map<string, Fix>()
  for (const [name, field] of Object.entries(propertiesOf(found))) {
    const fix = doublesIn(field, root, depth + 1)
    if (fix !== undefined) fields.set(name, fix)
  }
  const others = doublesIn(found['additionalProperties'], root, depth + 1)
  if (fields.size === 0 && others === undefined) return undefined
  const named = propertiesOf(found)
  const fixed = (name: string, value: unknown): unknown => {
    const fix = Object.hasOwn(named, name) ? fields.get(name) : others
    return fix === undefined ? value : fix(value)
  }
  return (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, fixed(name, field)]))
      : value
}
