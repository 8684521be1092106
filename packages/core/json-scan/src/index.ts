import { integrationError } from '@ecokit/contracts'
import { z } from 'zod'
import type { Form } from './form.ts'
import { plainLane, wasmLane } from './lane.ts'
import { PageError } from './page.ts'
import { scannerOver } from './scanner.ts'
import type { Scanned, ScannedLines } from './scanner.ts'
import { formOf } from './zod.ts'

export { openFiller } from './fill.ts'
export { release } from './release.ts'
export { decide } from './road.ts'
export { formOf } from './zod.ts'
export type { Filler, LongText } from './fill.ts'
export type { ColumnKind, FilledColumn } from './fill-layout.ts'
export type { Field, Form, Refusal, Struct } from './form.ts'
export type { Rejected, Scanned, ScannedLines } from './scanner.ts'

export interface ScanOptions {
  /** The keys that lead to the list of records; absent: the page itself is the list. */
  readonly at?: readonly string[]
  /** Who sent it, for the error's message. */
  readonly partner?: string
}
export interface Scanner {
  /**
   * Cuts a page (UTF-8 bytes of one JSON text) into records and judges each by the schema. What it gives is good until the next call. The page's own bytes may be written over.
   * Throws `invalid_reply` for a page that is no JSON outside of its records, or has no list there: how many records it had is then not known, which is not the same as none.
   */
  scan(page: Uint8Array, options?: ScanOptions): Scanned
  /**
   * Judges NDJSON (UTF-8 bytes, LF or CRLF behind each record, which the last may lack; blank lines are skipped) in the same way; a broken line is a rejected record, so this never throws.
   * What it gives is good until the next call, and the bytes may be written over, as with `scan`. Lines are judged alone: what is given must not end within one.
   */
  lines(bytes: Uint8Array): ScannedLines
}

/**
 * Opens a scanner for the records of a zod schema, or of a form. Throws `unsupported`, saying where, for a schema with code in it (refinements, transforms, unions, coercion): `formOf` tells beforehand.
 * `engine: 'javascript'` follows the same rules at about a third of the speed, for places where WebAssembly may not run.
 */
export const openScanner = (
  schema: z.ZodType | Form,
  { engine = 'wasm' }: { readonly engine?: 'wasm' | 'javascript' } = {},
): Scanner => {
  const found = schema instanceof z.ZodType ? formOf(schema) : { form: schema }
  if ('why' in found)
    throw integrationError('unsupported', {
      what: `the schema has no form that bytes can be proved by: ${found.why}`,
      next: 'Check its records with zod itself',
      details: { what: 'form' },
    })
  const { form } = found
  const { page, lines } = scannerOver(form, engine === 'wasm' ? wasmLane(form) : plainLane(form))
  return {
    lines,
    scan: (bytes, { at = [], partner } = {}) => {
      try {
        return page(bytes, at)
      } catch (error) {
        if (!(error instanceof PageError)) throw error
        throw integrationError('invalid_reply', {
          partner,
          what: `a page of records cannot be read: ${error.message}`,
          next: 'See whether the address is that of the API, and whether the partner has changed its interface',
          details: { field: at.join('.') },
        })
      }
    },
  }
}
