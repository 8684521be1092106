import { open, rm } from 'node:fs/promises'
import { crc32 } from 'node:zlib'

/** A closed file of proven lines: NDJSON, each line ended by LF. */
export interface Segment {
  readonly file: string
  readonly rows: number
  readonly bytes: number
  /** No line is longer, in bytes. */
  readonly longest: number
}
/** Takes proven lines as they are into a file in the staging folder. */
export interface SegmentWriter {
  readonly file: string
  readonly rows: () => number
  readonly bytes: () => number
  readonly longest: () => number
  /** Of the bytes so far (CRC-32). */
  readonly crc: () => number
  /** Appends a batch; its bytes may be written over once this has ended. */
  readonly add: (lines: Uint8Array, count: number) => Promise<void>
  /** What was added so far survives a power cut. */
  readonly sync: () => Promise<void>
  readonly close: () => Promise<Segment>
  /** Closes and removes the file. */
  readonly discard: () => Promise<void>
}

/** About where a segment is closed and handed to DuckDB, in bytes; a part of Parquet holds one segment. */
export const segmentBytes = 64_000_000
const newline = Buffer.from('\n')

export const openSegment = async (file: string): Promise<SegmentWriter> => {
  const handle = await open(file, 'w')
  let [rows, bytes, longest, crc] = [0, 0, 0, 0]
  const write = async (data: Uint8Array) => {
    // A write may take fewer bytes than it was given.
    for (let done = 0; done < data.length;) {
      const { bytesWritten } = await handle.write(data, done, data.length - done)
      crc = crc32(data.subarray(done, done + bytesWritten), crc)
      done += bytesWritten
      bytes += bytesWritten
    }
  }
  return {
    file,
    rows: () => rows,
    bytes: () => bytes,
    longest: () => longest,
    crc: () => crc,
    add: async (lines, count) => {
      await write(lines)
      if (lines.length > 0 && lines.at(-1) !== 10) await write(newline)
      rows += count
      longest = Math.max(longest, lines.length)
    },
    sync: () => handle.datasync(),
    close: async () => {
      await handle.close()
      return { file, rows, bytes, longest }
    },
    discard: async () => {
      await handle.close().catch(() => undefined)
      await rm(file, { force: true })
    },
  }
}
