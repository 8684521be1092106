import type { AnyRecord, Batch } from '@ecokit/contracts'
import { linesOf, parseLine, rowMaker, sortRecords } from '../rows.ts'
import { refuse } from '../refused.ts'
import type { Rejected, Row } from '../rows.ts'
import type { Target } from './target.ts'

/** How long a key may be: an entry of PostgreSQL's indexes holds 2704 bytes. */
const keyBytes = 2600

/** Makes rows of batches. */
export const batchReader = ({
  columns,
  keys,
  options,
}: Target): ((batch: Batch<AnyRecord>) => {
  readonly rows: readonly Row[]
  readonly rejected: readonly Rejected[]
}) => {
  const plain = rowMaker(columns)
  const places = keys.map((key) => columns.findIndex(({ name }) => name === key))
  const withKey = (record: unknown): string => {
    const row = plain(record)
    if (row.length <= keyBytes / 4) return row
    const fields = row.split('\t')
    const length = places.reduce((sum, place) => sum + Buffer.byteLength(fields[place] ?? ''), 0)
    return length <= keyBytes ? row : refuse(`the key has ${length} bytes, and an index holds ${keyBytes}`)
  }
  const makeRow = options.disposition === 'merge' ? withKey : plain
  return (batch) => {
    if (batch.encoding === 'records')
      return sortRecords(
        batch.records.map((record) => () => record),
        makeRow,
      )
    if (batch.encoding === 'arrow') return { rows: [], rejected: [] }
    return sortRecords(
      Iterator.from(linesOf(batch.bytes)).map((line) => () => parseLine(line)),
      makeRow,
    )
  }
}
