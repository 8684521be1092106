import { rm } from 'node:fs/promises'
import path from 'node:path'
import type { Stored } from '../values.ts'
import type { Segment } from '../segments.ts'
import { linesPart } from './parts.ts'
import type { OpenPart, PartWriter } from './parts.ts'
import type { Format, Part } from './layout.ts'

/** A part whose commits wait in so many files is closed, however small they are: whoever reads it opens each of them. */
const mostFiles = 256

interface Piece {
  /** Its name without the ending. */
  readonly name: string
  /** As a manifest may list it now. */
  parts: readonly Part[] | undefined
  writer: PartWriter | undefined
  longest: number
  /** Its parts were given in their lasting form. */
  settled: boolean
}

export interface Settled {
  readonly parts: readonly Part[]
  /** The names, without endings, of what is not in its lasting form there yet. */
  readonly unsettled: ReadonlySet<string>
  /** Parts have reached their lasting form since the last time. */
  readonly moved: boolean
}

/** What a writer has written of a table of a folder, in its order: finished parts, segments on their way to Parquet, and the part that is being filled. */
export interface Pieces {
  addRows(rows: readonly (readonly Stored[])[]): Promise<void>
  addLines(lines: Uint8Array, count: number): Promise<void>
  /** Makes everything survive a power cut and gives it as a manifest may list it. `final`: in its lasting form. */
  settle(final: boolean): Promise<Settled>
  /** The number of the next part. */
  next(): number
  isEmpty(): boolean
  /** Begins anew after what is there. */
  reset(parts: readonly Part[]): void
  /** Waits for what runs and closes files. What is not committed is left to whoever tidies. */
  close(): Promise<void>
}

export interface PiecesSetting {
  readonly staged: string
  readonly format: Format
  readonly openPart: OpenPart
  /** How lines that wait become parts; absent: proven lines are written into parts as they are, or not taken. */
  readonly fold: ((segment: Segment, file: string) => Promise<readonly Part[]>) | undefined
  /** How rows wait as lines too; absent: they are written into parts at once. */
  readonly lineOf: ((row: readonly Stored[]) => string) | undefined
  /** A part is closed at about this size. */
  readonly partBytes: number
  /** Lines that wait become a part at about this size. */
  readonly segmentBytes: number
  readonly next: number
}

/** So many lines of a batch as fill a part that has this room, at least one. */
const upTo = (lines: Uint8Array, count: number, room: number): { lines: Uint8Array; count: number } => {
  const whole = { lines, count }
  const end = lines.length > room ? lines.indexOf(10, Math.max(room - 1, 0)) + 1 : 0
  if (end === 0 || end === lines.length) return whole
  let head = 0
  for (let at = lines.indexOf(10); at !== -1 && at < end; at = lines.indexOf(10, at + 1)) head += 1
  return head < count ? { lines: lines.subarray(0, end), count: head } : whole
}

export const openPieces = (setting: PiecesSetting): Pieces => {
  const { staged, format, openPart, fold, lineOf, segmentBytes } = setting
  let pieces: Piece[] = []
  let current: Piece | undefined
  let folding: Promise<void> = Promise.resolve()
  let next = setting.next

  const limitOf = ({ seen }: PartWriter) => (seen === undefined ? setting.partBytes : segmentBytes)
  const begin = async (lines: boolean): Promise<{ piece: Piece; writer: PartWriter }> => {
    const fits = (writer: PartWriter) => (lines ? writer.addLines : writer.add) !== undefined
    if (current?.writer !== undefined && !fits(current.writer)) await end()
    if (current?.writer !== undefined) return { piece: current, writer: current.writer }
    const name = `part-${String(next).padStart(6, '0')}`
    const writer =
      fold !== undefined && (lines || lineOf !== undefined)
        ? await linesPart(path.join(staged, `${name}.lines`), lineOf, segmentBytes)
        : await openPart(path.join(staged, `${name}.${format}`))
    next += 1
    const piece = { name, parts: undefined, writer, longest: 0, settled: false }
    pieces.push(piece)
    current = piece
    return { piece, writer }
  }
  const end = async () => {
    const piece = current
    if (piece?.writer === undefined) return
    current = undefined
    if (fold === undefined || piece.writer.seen === undefined) {
      piece.parts = await piece.writer.finish()
      piece.writer = undefined
      return
    }
    // One segment is converted while the next is filled, Parquet on DuckDB's thread: this waits for the one before.
    await folding
    folding = (async () => {
      const { writer } = piece
      const seen = writer?.seen?.()
      if (writer === undefined || seen === undefined) return
      const { file, rows, bytes } = seen
      const segment = { file: path.join(staged, file), rows, bytes, longest: piece.longest }
      const parts = await fold(segment, path.join(staged, `${piece.name}.${format}`))
      const listed = piece.parts !== undefined
      piece.writer = undefined
      piece.parts = parts
      await writer.finish()
      // Where a manifest lists the lines, the next commit removes them.
      if (!listed) await rm(segment.file, { force: true })
    })()
    // Whoever waits for it next is told.
    folding.catch(() => undefined)
  }
  return {
    addRows: async (rows) => {
      for (let left = rows; left.length > 0;) {
        const { writer } = await begin(false)
        const taken = (await writer.add?.(left)) ?? left.length
        left = left.slice(taken)
        if (writer.bytes() >= limitOf(writer)) await end()
      }
    },
    addLines: async (lines, count) => {
      for (let [left, more] = [lines, count]; more > 0;) {
        const { piece, writer } = await begin(true)
        const limit = limitOf(writer)
        const head = upTo(left, more, limit - writer.bytes())
        await writer.addLines?.(head.lines, head.count)
        piece.longest = Math.max(piece.longest, head.lines.length)
        if (writer.bytes() >= limit) await end()
        left = left.subarray(head.lines.length)
        more -= head.count
      }
    },
    settle: async (final) => {
      if (final || (current?.parts?.length ?? 0) >= mostFiles) await end()
      if (final) await folding
      const waiting = pieces.filter(({ settled }) => !settled)
      for (const piece of waiting) {
        const parts = await piece.writer?.sync()
        // It may have become Parquet meanwhile.
        if (parts !== undefined && piece.writer !== undefined) piece.parts = parts
      }
      for (const piece of waiting) piece.settled = piece.writer === undefined && piece.parts !== undefined
      return {
        parts: pieces.flatMap(({ parts }) => parts ?? []),
        unsettled: new Set(pieces.filter(({ settled }) => !settled).map(({ name }) => name)),
        moved: waiting.some(({ settled }) => settled),
      }
    },
    next: () => next,
    isEmpty: () => pieces.length === 0,
    reset: (parts) => {
      pieces = parts.map((part) => ({ name: part.file, parts: [part], writer: undefined, longest: 0, settled: true }))
      current = undefined
    },
    close: async () => {
      await folding.catch(() => undefined)
      for (const { writer } of pieces) await writer?.close().catch(() => undefined)
    },
  }
}
