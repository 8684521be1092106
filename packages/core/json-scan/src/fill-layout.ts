import { integrationError } from '@ecokit/contracts'
import type { Field, Form } from './form.ts'

/** The most rows of a chunk: what one vector of DuckDB holds. */
export const chunkRows = 2048

/** How many long texts end a chunk. */
export const longRoom = 256

export type ColumnKind = 'text' | 'integer' | 'double' | 'boolean' | 'decimal' | 'timestamp' | 'json' | 'struct'
const kinds: readonly ColumnKind[] = ['text', 'integer', 'double', 'boolean', 'decimal', 'timestamp', 'json', 'struct']
const kindOf: Readonly<Record<Form['kind'], ColumnKind>> = {
  string: 'text',
  integer: 'integer',
  double: 'double',
  boolean: 'boolean',
  decimal: 'decimal',
  timestamp: 'timestamp',
  struct: 'struct',
  // What has no width of its own stays as it is written.
  list: 'json',
  map: 'json',
  json: 'json',
}

/** Where the values of a column lie in the filler's buffer, in bytes. */
export interface FilledColumn {
  readonly name: string
  /** The index of the nested object that it is a field of, which comes before it; absent: it is a field of the record. */
  readonly parent?: number
  /** How many of the columns that follow belong to this nested object. */
  readonly within: number
  readonly kind: ColumnKind
  /** Digits of a decimal. */
  readonly precision: number
  readonly scale: number
  /** Bytes of a value; a decimal takes 2, 4, 8 or 16, as its precision asks for. A text takes 16, see `Filler`. A nested object has none, only its bits. */
  readonly width: number
  readonly dataAt: number
  /** One bit a row, the lowest first; 0 is null. */
  readonly validAt: number
  /** Bytes of the longer texts, one behind the other; 0 where the column has none. */
  readonly blobAt: number
  readonly nullable: boolean
  readonly optional: boolean
}
export interface Layout {
  readonly columns: readonly FilledColumn[]
  /** What a blob may hold. */
  readonly room: number
  /** Longer texts are handed over one by one. */
  readonly longest: number
  readonly end: number
}

/** How far behind a place the filler may read or write: it takes 16 bytes at once. */
const slack = 64
const align = (at: number): number => (at + 63) & ~63
const isViewed = (kind: ColumnKind): boolean => kind === 'text' || kind === 'json'
const widthOf = (kind: ColumnKind, precision: number): number => {
  if (isViewed(kind)) return 16
  if (kind === 'struct') return 0
  if (kind === 'boolean') return 1
  if (kind !== 'decimal') return 8
  return precision <= 4 ? 2 : precision <= 9 ? 4 : precision <= 18 ? 8 : 16
}

const wrong = (why: string) =>
  integrationError('unsupported', {
    what: `this form cannot be filled into columns: ${why}`,
    details: { what: 'form' },
  })

interface Placed {
  readonly field: Field
  readonly parent: number | undefined
  readonly within: number
}
/** All fields, those of a nested object behind it. */
const flat = (fields: readonly Field[], parent?: number, before = 0): readonly Placed[] => {
  const all: Placed[] = []
  for (const field of fields) {
    const { name, form } = field
    if (form.kind === 'decimal' && (form.precision > 38 || form.precision < 1 || form.scale > form.precision))
      throw wrong(`${name} has more than 38 digits`)
    const index = before + all.length
    const inner = form.kind === 'struct' ? flat(form.fields, index, index + 1) : []
    all.push({ field, parent, within: inner.length }, ...inner)
  }
  return all
}

/** Places the columns of a form from `from` on. */
export const layoutOf = (form: Form, from: number): Layout => {
  if (form.kind !== 'struct' || form.nullable === true) throw wrong('its records are no objects')
  const fields = flat(form.fields)
  const texts = fields.filter(({ field }) => isViewed(kindOf[field.form.kind])).length
  const room = Math.max(65_536, Math.min(524_288, Math.floor(4_194_304 / Math.max(1, texts))))
  let at = from
  const take = (bytes: number): number => {
    const place = align(at)
    at = place + bytes + slack
    return place
  }
  const columns = fields.map(({ field: { name, form: value, optional }, parent, within }): FilledColumn => {
    const kind = kindOf[value.kind]
    const [precision, scale] = value.kind === 'decimal' ? [value.precision, value.scale] : [0, 0]
    const width = widthOf(kind, precision)
    return {
      name,
      ...(parent !== undefined && { parent }),
      within,
      kind,
      precision,
      scale,
      width,
      dataAt: take(width * chunkRows),
      validAt: take(chunkRows / 8),
      blobAt: isViewed(kind) ? take(room) : 0,
      // What stands for any value may also be null.
      nullable: value.nullable === true || value.kind === 'json',
      optional: optional === true,
    }
  })
  return { columns, room, longest: 16_384, end: align(at) }
}

/** The table of fields that assembly/fill.ts reads, and its keys, for a memory in which it will lie at `base`. */
export const fieldTable = ({ columns }: Layout, base: number): Uint8Array => {
  const words: number[] = []
  const keys: number[] = []
  const keysAt = base + columns.length * 64
  for (const column of columns) {
    const { name, within, kind, precision, scale, width, dataAt, validAt, blobAt, nullable, optional } = column
    const place = (text: string): readonly [at: number, length: number] => {
      const bytes = Buffer.from(text)
      const at = keysAt + keys.length
      keys.push(...bytes, ...new Array<number>(32 - (bytes.length % 16)).fill(0))
      return [at, bytes.length]
    }
    const [key, length] = place(`,${JSON.stringify(name)}:`)
    const [without] = place(`${JSON.stringify(name)}:`)
    words.push(key, length, without, kinds.indexOf(kind), (nullable ? 1 : 0) + (optional ? 2 : 0))
    words.push(dataAt, validAt, blobAt, 0, precision - scale, scale, width, within * 64, 0, 0, 0)
  }
  const table = new Uint8Array(columns.length * 64 + keys.length)
  table.set(new Uint8Array(Int32Array.from(words).buffer))
  table.set(keys, columns.length * 64)
  return table
}
