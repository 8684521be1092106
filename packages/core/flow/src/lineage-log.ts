import { open } from 'node:fs/promises'
import { toJson } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import type { LineageEvent } from './lineage.ts'

const newline = 10
/** How long the end of a run waits for events that a slow disk has not taken yet. */
const patienceMs = 5_000

/** Appends one whole line in one write, so that processes which share the file do not mix theirs; a line that an earlier writer could not finish is closed first. */
export const appendLine = async (path: string, line: string): Promise<void> => {
  const file = await open(path, 'a+', 0o600)
  try {
    const { size } = await file.stat()
    const last = new Uint8Array([newline])
    if (size > 0) await file.read(last, 0, 1, size - 1)
    const bytes = Buffer.from(`${last[0] === newline ? '' : '\n'}${line}\n`)
    const { bytesWritten } = await file.write(bytes)
    if (bytesWritten < bytes.byteLength) throw new Error('the disk took only a part of the line')
  } finally {
    await file.close()
  }
}

/** Takes lineage events without ever making the sync wait or fail. */
export interface LineageLog {
  emit(event: LineageEvent): void
  /** Waits a little for what is still being written; the sentences say what could not be. */
  close(): Promise<readonly string[]>
}

/** Writes events to the store and to the file, one after the other, behind the sync's back. */
export const openLineageLog = (store: Store, file: string | undefined): LineageLog => {
  const warnings = new Set<string>()
  const attempt = async (where: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (![...warnings].some((known) => known.startsWith(where))) warnings.add(`${where}: ${reason}`)
    }
  }
  let queue = Promise.resolve()
  let waiting = 0
  return {
    emit: (event) => {
      const body = toJson(event)
      waiting += 1
      queue = queue.then(async () => {
        const { run, job } = event.run.facets.parent
        const row = {
          run_id: run.runId,
          pipeline: job.name,
          type: event.eventType,
          at: Date.parse(event.eventTime),
          body,
        }
        await attempt('lineage events were not stored', () =>
          store.db.insertInto('lineage_events').values(row).execute(),
        )
        if (file !== undefined)
          await attempt(`lineage events were not written to ${file}`, () => appendLine(file, body))
        waiting -= 1
      })
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patienceMs)
      })
      await Promise.race([queue, patience])
      clearTimeout(timer)
      if (waiting > 0) warnings.add(`${String(waiting)} lineage events were still being written when the run ended`)
      return [...warnings]
    },
  }
}
