import type { Struct } from '@ecokit/json-scan'
import { isNumberText, isObjectValue, parseExact, type Value } from '../../../json-scan/src/parse.ts'
import type { SinkKind } from './oracle.ts'

/** What PostgreSQL's README says it cannot hold. */
const noNul = 'PostgreSQL cannot hold U+0000 in a text'
/** What no column of JSON holds: a number beyond every double. */
const noForm = 'Infinity has no form in JSON'
/** True for reasons that are a sink's own. */
export const isOfSink = (reason: string): boolean => reason.endsWith(noNul) || reason.endsWith(noForm)

/** The first thing in a value that the sink cannot hold, as its reasons write it: the way there, and why. */
const faultIn = (value: Value, way: string, holdsNul: boolean): string | undefined => {
  if (typeof value === 'string') return !holdsNul && value.includes('\0') ? `${way}${noNul}` : undefined
  if (typeof value !== 'object' || value === null) return undefined
  if (isNumberText(value)) {
    const near = Number(value.digits)
    return Number.isFinite(near) ? undefined : `${way}${near < 0 ? '-' : ''}${noForm}`
  }
  const items: Iterable<readonly [string | number, Value]> = isObjectValue(value) ? value.entries : value.entries()
  for (const [name, item] of items) {
    if (!holdsNul && typeof name === 'string' && name.includes('\0')) return `${way}${noNul}`
    const found = faultIn(item, `${way}${name}: `, holdsNul)
    if (found !== undefined) return found
  }
  return undefined
}
const suspicious = /\\u0000|[eE]\+?\d{3}|\d{300}/

/** Why a sink has to refuse a row that its stream takes; undefined where it has to hold it. */
export const sinkRefusal = ({ fields }: Struct, sink: SinkKind, row: string): string | undefined => {
  if (sink === 'endpoint' || !suspicious.test(row)) return undefined
  const exact = parseExact(row)
  if (!isObjectValue(exact)) return undefined
  for (const { name, form } of fields) {
    // A list of texts is an array of PostgreSQL: its items have no way of their own.
    const isArray = form.kind === 'list' && form.item.kind === 'string'
    const why = faultIn(exact.entries.get(name) ?? null, '', sink !== 'postgres')
    if (why !== undefined) return `${name}: ${isArray ? noNul : why}`
  }
  return undefined
}
