import { firstIssue, jsonSchema } from '@ecokit/contracts'
import type { z } from 'zod'

/** What zod is shown in place of a key that it leaves out of maps without a word. */
const [leftOut, shownKey] = ['__proto__', '\ue000__proto__']

/** Plain objects are made again, each with its own members alone where they are `bare`; all else is as it was. */
const again = (value: unknown, bare: boolean, from: string, to: string): unknown => {
  if (Array.isArray(value)) return value.map((item) => again(item, bare, from, to))
  // Code in the schema may have made a text of the key that it was shown.
  if (typeof value === 'string' && from === shownKey) return value.replaceAll(from, to)
  if (typeof value !== 'object' || value === null) return value
  const prototype = Object.getPrototypeOf(value) as object | null
  if (prototype !== null && prototype !== Object.prototype) return value
  const made = Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key === from ? to : key, again(item, bare, from, to)]),
  )
  return bare || prototype === null ? Object.assign(Object.create(null) as object, made) : made
}
const holds = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(holds)
  return Object.hasOwn(value, leftOut) || Object.values(value).some(holds)
}

/** Whether the schema has maps, and fields whose names every object inherits. */
const looksFor = (schema: z.ZodType): { readonly maps: boolean; readonly inherited: boolean } => {
  const found = { maps: false, inherited: false }
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { properties, additionalProperties } = node as Readonly<Record<string, unknown>>
    if (typeof additionalProperties === 'object' && additionalProperties !== null) found.maps = true
    if (typeof properties === 'object' && properties !== null)
      found.inherited ||= Object.keys(properties).some((name) => name in Object.prototype)
    Object.values(node).forEach(walk)
  }
  // What goes in: what code makes of it has no schema.
  walk(jsonSchema(schema, 'input'))
  return found
}

export type Gated = { readonly value: unknown } | { readonly field: string; readonly reason: string }

/**
 * A zod schema that sees the keys that a value has, all of them and no others: by itself zod leaves `__proto__` out of maps, and takes what every object
 * inherits for a field of that name (`constructor`).
 */
export const openGate = (schema: z.ZodType): ((value: unknown) => Gated) => {
  let odd: ReturnType<typeof looksFor> | undefined
  return (value) => {
    odd ??= looksFor(schema)
    const hides = odd.maps && holds(value)
    const shown = hides || odd.inherited ? again(value, odd.inherited, leftOut, shownKey) : value
    const parsed = schema.safeParse(shown)
    if (parsed.success) return { value: hides ? again(parsed.data, false, shownKey, leftOut) : parsed.data }
    const { field, message } = firstIssue(parsed.error)
    return { field: field.replaceAll(shownKey, leftOut), reason: message }
  }
}
