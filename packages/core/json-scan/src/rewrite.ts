import type { Form, Struct } from './form.ts'
import { textEnd } from './prove.ts'
import { skipBlank, valueEnd } from './skip.ts'

/** Bytes that grow. */
export interface Sheet {
  bytes: Uint8Array
  length: number
}
const room = (sheet: Sheet, more: number): void => {
  if (sheet.length + more <= sheet.bytes.length) return
  const larger = new Uint8Array(Math.max(sheet.bytes.length * 2, sheet.length + more))
  larger.set(sheet.bytes.subarray(0, sheet.length))
  sheet.bytes = larger
}
export const write = (sheet: Sheet, from: Uint8Array, start = 0, end = from.length): void => {
  room(sheet, end - start)
  sheet.bytes.set(from.subarray(start, end), sheet.length)
  sheet.length += end - start
}
const put = (sheet: Sheet, code: number): void => {
  room(sheet, 1)
  sheet.bytes[sheet.length++] = code
}

/**
 * Writes a value again as the prover expects it (keys in the schema's order, no blanks, no unknown fields) and gives the index behind it in the source.
 * -1 where it is broken, or where only the object road can tell: known keys that come twice or are written with escapes, unknown ones where they are refused.
 */
export type Rewrite = (bytes: Uint8Array, at: number, sheet: Sheet) => number

const copy: Rewrite = (bytes, at, sheet) => {
  const end = valueEnd(bytes, at)
  if (end >= 0) write(sheet, bytes, at, end)
  return end
}

const rewriteStruct = ({ fields, unknownFields }: Struct): Rewrite => {
  const names = new Map(fields.map(({ name }, index) => [name, index]))
  const parts = fields.map(({ name, form }) => ({
    key: Buffer.from(`${JSON.stringify(name)}:`),
    rewrite: rewriterOf(form),
  }))
  return (bytes, at, sheet) => {
    if (bytes[at] !== 123) return -1
    const places = new Int32Array(parts.length).fill(-1)
    let index = skipBlank(bytes, at + 1)
    if (bytes[index] !== 125)
      for (;;) {
        const key = index
        const behind = textEnd(bytes, key)
        if (behind < 0) return -1
        const name = Buffer.from(bytes.buffer, bytes.byteOffset + key + 1, behind - key - 2).toString('utf8')
        if (name.includes('\\')) return -1
        index = skipBlank(bytes, behind)
        if (bytes[index] !== 58) return -1
        index = skipBlank(bytes, index + 1)
        const field = names.get(name)
        if (field === undefined) {
          if (unknownFields === 'refuse') return -1
        } else {
          if (places[field] !== -1) return -1
          places[field] = index
        }
        index = valueEnd(bytes, index)
        if (index < 0) return -1
        index = skipBlank(bytes, index)
        if (bytes[index] === 125) break
        if (bytes[index] !== 44) return -1
        index = skipBlank(bytes, index + 1)
      }
    put(sheet, 123)
    let first = true
    for (const [field, { key, rewrite }] of parts.entries()) {
      const place = places[field] ?? -1
      if (place < 0) continue
      if (!first) put(sheet, 44)
      first = false
      write(sheet, key)
      if (rewrite(bytes, place, sheet) < 0) return -1
    }
    put(sheet, 125)
    return index + 1
  }
}

/** Lists and maps: their items rewritten, what stands between them without blanks. */
const rewriteItems =
  (open: number, close: number, item: Rewrite): Rewrite =>
  (bytes, at, sheet) => {
    if (bytes[at] !== open) return -1
    put(sheet, open)
    let index = skipBlank(bytes, at + 1)
    if (bytes[index] === close) {
      put(sheet, close)
      return index + 1
    }
    for (;;) {
      if (open === 123) {
        const behind = textEnd(bytes, index)
        if (behind < 0) return -1
        write(sheet, bytes, index, behind)
        index = skipBlank(bytes, behind)
        if (bytes[index] !== 58) return -1
        put(sheet, 58)
        index = skipBlank(bytes, index + 1)
      }
      index = item(bytes, index, sheet)
      if (index < 0) return -1
      index = skipBlank(bytes, index)
      const code = bytes[index]
      if (code !== 44 && code !== close) return -1
      put(sheet, code)
      if (code === close) return index + 1
      index = skipBlank(bytes, index + 1)
    }
  }

/** The rewriter of a form. */
export const rewriterOf = (form: Form): Rewrite => {
  const rewrite =
    form.kind === 'struct'
      ? rewriteStruct(form)
      : form.kind === 'list'
        ? rewriteItems(91, 93, rewriterOf(form.item))
        : form.kind === 'map'
          ? rewriteItems(123, 125, rewriterOf(form.value))
          : copy
  return rewrite === copy
    ? copy
    : (bytes, at, sheet) => (bytes[at] === 110 ? copy(bytes, at, sheet) : rewrite(bytes, at, sheet))
}
