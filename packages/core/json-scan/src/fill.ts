import { isUtf8 } from 'node:buffer'
import { integrationError } from '@ecokit/contracts'
import type { FilledColumn } from './fill-layout.ts'
import { plainFill } from './fill-plain.ts'
import { wasmFill } from './fill-wasm.ts'
import type { Form } from './form.ts'

/** A text that is too long for its column's blob. */
export interface LongText {
  readonly column: number
  readonly row: number
  readonly bytes: Uint8Array
}
/** One of the two ways of filling; `next` gives the rows of the next chunk, or -1 minus the place of a line that is not what the form says. */
export interface Fill {
  readonly columns: readonly FilledColumn[]
  readonly buffer: () => ArrayBuffer
  load(bytes: Uint8Array): void
  next(): number
  hasNulls(column: number): boolean
  blobLength(column: number): number
  rebase(column: number, address: bigint): void
  longTexts(): readonly LongText[]
}

/**
 * Reads proven lines into the buffers of columns, a chunk of at most 2,048 rows at a time. What lies in the buffers is good until the next call.
 *
 * Values lie one behind the other, little-endian: integers and timestamps (microseconds since 1970, UTC) in 64 bits, doubles as they are, decimals as whole numbers of their scale, booleans as 0 and 1, and null as zeros.
 * A text takes 16 bytes, as DuckDB and Arrow hold it: its length in 32 bits and up to 12 bytes of it; or its length, its first 4 bytes, and in 64 bits where it begins in the column's blob. Lists, maps and free values are texts of JSON, as they were written. A nested object is a column of bits, and each of its fields a column behind it.
 */
export interface Filler {
  readonly columns: readonly FilledColumn[]
  /** Holds all buffers; another one after each `load`. */
  readonly buffer: ArrayBuffer
  /** Takes lines, each ended by a line feed (which the last may lack), from a scanner for the same form. Throws `invalid_data` where they are no UTF-8. */
  load(bytes: Uint8Array): void
  /** Fills the next chunk and gives its rows; 0 when no lines are left. Throws `invalid_data` for a line that is not what the form says: then nothing of the chunk may be used. */
  next(): number
  /** False where each value of the chunk is there. */
  hasNulls(column: number): boolean
  /** How many bytes the column's blob holds. */
  blobLength(column: number): number
  /** Adds an address to where the column's texts begin, so that they point into a copy of its blob. */
  rebase(column: number, address: bigint): void
  /** Texts of more than 16 KB are in no blob; their 16 bytes are zeros. */
  longTexts(): readonly LongText[]
}

/** Opens a filler for lines of a form. Throws `unsupported` where its records are no objects, or a decimal has more than 38 digits. `engine: 'javascript'` gives the same at a fraction of the speed. */
export const openFiller = (
  form: Form,
  { engine = 'wasm' }: { readonly engine?: 'wasm' | 'javascript' } = {},
): Filler => {
  const fill = engine === 'wasm' ? wasmFill(form) : plainFill(form)
  const wrong = (why: string) =>
    integrationError('invalid_data', {
      what: `lines cannot be filled into columns: ${why}`,
      next: 'Scan them with a scanner of the same form first',
      details: { stream: '', field: '' },
    })
  return {
    columns: fill.columns,
    get buffer() {
      return fill.buffer()
    },
    load: (bytes) => {
      if (!isUtf8(bytes)) throw wrong('they are no UTF-8')
      fill.load(bytes)
    },
    next: () => {
      const rows = fill.next()
      if (rows < 0) throw wrong(`what begins at byte ${-1 - rows} is not a line of the form`)
      return rows
    },
    hasNulls: (column) => fill.hasNulls(column),
    blobLength: (column) => fill.blobLength(column),
    rebase: (column, address) => {
      fill.rebase(column, address)
    },
    longTexts: () => fill.longTexts(),
  }
}
