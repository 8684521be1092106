import { toJson, type InvalidRecord } from '@ecokit/contracts'
import type { Ledger } from './ledger.ts'
import { noCounts, type Counts } from './types.ts'

const storedRecordBytes = 64 * 1024
/** Quarantined records that are held before they are stored. */
const heldRecords = 200

/** The text of a record that was left out: its own where it came as text. */
const shorten = (record: unknown): string => {
  const text = typeof record === 'string' ? record : (toJson(record) as string | undefined)
  return (text ?? String(record)).slice(0, storedRecordBytes)
}

/** What one stream of a run has counted, and the records that it left out. */
export interface Account {
  readonly counts: () => Counts
  add(more: Partial<Counts>): void
  /** Counts records as put aside and keeps them with their reasons; `read` too where nobody has counted them as read yet. */
  putAside(records: readonly InvalidRecord[], about?: { readonly read: boolean }): Promise<void>
  /** Stores what is held; to be called before the checkpoint moves past it. */
  store(): Promise<void>
  /** False where a record was read and not accounted for. */
  balanced(): boolean
}

export const openAccount = (ledger: Ledger, pipeline: string, stream: string): Account => {
  let counts = noCounts
  let held: Parameters<Ledger['quarantine']>[0][number][] = []
  const add = (more: Partial<Counts>): void => {
    counts = {
      read: counts.read + (more.read ?? 0),
      written: counts.written + (more.written ?? 0),
      quarantined: counts.quarantined + (more.quarantined ?? 0),
      deduplicated: counts.deduplicated + (more.deduplicated ?? 0),
      deleted: counts.deleted + (more.deleted ?? 0),
      bytes: counts.bytes + (more.bytes ?? 0),
    }
  }
  const store = async (): Promise<void> => {
    if (held.length === 0) return
    const rows = held
    held = []
    await ledger.quarantine(rows)
  }
  return {
    counts: () => counts,
    add,
    putAside: async (records, about) => {
      if (records.length === 0) return
      add({ quarantined: records.length, ...(about?.read === true && { read: records.length }) })
      for (const { field, reason, record } of records) {
        held.push({ pipeline, stream, field, reason, record: shorten(record) })
        if (held.length >= heldRecords) await store()
      }
    },
    store,
    balanced: () => counts.read === counts.written + counts.quarantined + counts.deduplicated,
  }
}
