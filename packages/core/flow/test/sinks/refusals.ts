import type { Struct } from '@ecokit/json-scan'
import { isNumberText, isObjectValue, parseExact, type Value } from '../../../json-scan/src/parse.ts'
import type { SinkKind } from './oracle.ts'

/** What PostgreSQL's README says it cannot hold, and the only thing that a sink refuses of what its stream takes. */
const noNul = 'PostgreSQL cannot hold U+0000 in a text'
/** True for a reason that is a sink's own. */
export const isOfSink = (reason: string): boolean => reason.endsWith(noNul)

/** The way to the first text in a value that holds U+0000, as PostgreSQL's reasons write it. */
const wayToNul = (value: Value, way: string): string | undefined => {
  if (typeof value === 'string') return value.includes('\0') ? way : undefined
  if (typeof value !== 'object' || value === null || isNumberText(value)) return undefined
  const items: Iterable<readonly [string | number, Value]> = isObjectValue(value) ? value.entries : value.entries()
  for (const [name, item] of items) {
    if (typeof name === 'string' && name.includes('\0')) return way
    const found = wayToNul(item, `${way}${name}: `)
    if (found !== undefined) return found
  }
  return undefined
}

/** Why a sink has to refuse a row that its stream takes; undefined where it has to hold it. */
export const sinkRefusal = ({ fields }: Struct, sink: SinkKind, row: string): string | undefined => {
  if (sink !== 'postgres' || !row.includes('\\u0000')) return undefined
  const exact = parseExact(row)
  if (!isObjectValue(exact)) return undefined
  for (const { name, form } of fields) {
    // A list of texts is an array of PostgreSQL: its items have no way of their own.
    const isArray = form.kind === 'list' && form.item.kind === 'string'
    const way = wayToNul(exact.entries.get(name) ?? null, '')
    if (way !== undefined) return `${name}: ${isArray ? '' : way}${noNul}`
  }
  return undefined
}
