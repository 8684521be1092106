import type { Health } from '@ecokit/contracts'
import type { Clock } from './probe.ts'
import type { Recorded, Seen } from './records.ts'

/** Stores checks in groups: a commit waits for the disk, and a thousand partners would wait a thousand times. */
export interface Recorder {
  /** A check begins; its record may be worth waiting for. Call what it gives when the check has ended, stored or not. */
  expect(): () => void
  /** Resolves when the check is stored: at once when no other is expected and nothing was stored just now, else within 100 ms. */
  record(partner: string, health: Health): Promise<Recorded>
  /** Stores what waits, now and from now on. */
  close(): void
}

const groupEveryMs = 100
const largestGroup = 500

interface Pending extends Seen {
  readonly resolve: (recorded: Recorded) => void
  readonly reject: (error: unknown) => void
}

export const openRecorder = (
  store: (seen: readonly Seen[]) => Promise<readonly Recorded[]>,
  clock: Clock,
): Recorder => {
  let pending: Pending[] = []
  let expected = 0
  let timer: AbortController | undefined
  let flushedAt = -Infinity
  let closed = false

  const flush = (): void => {
    timer?.abort()
    timer = undefined
    const group = pending
    pending = []
    if (group.length === 0) return
    flushedAt = clock.now()
    store(group.map(({ partner, health }) => ({ partner, health }))).then(
      (recorded) => recorded.forEach((one, index) => group[index]?.resolve(one)),
      (error: unknown) => group.forEach(({ reject }) => reject(error)),
    )
  }
  const flushWhenDue = (): void => {
    const quiet = clock.now() - flushedAt >= groupEveryMs
    if (closed || pending.length >= largestGroup || (quiet && pending.length >= expected)) flush()
  }
  return {
    expect: () => {
      expected += 1
      return () => {
        expected -= 1
        flushWhenDue()
      }
    },
    record: (partner, health) =>
      new Promise((resolve, reject) => {
        pending.push({ partner, health, resolve, reject })
        flushWhenDue()
        if (pending.length === 0 || timer !== undefined) return
        timer = new AbortController()
        clock.sleep(groupEveryMs, timer.signal).then(flush, () => undefined)
      }),
    close: () => {
      closed = true
      flush()
    },
  }
}
