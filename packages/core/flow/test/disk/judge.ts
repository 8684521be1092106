import type { AnyRecord } from '@ecokit/contracts'
import { isBad, logRowOf, snapName, type Shop } from '../kill/shop.ts'
import type { Outcome, Sentence, Task } from './task.ts'

const byId = (rows: readonly AnyRecord[]) => rows.toSorted((one, other) => Number(one['id']) - Number(other['id']))
const text = (rows: readonly AnyRecord[], ...fields: readonly string[]): string =>
  byId(rows)
    .map((row) => fields.map((field) => String(row[field])).join(' '))
    .join('\n')

/** What is wrong with what the tables hold; undefined where they are as the source. */
const wrongIn = (tables: Readonly<Record<string, readonly AnyRecord[]>>, shop: Shop): string | undefined => {
  for (const [name, rows] of Object.entries(tables)) {
    const [expected, fields]: [AnyRecord[], string[]] =
      name === 'log'
        ? [
            Array.from({ length: shop.events }, (_, id) => id)
              .filter((id) => !isBad(id))
              .map((id) => ({ ...logRowOf(id) })),
            ['id', 'at', 'name', 'big'],
          ]
        : name === 'items'
          ? [[...shop.items.values()].map((row) => ({ ...row })), ['id', 'at', 'name']]
          : [
              Array.from({ length: shop.sizes[shop.version] ?? 0 }, (_, id) => ({
                id,
                version: shop.version,
                name: snapName(id, shop.version),
              })),
              ['id', 'version', 'name'],
            ]
    if (text(rows, ...fields) !== text(expected, ...fields))
      return `${name}: ${rows.length} rows, not the ${expected.length} of the source`
  }
  return undefined
}

const isSentence = (found: Outcome['found']): found is Sentence => 'code' in found && typeof found.code === 'string'
const untyped = ({ code }: Sentence): boolean => code === 'internal' || code === 'untyped'
const say = ({ code, message }: Sentence): string => `${code}: ${message}`

/** `right`: the lake is as the source. `typed`: somebody was told. Anything else is what is wrong. */
export const judgeDamage = (outcome: Outcome | string, shop: Shop): string => {
  if (typeof outcome === 'string') return `the process died: ${outcome}`
  const { first, found } = outcome
  if (first !== undefined) return untyped(first) ? say(first) : 'typed'
  if (isSentence(found)) return untyped(found) ? say(found) : 'typed'
  const wrong = wrongIn(found, shop)
  return wrong === undefined ? 'right' : `silent: ${wrong}`
}
/** DuckDB 1.5.6 ends the process where it cannot put its log back after a write that failed: then the next process has to find everything right. */
export const endedByDuck = (outcome: Outcome | string): boolean =>
  typeof outcome === 'string' && outcome.includes("terminate called after throwing an instance of 'duckdb::")
export const judgeNext = (outcome: Outcome | string, shop: Shop): string => {
  const verdict = judgeDamage(outcome, shop)
  return verdict === 'right' ? 'ended by DuckDB, then right' : `after the end by DuckDB: ${verdict}`
}
/**
 * DuckDB 1.5.6 writes a block of metadata again that its header still names: where the disk takes half of it, and nothing from there on, the file is damaged,
 * which its checksums find (github.com/duckdb/duckdb/issues/9667). Nobody above it can mend that.
 */
const isTorn = ({ code, message }: Sentence, { config, fault }: Task): boolean =>
  config === 'database' && fault?.sticky === true && code === 'unavailable' && message.includes('The file is damaged')

/** The same for a disk that failed and works again: then everything has to be right. */
export const judgeFault = (outcome: Outcome | string, shop: Shop, task: Task): string => {
  if (typeof outcome === 'string') return `the process died: ${outcome}`
  const { first, second, found, fired } = outcome
  if (first !== undefined && (untyped(first) || fired === 0)) return say(first)
  if (second !== undefined) return isTorn(second, task) ? 'torn by DuckDB, told' : `afterwards: ${say(second)}`
  if (isSentence(found)) return `afterwards: ${say(found)}`
  const wrong = wrongIn(found, shop)
  if (wrong !== undefined) return `silent: ${wrong}`
  return first === undefined && task.fault !== undefined && fired > 0
    ? 'right'
    : first === undefined
      ? 'not met'
      : 'typed'
}
