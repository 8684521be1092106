import { toJson, type InvalidRecord } from '@ecokit/contracts'
import type { Ledger } from './ledger.ts'
import { noCounts, type Counts } from './types.ts'

const storedRecordBytes = 64 * 1024
/** How much is held of quarantined records before it is stored, and before the stream waits for that. */
const held = { records: 1_000, characters: 1_000_000 }

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
  /** Begins to store what is held, beside whatever else goes on. */
  start(): void
  /** Stores what is held; to be called before the checkpoint moves past it. */
  store(): Promise<void>
  /** False where a record was read and not accounted for. */
  balanced(): boolean
}

export const openAccount = (ledger: Ledger, pipeline: string, stream: string): Account => {
  let counts = noCounts
  let rows: Parameters<Ledger['quarantine']>[0][number][] = []
  let characters = 0
  let storing: Promise<void> | undefined
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
  const start = (): void => {
    if (storing !== undefined || rows.length === 0) return
    const begun = ledger.quarantine(rows)
    rows = []
    characters = 0
    storing = begun.then(() => {
      storing = undefined
    })
    storing.catch(() => undefined) // Told when it is waited for.
  }
  const store = async (): Promise<void> => {
    while (storing !== undefined || rows.length > 0) {
      start()
      await storing
    }
  }
  return {
    counts: () => counts,
    add,
    putAside: async (records, about) => {
      if (records.length === 0) return
      add({ quarantined: records.length, ...(about?.read === true && { read: records.length }) })
      for (const { field, reason, record } of records) {
        const text = shorten(record)
        rows.push({ pipeline, stream, field, reason, record: text })
        characters += text.length
        if (rows.length < held.records && characters < held.characters) continue
        await storing
        start()
      }
    },
    start,
    store,
    balanced: () => counts.read === counts.written + counts.quarantined + counts.deduplicated,
  }
}
