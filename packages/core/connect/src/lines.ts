import type { InvalidRecord } from '@ecokit/contracts'

const decoder = new TextDecoder()

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown
const exact: Reviver = (_key, value, { source }) =>
  typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)
    ? BigInt(source)
    : value

/** JSON in which an integer beyond 2^53 keeps its digits, as a bigint; the slow road is taken only where one may stand. */
const parse = (text: string): unknown =>
  /\d{16}/.test(text) ? JSON.parse(text, exact as (key: string, value: unknown) => unknown) : JSON.parse(text)

/** The records of NDJSON; a line that is not JSON goes to `refuse`, and what that returns, if anything, takes its place. */
export const recordLines = function* (bytes: Uint8Array, refuse: (invalid: InvalidRecord) => unknown) {
  for (const line of decoder.decode(bytes).split('\n')) {
    if (line.trim() === '') continue
    let record: unknown
    try {
      record = parse(line)
    } catch {
      record = refuse({ record: line, field: '', reason: 'not JSON' })
      if (record === undefined) continue
    }
    yield record
  }
}
