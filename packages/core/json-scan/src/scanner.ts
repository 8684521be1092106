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
  /** Its place in the page, from 0. */
  readonly index: number
  /** As it came; bytes that are no UTF-8 are replaced. */
  readonly record: string
}
export interface Scanned {
  /** The accepted records in their order, one a line, each line ended; parts of the page's own bytes where possible. */
  readonly chunks: readonly Uint8Array[]
  /** How many records `chunks` holds. */
  readonly count: number
  readonly rejected: readonly Rejected[]
  /** What stands around the records, with an empty list in their place. */
  readonly envelope: unknown
  /** How many records were decided one by one by the object road. */
  readonly exceptions: number
}

const newline = Uint8Array.of(10)
const isEnd = (code: number | undefined): boolean => code === 44 || code === 93

/** Bytes of the page, or of the sheet. */
interface Part {
  readonly own: boolean
  readonly from: number
  to: number
}

/** Scans pages: what the lane proves stays as it is, what it cannot prove is written again and proved, and what is left is decided alone by the object road. */
export const scannerOver = (form: Form, lane: Lane) => {
  const prove = proverOf(form)
  const rewrite = rewriterOf(form)

  return (given: Uint8Array, path: readonly string[]): Scanned => {
    const whole = isUtf8(given)
    const page = lane.load(given)
    const { from, envelope } = locate(page, path)
    const rejected: Rejected[] = []
    const parts: Part[] = []
    const sheet: Sheet = { bytes: new Uint8Array(0), length: 0 }
    let exceptions = 0
    let count = 0
    let index = 0
    const add = (own: boolean, begun: number, to: number, records: number): void => {
      count += records
      const last = parts.at(-1)
      if (last?.own === own && last.to === begun) last.to = to
      else if (to > begun) parts.push({ own, from: begun, to })
    }
    /** Writes one record again; false where that cannot be proved either. */
    const again = (at: number): number => {
      const begun = sheet.length
      const end = whole ? rewrite(page, at, sheet) : -1
      if (end >= 0) {
        const behind = skipBlank(page, end)
        if (isEnd(page[behind]) && prove(sheet.bytes.subarray(0, sheet.length), begun) === sheet.length) {
          write(sheet, newline)
          add(false, begun, sheet.length, 1)
          return behind
        }
      }
      sheet.length = begun
      return -1
    }
    const alone = (at: number): number => {
      const end = cutEnd(page, at, page.length)
      if (end < 0) throw new PageError('the page ends within a record')
      const bytes = page.subarray(at, end)
      exceptions++
      const verdict = decide(form, bytes)
      if ('row' in verdict) {
        const begun = sheet.length
        write(sheet, Buffer.from(`${verdict.row}\n`))
        add(false, begun, sheet.length, 1)
      } else rejected.push({ ...verdict, index, record: Buffer.from(bytes).toString('utf8').trim() })
      return end
    }
    const finish = (end: number, last: boolean): Scanned => {
      const around = envelope(end)
      if (last) page[end] = 10
      const chunks = parts.map((part) => (part.own ? page : sheet.bytes).subarray(part.from, part.to))
      return { chunks, count, rejected, envelope: around, exceptions }
    }

    let at = skipBlank(page, from)
    if (page[at] === 93) return finish(at, false)
    for (;;) {
      if (whole) {
        const stop = lane.run(page, at)
        const records = lane.count()
        index += records
        if (stop >= 0) {
          add(true, at, stop + 1, records)
          return finish(stop, true)
        }
        add(true, at, -1 - stop, records)
        at = -1 - stop
      }
      let end = again(at)
      if (end < 0) end = alone(at)
      index++
      if (page[end] === 93) return finish(end, false)
      if (page[end] !== 44) throw new PageError('the page is not JSON between its records')
      at = skipBlank(page, end + 1)
    }
  }
}
