import { toJson, type AnyRecord, type Batch, type InvalidRecord } from '@ecokit/contracts'
import { castOf, isRefused } from './casts.ts'
import type { Judged } from './judge.ts'
import { doublesIn } from './doubles.ts'
import { recordsOf, withRecords } from './lines.ts'
import type { PlannedStream } from './plan.ts'
import { unsupported } from './refusals.ts'
import { fits, propertiesOf, type Path } from './schemas.ts'
import type { CastType } from './types.ts'

/** Where a column comes from. */
export interface MappedField {
  readonly field: string
  readonly column: string
  readonly cast?: CastType | undefined
}

/** Something that the schema contract does not take. */
export interface Guard {
  /** From the column inwards; `[]` stands for the items of a list. */
  readonly path: Path
  /** The dotted path, for reasons. */
  readonly field: string
  /** The schema that the value must fit; absent: there may be none. */
  readonly schema?: unknown
  readonly mode: 'discard_row' | 'discard_value'
  readonly reason: string
}

/** How the records of a stream become rows of its table. */
export interface Mapping {
  /** In the order of the table's columns. */
  readonly fields: readonly MappedField[]
  /** What is asked of the source; undefined: everything. */
  readonly columns: readonly string[] | undefined
  readonly guards: readonly Guard[]
  /** True where each record has to be looked at: bytes become objects first. */
  readonly perRecord: boolean
}

type Values = Readonly<Record<string, unknown>>
const isValues = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a guard makes of a value: the value, one without what is not taken, or `refused`. */
const guarded = (value: unknown, path: Path, guard: Guard): { readonly value: unknown } | 'refused' => {
  const [step, ...rest] = path
  if (step === undefined) {
    // A field that there should not be goes even where it holds null: the table has no column for it.
    if (value === undefined || value === null) return { value: guard.schema === undefined ? undefined : value }
    if (guard.schema !== undefined && fits(value, guard.schema)) return { value }
    return guard.mode === 'discard_row' ? 'refused' : { value: undefined }
  }
  if (value === undefined || value === null) return { value }
  if (step === '[]') {
    if (!Array.isArray(value)) return { value }
    const items: unknown[] = []
    for (const item of value) {
      const inner = guarded(item, rest, guard)
      if (inner === 'refused') return inner
      items.push(inner.value ?? null)
    }
    return { value: items }
  }
  if (!isValues(value) || !Object.hasOwn(value, step)) return { value }
  const inner = guarded(value[step], rest, guard)
  if (inner === 'refused') return inner
  if (inner.value === value[step]) return { value }
  const { [step]: _left, ...others } = value
  return { value: inner.value === undefined ? others : { ...value, [step]: inner.value } }
}

type Remade = { readonly row: AnyRecord } | { readonly invalid: InvalidRecord }

/** `schema` is that of the source's records. */
const remaker = ({ fields, guards }: Mapping, schema: unknown): ((record: AnyRecord, line?: boolean) => Remade) => {
  const casts = fields.map(({ field, column, cast }) => ({
    field,
    column,
    to: cast === undefined ? undefined : castOf(cast),
    // A cast takes the digits as they came.
    round: cast === undefined ? doublesIn(propertiesOf(schema)[field], schema) : undefined,
  }))
  return (record, line = false) => {
    const row: Record<string, unknown> = {}
    for (const { field, column, to, round } of casts) {
      if (!Object.hasOwn(record, field)) continue
      const value = record[field]
      if (value === undefined) continue
      const plain = line && round !== undefined ? round(value) : value
      const made = to === undefined || value === null ? plain : to(value)
      if (isRefused(made)) return { invalid: { record, field, reason: made.refused } }
      // A column may be called __proto__.
      Object.defineProperty(row, column, { value: made, enumerable: true, writable: true, configurable: true })
    }
    let judged: unknown = row
    for (const guard of guards) {
      const kept = guarded(judged, guard.path, guard)
      if (kept === 'refused') return { invalid: { record, field: guard.field, reason: guard.reason } }
      judged = kept.value
    }
    return { row: judged as AnyRecord }
  }
}

/** Opens what makes rows of a stream's records; undefined where they pass as they are. A deleted key that cannot be cast belongs to no row and is left out. */
export const openMapper = (
  { mapping, target, origin, stream }: PlannedStream,
  partner: string,
): ((batch: Batch<AnyRecord>) => Judged) | undefined => {
  if (!mapping.perRecord) return undefined
  const remake = remaker(mapping, origin.schema)
  const keys = new Set(target.primaryKey)
  const keyFields = mapping.fields.filter(({ column }) => keys.has(column))
  const remakeKey = remaker({ ...mapping, guards: [], fields: keyFields }, origin.schema)
  return (batch) => {
    const read = recordsOf(batch)
    // Only the sink can read it, and it would write other columns than those that were agreed to.
    if (read === undefined)
      throw unsupported(
        partner,
        `${stream}: Arrow cannot be renamed, cast or held against a contract`,
        'Leave that out',
      )
    const putAside = [...read.invalid]
    const rows: AnyRecord[] = []
    for (const record of read.records) {
      const remade = remake(record, batch.encoding === 'ndjson')
      if ('row' in remade) rows.push(remade.row)
      else putAside.push({ ...remade.invalid, record: toJson(record) })
    }
    const { deleted, ...rest } = withRecords(batch, rows)
    const gone = deleted?.map((key) => remakeKey(key)).flatMap((made) => ('row' in made ? [made.row] : []))
    return { batch: { ...rest, ...(gone !== undefined && { deleted: gone }) }, putAside }
  }
}
