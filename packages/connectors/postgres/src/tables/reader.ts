import { linesOf, parseLine, refuse } from '@ecokit/connect/writing'
import type { AnyRecord, Batch } from '@ecokit/contracts'
import { rowMaker, sortRecords } from '../rows.ts'
import { openCutter } from './cut.ts'
import type { Rejected, Row } from '../rows.ts'
import type { Cut } from './cut.ts'
import type { Target } from './target.ts'

/** How long a key may be: an entry of PostgreSQL's indexes holds 2704 bytes. */
const keyBytes = 2600

const givers = function* (bytes: Uint8Array): Iterable<() => unknown> {
  for (const line of linesOf(bytes)) yield () => parseLine(line)
}

/** The two roads by which a writer makes rows of batches. */
export interface Roads {
  /** Any batch, through objects. */
  read(batch: Batch<AnyRecord>): { readonly rows: readonly Row[]; readonly rejected: readonly Rejected[] }
  /** Proven NDJSON, without them. */
  cut(lines: Uint8Array, tail: (place: number) => string): Cut
}
export const openRoads = ({ columns, keys, options }: Target): Roads => {
  const places = keys.map((key) => columns.findIndex(({ name }) => name === key))
  const merge = options.disposition === 'merge'
  const making = (json: boolean): ((record: unknown) => string) => {
    const plain = rowMaker(columns, json)
    const withKey = (record: unknown): string => {
      const row = plain(record)
      if (row.length <= keyBytes / 4) return row
      const fields = row.split('\t')
      const length = places.reduce((sum, place) => sum + Buffer.byteLength(fields[place] ?? ''), 0)
      return length <= keyBytes ? row : refuse(`the key has ${length} bytes, and an index holds ${keyBytes}`)
    }
    return merge ? withKey : plain
  }
  const [ofRecords, ofLines] = [making(false), making(true)]
  return {
    read: (batch) => {
      if (batch.encoding === 'records')
        return sortRecords(
          batch.records.map((record) => () => record),
          ofRecords,
        )
      return batch.encoding === 'ndjson' ? sortRecords(givers(batch.bytes), ofLines) : { rows: [], rejected: [] }
    },
    cut: openCutter(columns, ofLines, merge ? keyBytes : Infinity),
  }
}
