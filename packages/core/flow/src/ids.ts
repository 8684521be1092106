import * as crypto from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

const format = (hex: string): string =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`

/** What `newRunId` does where Node cannot. */
export const ownUuidV7 = (): string => {
  const random = crypto.randomBytes(10)
  random[0] = ((random[0] ?? 0) & 0x0f) | 0x70
  random[2] = ((random[2] ?? 0) & 0x3f) | 0x80
  return format(Date.now().toString(16).padStart(12, '0') + random.toString('hex'))
}
const native = (crypto as { randomUUIDv7?: () => string }).randomUUIDv7

/** A UUID of version 7 (RFC 9562): sorts by time. Node 22 has no function for it. */
export const newRunId = (): string => native?.() ?? ownUuidV7()

/** The OpenLineage run id of one stream in a run: a UUID of version 8, always the same for the same two. */
export const streamRunId = (run: string, stream: string): string => {
  const hash = crypto.createHash('sha256').update(`${run}/${stream}`).digest().subarray(0, 16)
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80
  return format(hash.toString('hex'))
}

/** Tells containers apart that share a host name and a store; process ids mean something only within one. */
const processSpace = ((): string => {
  try {
    return readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, '')
  } catch {
    return ''
  }
})()

/** The runs of this process. */
export const liveRuns = new Set<string>()

/** Who runs something, so that others can tell whether it is still there. */
export const holderOf = (run: string): string => `${hostname()}/${processSpace}/${process.pid}/${run}`

/** Whether the holder's process is there; `unknown` where it ran on another machine. */
export const fateOf = (holder: string): 'there' | 'gone' | 'unknown' => {
  const [host, space, pid, run] = holder.split('/')
  if (host !== hostname() || space !== processSpace || run === undefined) return 'unknown'
  if (Number(pid) === process.pid) return liveRuns.has(run) ? 'there' : 'gone'
  try {
    process.kill(Number(pid), 0)
    return 'there'
  } catch (error) {
    // Another user's process may not be asked, and is there.
    return error instanceof Error && 'code' in error && error.code === 'ESRCH' ? 'gone' : 'there'
  }
}
/** True where the holder's process certainly ended; false where that cannot be known. */
export const isGone = (holder: string): boolean => fateOf(holder) === 'gone'

/** `process 71 on host lab`. */
export const describeHolder = (holder: string): string => {
  const [host, , pid] = holder.split('/')
  return `process ${pid ?? '?'} on host ${host ?? '?'}`
}
