import type { AnyRecord, Batch } from '@ecokit/contracts'
import { openScanner, type Field, type Form, type Struct } from '@ecokit/json-scan'
import { holdAgainst, openPatience } from './quality-patterns.ts'
import type { PlannedRule } from './quality-rules.ts'
import type { RowRule } from './quality-values.ts'

type NdjsonBatch = Extract<Batch<AnyRecord>, { readonly encoding: 'ndjson' | 'arrow' }>
const feed = 10

/** A field that is left only what a rule takes; undefined where its form has no words for the rule. It may refuse more than the rule does, never less. */
const narrow = ({ optional, ...field }: Field, rule: RowRule): Field | undefined => {
  const { form } = field
  const kept = (narrowed: Form): Field => ({ ...field, form: narrowed, ...(optional === true && { optional }) })
  if (rule.rule === 'not_null')
    // A value of any kind may be null, whatever its form says.
    return form.kind === 'json' ? undefined : { ...field, form: { ...form, nullable: false } }
  if (rule.rule === 'range') {
    const { min = -Infinity, max = Infinity } = rule
    if (typeof min === 'string' || typeof max === 'string') return undefined
    // The scanner has no quick words for bounds of doubles: to read each record is five times as fast.
    if (form.kind !== 'integer' || [min, max].some((bound) => Math.abs(bound) > 2 ** 62 && Number.isFinite(bound)))
      return undefined
    const low = min === -Infinity ? undefined : BigInt(Math.ceil(min))
    const high = max === Infinity ? undefined : BigInt(Math.floor(max))
    return kept({
      ...form,
      ...(low !== undefined && { minimum: form.minimum !== undefined && form.minimum > low ? form.minimum : low }),
      ...(high !== undefined && { maximum: form.maximum !== undefined && form.maximum < high ? form.maximum : high }),
    })
  }
  if (form.kind !== 'string') return undefined
  if (rule.rule === 'set') {
    const texts = rule.values.filter((value) => typeof value === 'string')
    const values = form.values === undefined ? texts : form.values.filter((value) => texts.includes(value))
    return values.length === 0 ? undefined : kept({ ...form, values })
  }
  if (form.values === undefined)
    return kept({ ...form, patterns: [...(form.patterns ?? []), { source: rule.pattern, flags: '' }] })
  const { without, unjudged } = holdAgainst(new RegExp(rule.pattern), form.values, openPatience(0))
  const values = form.values.filter((_, at) => !without.has(at) && !unjudged.has(at))
  return values.length === 0 ? undefined : kept({ ...form, values })
}

const isRequired = ({ form, optional }: Field): boolean =>
  optional !== true && form.nullable !== true && form.kind !== 'json'

/** The lines of proven NDJSON that may break a rule, found without making objects. */
export type Sieve = (bytes: Uint8Array) => readonly { readonly index: number; readonly text: string }[]

/** True where JSON.parse reads the fields that the rules look at without changing a value: no integer beyond 2^53 can stand in them. */
export const readsPlainly = (form: Struct, fields: readonly string[]): boolean =>
  fields.every((name) => {
    const kind = form.fields.find((field) => field.name === name)?.form.kind
    return kind === 'string' || kind === 'timestamp' || kind === 'double' || kind === 'boolean'
  })

/** Opens the sieve for records of a form; undefined where a rule asks for something that forms have no words for, so that each record must be read. */
export const openSieve = (
  form: Struct,
  rules: readonly PlannedRule<RowRule>[],
  engine?: 'wasm' | 'javascript',
): Sieve | undefined => {
  const fields = new Map(form.fields.map((field) => [field.name, field]))
  let asks = false
  for (const { rule } of rules) {
    const field = fields.get(rule.field)
    // What the form takes anyway was proved already.
    if (rule.rule === 'not_null' && field !== undefined && isRequired(field)) continue
    asks = true
    const narrowed = field && narrow(field, rule)
    if (narrowed === undefined) return undefined
    fields.set(rule.field, narrowed)
  }
  if (!asks) return () => []
  const scanner = openScanner({ ...form, fields: [...fields.values()] }, engine === undefined ? {} : { engine })
  return (bytes) => scanner.lines(bytes).rejected.map(({ index, record }) => ({ index, text: record }))
}

/** The lines of NDJSON that hold something: where each begins and where its line feed, if any, ends it. */
export const linesOf = function* (bytes: Uint8Array): Iterable<readonly [number, number]> {
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(feed, start)
    const end = found === -1 ? bytes.length : found + 1
    if (bytes.subarray(start, end).some((byte) => byte > 32)) yield [start, end]
    start = end
  }
}

/** The batch without some of its lines, by their index. */
export const withoutLines = (batch: NdjsonBatch, left: ReadonlySet<number>): Batch<AnyRecord> => {
  const { bytes } = batch
  const parts: Uint8Array[] = []
  let [index, from, to] = [0, 0, 0]
  for (const [, end] of linesOf(bytes)) {
    if (left.has(index)) {
      if (to > from) parts.push(bytes.subarray(from, to))
      from = end
    }
    to = end
    index += 1
  }
  if (to > from) parts.push(bytes.subarray(from, to))
  return { ...batch, bytes: Buffer.concat(parts), count: batch.count - left.size }
}
