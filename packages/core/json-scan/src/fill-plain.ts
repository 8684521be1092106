import type { Fill, LongText } from './fill.ts'
import { chunkRows, layoutOf, longRoom } from './fill-layout.ts'
import type { FilledColumn } from './fill-layout.ts'
import { deepest, int64Range } from './form.ts'
import type { Form } from './form.ts'
import { daysOf } from './numbers.ts'

/** Thrown for a line that is not what the form says. */
class Off extends Error {}

const integer = /-?(?:0|[1-9]\d*)/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const decimal = /("?)(-?)(0|[1-9]\d*)(?:\.(\d+))?\1/y
const word = /true|false|null/y
const time =
  /"(\d\d\d\d)-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))"/y
// eslint-disable-next-line no-control-regex -- JSON forbids them within a text
const plainText = /[^"\\\u0000-\u001f]*/y
const loneSurrogate = /\p{Surrogate}/u

/** What the expression finds at a place of the line, which is a text of one character for each byte. */
const at = (expression: RegExp, line: string, place: number): RegExpExecArray => {
  expression.lastIndex = place
  const found = expression.exec(line)
  if (found === null) throw new Off()
  return found
}
/** Behind the text that begins with the quote at a place, and the bytes that it stands for. */
const textAt = (line: string, place: number): { readonly behind: number; readonly bytes: Buffer } => {
  if (line[place] !== '"') throw new Off()
  let next = place + 1
  for (;;) {
    next += at(plainText, line, next)[0].length
    if (line[next] === '"') break
    if (line[next] !== '\\') throw new Off()
    next += 2
  }
  const quoted = line.slice(place, next + 1)
  if (!quoted.includes('\\')) return { behind: next + 1, bytes: Buffer.from(quoted.slice(1, -1), 'latin1') }
  let value: string
  try {
    value = JSON.parse(Buffer.from(quoted, 'latin1').toString('utf8')) as string
  } catch {
    throw new Off()
  }
  if (loneSurrogate.test(value)) throw new Off()
  return { behind: next + 1, bytes: Buffer.from(value) }
}

/** Behind a well-formed value without blanks. */
const valueEnd = (line: string, place: number, depth = 1): number => {
  const open = line[place]
  if (open === '"') return textAt(line, place).behind
  if (open !== '{' && open !== '[')
    return place + at(open !== undefined && open >= 'a' ? word : number, line, place)[0].length
  if (depth > deepest) throw new Off()
  const close = open === '{' ? '}' : ']'
  let next = place + 1
  if (line[next] === close) return next + 1
  for (;;) {
    if (open === '{') {
      next = textAt(line, next).behind
      if (line[next++] !== ':') throw new Off()
    }
    next = valueEnd(line, next, depth + 1)
    const code = line[next++]
    if (code === close) return next
    if (code !== ',') throw new Off()
  }
}

const micros = (found: RegExpExecArray): bigint => {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1, 7).map(Number)
  if (year < 1 || month < 1 || day < 1 || day > daysOf(year, month)) throw new Off()
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  const offset = (Number(found[9] ?? 0) * 60 + Number(found[10] ?? 0)) * (found[8] === '-' ? -1 : 1)
  return BigInt(date.getTime() - offset * 60_000) * 1000n + BigInt((found[7] ?? '').padEnd(6, '0'))
}

/** The filler in JavaScript: what the faster one must agree with, bit for bit, and what runs where WebAssembly may not. */
export const plainFill = (form: Form): Fill => {
  const { columns, room, longest, end } = layoutOf(form, 0)
  const buffer = new ArrayBuffer(end)
  const view = new DataView(buffer)
  const bytes = new Uint8Array(buffer)
  const used = columns.map(() => 0)
  const empty = columns.map(() => false)
  let lines = ''
  let place = 0
  let rows = 0
  /** More than 0 when no other row may begin. */
  let full = 0
  let long: LongText[] = []

  const putText = (column: number, { dataAt, blobAt }: FilledColumn, value: Uint8Array, raw: number): void => {
    const start = dataAt + rows * 16
    bytes.fill(0, start, start + 16)
    if (raw > longest) {
      long.push({ column, row: rows, bytes: value })
      full += long.length >= longRoom ? 1 : 0
      return
    }
    view.setInt32(start, value.length, true)
    bytes.set(value.subarray(0, value.length <= 12 ? 12 : 4), start + 4)
    if (value.length <= 12) return
    const from = used[column] ?? 0
    bytes.set(value, blobAt + from)
    view.setBigInt64(start + 8, BigInt(from), true)
    used[column] = from + value.length
    full += from + value.length > room - longest ? 1 : 0
  }
  const putDecimal = ({ precision, scale, width }: FilledColumn, start: number, found: RegExpExecArray): void => {
    const [, , sign, whole = '', behind = ''] = found
    if (behind.length > scale || (whole !== '0' && whole.length > precision - scale)) throw new Off()
    const value = BigInt(`${sign ?? ''}${whole}${behind.padEnd(scale, '0')}`)
    if (width === 2) view.setInt16(start, Number(value), true)
    else if (width === 4) view.setInt32(start, Number(value), true)
    else view.setBigInt64(start, BigInt.asIntN(64, value), true)
    if (width === 16) view.setBigInt64(start + 8, value >> 64n, true)
  }
  /** Fills one value that begins at `from` and gives the place behind it. */
  const put = (index: number, column: FilledColumn, line: string, from: number): number => {
    const start = column.dataAt + rows * column.width
    switch (column.kind) {
      case 'text': {
        const { behind, bytes: value } = textAt(line, from)
        putText(index, column, value, behind - from - 2)
        return behind
      }
      case 'integer': {
        const [found] = at(integer, line, from)
        const value = BigInt(found)
        if (value < int64Range.minimum || value > int64Range.maximum) throw new Off()
        view.setBigInt64(start, value, true)
        return from + found.length
      }
      case 'double': {
        const [found] = at(number, line, from)
        const value = Number(found)
        if (!Number.isFinite(value)) throw new Off()
        view.setFloat64(start, value, true)
        return from + found.length
      }
      case 'boolean': {
        const [found] = at(word, line, from)
        bytes[start] = found === 'true' ? 1 : 0
        if (found === 'null') throw new Off()
        return from + found.length
      }
      case 'decimal': {
        const found = at(decimal, line, from)
        putDecimal(column, start, found)
        return from + found[0].length
      }
      case 'timestamp': {
        const found = at(time, line, from)
        view.setBigInt64(start, micros(found), true)
        return from + found[0].length
      }
      case 'struct':
        return fillObject(index + 1, index + 1 + column.within, line, from)
      case 'json': {
        const behind = valueEnd(line, from)
        putText(index, column, Buffer.from(line.slice(from, behind), 'latin1'), behind - from)
        return behind
      }
    }
  }
  const leaveEmpty = (from: number, behind: number): void => {
    empty.fill(true, from, behind)
    for (const { width, dataAt, validAt } of columns.slice(from, behind)) {
      const bits = validAt + (rows >> 3)
      bytes[bits] = (bytes[bits] ?? 0) & ~(1 << (rows & 7))
      bytes.fill(0, dataAt + rows * width, dataAt + (rows + 1) * width)
    }
  }
  /** Fills the object at `from`, whose fields are the columns between these two; gives the place behind it. */
  const fillObject = (first: number, behind: number, line: string, from: number): number => {
    if (line[from] !== '{') throw new Off()
    let place = from + 1
    for (let index = first; index < behind; index += 1 + (columns[index]?.within ?? 0)) {
      const column = columns[index]
      if (column === undefined) break
      const key = Buffer.from(`${place === from + 1 ? '' : ','}${JSON.stringify(column.name)}:`).toString('latin1')
      const has = line.startsWith(key, place)
      if (has) place += key.length
      if (has && !line.startsWith('null', place)) {
        place = put(index, column, line, place)
        continue
      }
      if (!(has ? column.nullable : column.optional)) throw new Off()
      if (has) place += 4
      leaveEmpty(index, index + 1 + column.within)
    }
    if (line[place] !== '}') throw new Off()
    return place + 1
  }
  const fillLine = (line: string): void => {
    if (fillObject(0, columns.length, line, 0) !== line.length) throw new Off()
  }

  return {
    columns,
    buffer: () => buffer,
    load: (given) => {
      lines = Buffer.from(given.buffer, given.byteOffset, given.length).toString('latin1')
      place = 0
    },
    next: () => {
      rows = 0
      full = 0
      long = []
      used.fill(0)
      empty.fill(false)
      for (const { validAt } of columns) bytes.fill(255, validAt, validAt + chunkRows / 8)
      while (place < lines.length && rows < chunkRows && full === 0) {
        const feed = lines.indexOf('\n', place)
        const behind = feed < 0 ? lines.length : feed
        try {
          fillLine(lines.slice(place, behind))
        } catch (error) {
          if (error instanceof Off) return -1 - place
          throw error
        }
        rows++
        place = behind + 1
      }
      return rows
    },
    hasNulls: (column) => empty[column] === true,
    blobLength: (column) => used[column] ?? 0,
    rebase: (column, address) => {
      const { dataAt } = columns[column] ?? { dataAt: end }
      for (let start = dataAt; start < dataAt + rows * 16; start += 16)
        if (view.getInt32(start, true) > 12)
          view.setBigInt64(start + 8, BigInt.asIntN(64, view.getBigInt64(start + 8, true) + address), true)
    },
    longTexts: () => long,
  }
}
