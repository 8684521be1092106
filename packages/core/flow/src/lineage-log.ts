import { open } from 'node:fs/promises'
import { toJson } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import type { LineageEvent } from './lineage-event.ts'
import { openOutbox, type SendEvent } from './lineage-outbox.ts'

const newline = 10
/** How long the end of a run waits for events that a slow disk or collector has not taken yet. */
const defaultPatienceMs = 5_000

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
  /** Does something else about lineage in the same way, after the events before it; `what` begins the sentence if it fails. */
  also(what: string, work: () => Promise<unknown>): void
  /** Waits a little for what is still being written and sent; the sentences say what could not be. */
  close(): Promise<readonly string[]>
}

/** Writes events to the store, to the file and to a collector, one after the other, behind the sync's back. */
export const openLineageLog = (
  store: Store,
  target: {
    readonly file?: string | undefined
    readonly send?: SendEvent | undefined
    readonly patienceMs?: number | undefined
  } = {},
): LineageLog => {
  const { file, send, patienceMs = defaultPatienceMs } = target
  const warnings = new Set<string>()
  const warn = (where: string, error: unknown): void => {
    const reason = error instanceof Error ? error.message : String(error)
    if (![...warnings].some((known) => known.startsWith(where))) warnings.add(`${where}: ${reason}`)
  }
  const attempt = async <T>(where: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      warn(where, error)
      return undefined
    }
  }
  const outbox = send && openOutbox(store, send)
  let queue = Promise.resolve()
  let waiting = 0
  const enqueue = (work: () => Promise<void>): void => {
    waiting += 1
    queue = queue.then(work).finally(() => {
      waiting -= 1
    })
  }
  if (outbox !== undefined)
    enqueue(async () => {
      await attempt('lineage events of earlier runs were not found', () => outbox.begin())
    })
  return {
    emit: (event) => {
      const body = toJson(event)
      enqueue(async () => {
        const { run, job } = event.run.facets.parent
        const row = {
          run_id: run.runId,
          pipeline: job.name,
          type: event.eventType,
          at: Date.parse(event.eventTime),
          body,
          unsent: send === undefined ? null : 1,
        }
        const stored = await attempt('lineage events were not stored', () =>
          store.db.insertInto('lineage_events').values(row).returning('id').executeTakeFirst(),
        )
        if (file !== undefined)
          await attempt(`lineage events were not written to ${file}`, () => appendLine(file, body))
        outbox?.add({ id: stored?.id, body })
      })
    },
    also: (what, work) => {
      enqueue(async () => {
        await attempt(what, work)
      })
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patienceMs)
      })
      await Promise.race([queue.then(() => outbox?.drained()), patience])
      clearTimeout(timer)
      if (waiting > 0) warnings.add(`${String(waiting)} lineage events were still being written when the run ended`)
      const why = await outbox?.stop()
      if (why !== undefined) warn('lineage events were not sent, and will be with the next run', why)
      return [...warnings]
    },
  }
}
