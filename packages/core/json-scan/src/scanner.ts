import { isUtf8 } from 'node:buffer'
import type { Form, Refusal } from './form.ts'
import type { Lane } from './lane.ts'
import { locate, PageError } from './page.ts'
import { proverOf } from './prove.ts'
import { rewriterOf, write } from './rewrite.ts'
import type { Sheet } from './rewrite.ts'
import { decide } from './road.ts'
import { cutEnd, skipBlank } from './skip.ts'

/** A record that was left out. */
export interface Rejected extends Refusal {
  /** Its place among the records of the page, from 0. */
  readonly index: number
  /** As it came; bytes that are no UTF-8 are replaced. */
  readonly record: string
}
/** The records of NDJSON. */
export interface ScannedLines {
  /** The accepted records in their order, one a line, each line ended by a line feed; parts of the page's own bytes where possible. */
  readonly chunks: readonly Uint8Array[]
  /** How many records `chunks` holds. */
  readonly count: number
  readonly rejected: readonly Rejected[]
  /** How many records were decided one by one by the object road. */
  readonly exceptions: number
}
/** The records of a page. */
export interface Scanned extends ScannedLines {
  /** What stands around the records, with an empty list in their place. */
  readonly envelope: unknown
}

const newline = Uint8Array.of(10)
const feed = 10
const comma = 44
const bracket = 93

/** Bytes of the page, or of the sheet. */
interface Part {
  readonly own: boolean
  readonly from: number
  to: number
}

/** What has been found in one page so far. */
const gather = (form: Form, page: Uint8Array) => {
  const rejected: Rejected[] = []
  const parts: Part[] = []
  const sheet: Sheet = { bytes: new Uint8Array(0), length: 0 }
  let exceptions = 0
  let count = 0
  let index = 0
  const add = (own: boolean, from: number, to: number, records: number): void => {
    count += records
    index += records
    const last = parts.at(-1)
    if (last?.own === own && last.to === from) last.to = to
    else if (to > from) parts.push({ own, from, to })
  }
  return {
    sheet,
    /** Records that stand in the page as they are to be, each with the byte that ends it. */
    own: (from: number, to: number, records: number): void => {
      add(true, from, to, records)
    },
    /** A record that was written to the sheet from `from` on. */
    written: (from: number): void => {
      write(sheet, newline)
      add(false, from, sheet.length, 1)
    },
    /** A line end for the last record of the page, which came without one. */
    end: (): void => {
      write(sheet, newline)
      add(false, sheet.length - 1, sheet.length, 0)
    },
    /** Has a record decided by the object road. */
    alone: (bytes: Uint8Array): void => {
      const verdict = decide(form, bytes)
      exceptions++
      if ('row' in verdict) {
        const from = sheet.length
        write(sheet, Buffer.from(`${verdict.row}\n`))
        add(false, from, sheet.length, 1)
      } else rejected.push({ ...verdict, index: index++, record: textOf(bytes) })
    },
    result: (): ScannedLines => ({
      chunks: parts.map(({ own, from, to }) => (own ? page : sheet.bytes).subarray(from, to)),
      count,
      rejected,
      exceptions,
    }),
  }
}
type Found = ReturnType<typeof gather>

/** Takes each carriage return before a line feed away; gives the bytes that are left, the room behind them zeros. */
const withoutReturns = (page: Uint8Array): Uint8Array => {
  const bytes = Buffer.from(page.buffer, page.byteOffset, page.length)
  let next = bytes.indexOf('\r\n')
  if (next < 0) return page
  let length = next
  while (next >= 0) {
    const from = next + 1
    next = bytes.indexOf('\r\n', from)
    const to = next < 0 ? bytes.length : next
    bytes.copyWithin(length, from, to)
    length += to - from
  }
  bytes.fill(0, length)
  return page.subarray(0, length)
}

/** A record as it came, without the white space of JSON around it: a byte order mark is none, and may be what is wrong with it. */
const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('utf8')
    .replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, '')

/** Scans pages and lines: what the lane proves stays as it is, what it cannot prove is written again and proved, and what is left is decided alone by the object road. */
export const scannerOver = (form: Form, lane: Lane) => {
  const prove = proverOf(form)
  const rewrite = rewriterOf(form)

  /** Writes one record again and proves it; gives the index of what follows it, its blanks skipped, or -1. */
  const again = (found: Found, bytes: Uint8Array, at: number, isEnd: (code: number | undefined) => boolean): number => {
    const { sheet } = found
    const from = sheet.length
    const end = rewrite(bytes, at, sheet)
    if (end >= 0) {
      const behind = skipBlank(bytes, end)
      if (isEnd(bytes[behind]) && prove(sheet.bytes.subarray(0, sheet.length), from) === sheet.length) {
        found.written(from)
        return behind
      }
    }
    sheet.length = from
    return -1
  }
  const endsItem = (code: number | undefined): boolean => code === comma || code === bracket
  const endsNothing = (code: number | undefined): boolean => code === undefined

  const page = (given: Uint8Array, path: readonly string[]): Scanned => {
    const whole = isUtf8(given)
    const bytes = lane.load(given)
    const { from, envelope } = locate(bytes, path)
    const found = gather(form, bytes)
    /** One record, and the index of the comma or bracket behind it. */
    const one = (at: number): number => {
      let end = whole ? again(found, bytes, at, endsItem) : -1
      if (end >= 0) return end
      end = cutEnd(bytes, at, bytes.length)
      if (end < 0) throw new PageError('the page ends within a record')
      // Bytes that are no UTF-8 cost the record that holds them its place, and the others nothing.
      const sound = !whole && isUtf8(bytes.subarray(at, end))
      if (!sound || again(found, bytes.subarray(0, end), at, endsNothing) < 0) found.alone(bytes.subarray(at, end))
      return end
    }
    const finish = (end: number): Scanned => ({ envelope: envelope(end), ...found.result() })

    let at = skipBlank(bytes, from)
    if (bytes[at] === bracket) return finish(at)
    for (;;) {
      if (whole) {
        const stop = lane.run(bytes, at)
        if (stop >= 0) {
          found.own(at, stop + 1, lane.count())
          const scanned = finish(stop)
          bytes[stop] = feed
          return scanned
        }
        found.own(at, -1 - stop, lane.count())
        at = -1 - stop
      }
      const end = one(at)
      if (bytes[end] === bracket) return finish(end)
      if (bytes[end] !== comma) throw new PageError('the page is not JSON between its records')
      at = skipBlank(bytes, end + 1)
    }
  }

  const lines = (given: Uint8Array): ScannedLines => {
    const whole = isUtf8(given)
    const bytes = withoutReturns(lane.load(given))
    const found = gather(form, bytes)
    for (let at = 0; at < bytes.length;) {
      if (whole) {
        const stop = lane.runLines(bytes, at)
        const to = stop < 0 ? -1 - stop : stop
        found.own(at, to, lane.count())
        if (stop >= 0 && bytes[stop - 1] !== feed) found.end()
        at = to
        if (at === bytes.length) break
      }
      const next = bytes.indexOf(feed, at)
      const line = bytes.subarray(0, next < 0 ? bytes.length : next)
      const start = skipBlank(line, at)
      if (start < line.length) {
        const sound = whole || isUtf8(line.subarray(start))
        if (!sound || again(found, line, start, endsNothing) < 0) found.alone(line.subarray(start))
      }
      at = line.length + 1
    }
    return found.result()
  }

  return { page, lines }
}
