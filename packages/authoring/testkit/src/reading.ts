import { toJson } from '@ecokit/contracts'
import type { AnyConnection, AnyRecord, Checkpoint, ReadOptions } from '@ecokit/contracts'
import { readJson } from '@ecokit/http'

export interface ReadBatch {
  readonly records: readonly AnyRecord[]
  readonly checkpoint: Checkpoint | undefined
  readonly bytes: number
  /** False for Arrow, whose records the kit does not look into. */
  readonly readable: boolean
}
export type FullRead = readonly ReadBatch[]

/** Reads a stream to its end. */
export const readAll = async (connection: AnyConnection, stream: string, options: ReadOptions): Promise<FullRead> => {
  const batches: ReadBatch[] = []
  for await (const batch of connection.read?.(stream, options) ?? []) {
    const records =
      batch.encoding === 'records'
        ? batch.records
        : batch.encoding === 'ndjson'
          ? new TextDecoder()
              .decode(batch.bytes)
              .split('\n')
              .filter((line) => line.trim() !== '')
              .map((line) => readJson(line) as AnyRecord)
          : []
    const bytes = batch.encoding === 'records' ? toJson(records).length : batch.bytes.byteLength
    batches.push({ records, checkpoint: batch.checkpoint, bytes, readable: batch.encoding !== 'arrow' })
  }
  return batches
}

/** What tells a record from others: its primary key, or all of it. */
export const keyOf = (primaryKey: readonly string[] | undefined, record: AnyRecord): string =>
  toJson(primaryKey === undefined || primaryKey.length === 0 ? record : primaryKey.map((field) => record[field]))
