import { isUtf8 } from 'node:buffer'
import type { InvalidRecord } from '@ecokit/contracts'
import { readJson } from '@ecokit/http'

const decoder = new TextDecoder()

/** The lines of the bytes, each with whether it is UTF-8: what is not would be changed by decoding it. */
const linesOf = function* (bytes: Uint8Array) {
  const whole = isUtf8(bytes)
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(10, start)
    const end = found === -1 ? bytes.length : found
    const line = bytes.subarray(start, end)
    yield { text: decoder.decode(line), good: whole || isUtf8(line) }
    start = end + 1
  }
}

/** The records of NDJSON; a line that is not JSON in UTF-8 goes to `refuse`, and what that returns, if anything, takes its place. */
export const recordLines = function* (bytes: Uint8Array, refuse: (invalid: InvalidRecord) => unknown) {
  for (const { text, good } of linesOf(bytes)) {
    if (text.trim() === '') continue
    let record: unknown
    try {
      if (!good) throw new SyntaxError('not UTF-8')
      record = readJson(text)
    } catch {
      record = refuse({ record: text, field: '', reason: good ? 'not JSON' : 'not UTF-8' })
      if (record === undefined) continue
    }
    yield record
  }
}
