import { createHash } from 'node:crypto'
import { holdsDecimals, plainDecimals, plainZeros } from '@ecokit/connect/writing'
import { fromJson, toJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, JsonSchema } from '@ecokit/contracts'
import type { Config } from './config.ts'

/** One record as JSON, and where it stood in its batch. */
export interface Line {
  readonly index: number
  readonly json: Uint8Array
}
type Refused = { readonly index: number; readonly reason: string }[]

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Why a line cannot be sent; undefined where it is one JSON object in UTF-8. */
const faultOf = (line: Uint8Array): string | undefined => {
  let text: string
  try {
    text = decoder.decode(line)
  } catch {
    return 'not UTF-8'
  }
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'not an object'
  } catch {
    return 'not JSON'
  }
}

/** May also be found inside of a text. */
const minusZero = /[:[,]-0[\]},]/
/** A record as JSON; -0 is 0 in a field of whole numbers, as it is in lines that were proved. */
const jsonOf = (record: AnyRecord, schema: JsonSchema): string => {
  const json = toJson(record)
  return minusZero.test(json) ? toJson(plainZeros(record, schema)) : json
}
const withDecimals = (line: Uint8Array, schema: JsonSchema): Uint8Array =>
  encoder.encode(jsonOf(plainDecimals(fromJson(decoder.decode(line)), schema) as AnyRecord, schema))

/**
 * The records of a batch as lines of JSON. Lines that come as NDJSON go on as they are, so that no value changes on its way; those that nobody has proved are read once. So are proven ones with decimals, which
 * may stand there as numbers: an endpoint gets them as the texts that they are, whichever road they came.
 */
export const linesOf = (batch: Batch<AnyRecord>, schema: JsonSchema, refused: Refused): readonly Line[] => {
  if (batch.encoding === 'records')
    return batch.records.map((record, index) => ({ index, json: encoder.encode(jsonOf(record, schema)) }))
  const lines: Line[] = []
  const { bytes } = batch
  const rewrites = batch.proven === true && holdsDecimals(schema)
  let index = 0
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(10, start)
    const stop = end === -1 ? bytes.length : end
    const given = bytes.subarray(start, bytes[stop - 1] === 13 ? stop - 1 : stop)
    start = stop + 1
    if (given.length === 0) continue
    const json = rewrites ? withDecimals(given, schema) : given
    const fault = batch.proven === true ? undefined : faultOf(json)
    if (fault === undefined) lines.push({ index, json })
    else refused.push({ index, reason: fault })
    index += 1
  }
  return lines
}

/** Cuts lines into requests of bounded rows and bytes; one record that is larger goes alone. */
export const requestsOf = function* (
  lines: readonly Line[],
  { batchRows, batchBytes }: Pick<Config, 'batchRows' | 'batchBytes'>,
): Iterable<readonly Line[]> {
  let start = 0
  let bytes = 0
  for (const [at, { json }] of lines.entries()) {
    if (at > start && (at - start >= batchRows || bytes + json.length + 1 > batchBytes)) {
      yield lines.slice(start, at)
      start = at
      bytes = 0
    }
    bytes += json.length + 1
  }
  if (start < lines.length) yield lines.slice(start)
}

/** The body of a request, in the form that the endpoint takes. */
export const bodyOf = (lines: readonly Line[], { format, recordsKey }: Pick<Config, 'format' | 'recordsKey'>) => {
  const around: readonly [string, string] =
    format === 'ndjson' ? ['', '\n'] : format === 'array' ? ['[', ']'] : [`{${JSON.stringify(recordsKey)}:[`, ']}']
  const [before, after] = around.map((text) => encoder.encode(text)) as [Uint8Array, Uint8Array]
  const length = lines.reduce((sum, { json }) => sum + json.length, Math.max(0, lines.length - 1))
  const body = new Uint8Array(before.length + length + after.length)
  body.set(before)
  let at = before.length
  for (const [place, { json }] of lines.entries()) {
    if (place > 0) body[at++] = format === 'ndjson' ? 10 : 44
    body.set(json, at)
    at += json.length
  }
  body.set(after, at)
  return body
}

/** What a request is about. */
export interface Position {
  /** `pipeline/stream`. */
  readonly key: string
  readonly table: string
  readonly kind: 'records' | 'deletes'
  /** Of the source: the last checkpoint that came with a batch, this one included. */
  readonly checkpoint: unknown
  /** Where another run could rightly send the same again. */
  readonly run?: string
  /** How many records came since another checkpoint was seen. */
  readonly offset: number
}
/** The same for the same records at the same place of the same flow, in whichever process of the run, or, without `run`, of any; another for anything else. */
export const idempotencyKey = ({ key, table, kind, checkpoint, run, offset }: Position, body: Uint8Array): string =>
  createHash('sha256')
    .update(toJson([key, table, kind, checkpoint ?? null, run ?? null, offset]))
    .update('\n')
    .update(body)
    .digest('hex')
