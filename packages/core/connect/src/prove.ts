import { Buffer } from 'node:buffer'
import type { InvalidRecord } from '@ecokit/contracts'
import { formOf, openScanner } from '@ecokit/json-scan'
import type { z } from 'zod'

/** Gives the lines of NDJSON that were proved; the others go to `refuse`. */
export type LineProver = (
  bytes: Uint8Array,
  refuse: (invalid: InvalidRecord) => void,
) => { readonly bytes: Uint8Array; readonly count: number; readonly proven: true }

/** Proves NDJSON by a schema; undefined where that holds code, which only zod can run. */
export const lineProver = (schema: z.ZodType): LineProver | undefined => {
  const found = formOf(schema)
  if ('why' in found) return undefined
  const scanner = openScanner(found.form)
  return (bytes, refuse) => {
    const { chunks, count, rejected } = scanner.lines(bytes)
    // What the scanner gives is good until its next call.
    const lines = Buffer.concat(chunks)
    for (const { record, field, reason } of rejected) refuse({ record, field, reason })
    return { bytes: lines, count, proven: true }
  }
}
