import { holdsDecimals } from '@ecokit/connect/writing'
import type { ColumnType } from '../columns.ts'

const [quote, backslash, comma, colon, openBrace, closeBrace, openBracket, closeBracket] = [
  34, 92, 44, 58, 123, 125, 91, 93,
]
/** What JSON's escapes of one character stand for, by that character. */
const escapes = new Uint8Array(128)
for (const pair of ['n\n', 'r\r', 't\t', 'b\b', 'f\f', '""', '\\\\', '//'])
  escapes[pair.charCodeAt(0)] = pair.charCodeAt(1)
const isDigit = (code: number): boolean => code >= 48 && code <= 57
/** The index behind a value, or -1 where only the object road can tell. */
export type Step = (at: number) => number

/** Rows in COPY's text format as they are put together, value by value, out of the line that is in `load`. */
export interface Values {
  /** The line that the steps read. */
  load(line: Uint8Array): void
  /** Makes room for so many bytes more; no step looks for it. */
  reserve(more: number): void
  /** How many bytes there are. */
  end(): number
  /** Takes back what was put behind this many bytes. */
  rewind(end: number): void
  /** Puts a byte. */
  byte(code: number): void
  /** Puts a text. */
  text(text: string): void
  /** Good until the next `reserve`. */
  bytes(): Uint8Array
  /** Whether null stands there, of a line that is proved. */
  isNull(at: number): boolean
  /** What puts a value of the type. JSON's escapes and COPY's are nearly the same, so most bytes are only moved. */
  stepOf(type: ColumnType): Step
}

export const openValues = (): Values => {
  let bytes: Uint8Array = new Uint8Array(0)
  let out = Buffer.allocUnsafe(1 << 20)
  let end = 0
  const hex = (at: number): number => {
    let value = 0
    for (let index = at; index < at + 4; index += 1) {
      const code = bytes[index] ?? 0
      const digit = isDigit(code) ? code - 48 : (code | 32) >= 97 && (code | 32) <= 102 ? (code | 32) - 87 : -1
      if (digit < 0) return -1
      value = value * 16 + digit
    }
    return value
  }

  /** One character of a text, escaped for COPY, and within a list for the list too. */
  const put = (code: number, inList: boolean): void => {
    if (code === backslash) {
      for (let index = inList ? 4 : 2; index > 0; index -= 1) out[end++] = backslash
    } else if (code === quote && inList) {
      out[end++] = backslash
      out[end++] = backslash
      out[end++] = quote
    } else if (code === 10 || code === 13 || code === 9) {
      out[end++] = backslash
      out[end++] = code === 10 ? 110 : code === 13 ? 114 : 116
    } else if (code < 128) out[end++] = code
    else end += out.write(String.fromCodePoint(code), end)
  }
  const escaped = (at: number, inList: boolean): number => {
    const code = bytes[at + 1] ?? 0
    const meant = escapes[code] ?? 0
    if (meant > 0) {
      put(meant, inList)
      return at + 2
    }
    const unit = code === 117 ? hex(at + 2) : 0
    if (unit <= 0) return -1
    if (unit < 0xd800 || unit > 0xdfff) {
      put(unit, inList)
      return at + 6
    }
    const second = bytes[at + 6] === backslash && bytes[at + 7] === 117 ? hex(at + 8) : -1
    if (unit > 0xdbff || second < 0xdc00 || second > 0xdfff) return -1
    put(0x10000 + (unit - 0xd800) * 0x400 + (second - 0xdc00), inList)
    return at + 12
  }
  const textStep =
    (inList: boolean): Step =>
    (start) => {
      if (bytes[start] !== quote) return -1
      let at = start + 1
      for (;;) {
        const code = bytes[at]
        if (code === quote) return at + 1
        if (code === undefined || code < 32) return -1
        if (code === backslash) {
          at = escaped(at, inList)
          if (at < 0) return -1
        } else {
          out[end++] = code
          at += 1
        }
      }
    }
  const listText: Step = (at) => {
    out[end++] = quote
    const behind = textStep(true)(at)
    out[end++] = quote
    return behind
  }
  const tokenStep =
    (allowed: (code: number) => boolean): Step =>
    (start) => {
      let at = start
      for (let code = bytes[at] ?? 0; allowed(code); code = bytes[++at] ?? 0) out[end++] = code
      return at === start ? -1 : at
    }
  const isWhole = (code: number): boolean => isDigit(code) || code === 45
  const isPlain = (code: number): boolean => isWhole(code) || code === 46
  const isReal = (code: number): boolean => isPlain(code) || code === 43 || (code | 32) === 101
  const [whole, plain, real] = [tokenStep(isWhole), tokenStep(isPlain), tokenStep(isReal)]
  const decimal: Step = (at) => {
    if (bytes[at] !== quote) return plain(at)
    const behind = plain(at + 1)
    return behind > 0 && bytes[behind] === quote ? behind + 1 : -1
  }
  const truth: Step = (at) => {
    const isTrue = bytes[at] === 116
    out[end++] = isTrue ? 116 : 102
    return at + (isTrue ? 4 : 5)
  }
  /** The number of two digits, or -1. */
  const pair = (at: number): number => {
    const [tens, ones] = [bytes[at] ?? 0, bytes[at + 1] ?? 0]
    return isDigit(tens) && isDigit(ones) ? (tens - 48) * 10 + ones - 48 : -1
  }
  const move = (from: number, to: number): void => {
    for (let at = from; at < to; at += 1) out[end++] = bytes[at] ?? 0
  }
  // A schema may have proved no more than a text, and PostgreSQL takes many: so the form is looked at, and what is another goes by way of objects.
  /** Whether `YYYY-MM-DD` stands there, not of the year 0000, which PostgreSQL does not know; it says itself which days there are. */
  const isDay = (at: number): boolean => {
    const [century, year] = [pair(at), pair(at + 2)]
    return (
      century >= 0 &&
      year >= 0 &&
      century + year > 0 &&
      bytes[at + 4] === 45 &&
      pair(at + 5) > 0 &&
      bytes[at + 7] === 45 &&
      pair(at + 8) > 0
    )
  }
  const date: Step = (start) => {
    if (bytes[start] !== quote || !isDay(start + 1) || bytes[start + 11] !== quote) return -1
    move(start + 1, start + 11)
    return start + 12
  }
  const time: Step = (start) => {
    if (bytes[start] !== quote || !isDay(start + 1) || ((bytes[start + 11] ?? 0) | 32) !== 116) return -1
    const [hour, minute, second] = [pair(start + 12), pair(start + 15), pair(start + 18)]
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return -1
    if (bytes[start + 14] !== colon || bytes[start + 17] !== colon) return -1
    let at = start + 20
    if (bytes[at] === 46) {
      const from = (at += 1)
      while (isDigit(bytes[at] ?? 0)) at += 1
      if (at === from || at > from + 6) return -1
    }
    const zone = bytes[at] ?? 0
    if ((zone | 32) === 122) at += 1
    else {
      // An offset, which PostgreSQL reads up to 15:59.
      const [hours, minutes] = [pair(at + 1), pair(at + 4)]
      if ((zone !== 43 && zone !== 45) || hours < 0 || hours > 15 || bytes[at + 3] !== colon) return -1
      if (minutes < 0 || minutes > 59) return -1
      at += 6
    }
    if (bytes[at] !== quote) return -1
    move(start + 1, at)
    return at + 1
  }
  const json: Step = (start) => {
    let at = start
    let depth = 0
    let before = 0
    let digits = 0
    for (;;) {
      const code = bytes[at] ?? 0
      if (code < 33) return -1
      if (code === quote) {
        out[end++] = quote
        at += 1
        for (let inner = bytes[at] ?? 0; inner !== quote; inner = bytes[++at] ?? 0) {
          if (inner < 32) return -1
          out[end++] = inner
          if (inner !== backslash) continue
          out[end++] = backslash
          const next = bytes[++at] ?? 0
          if (next === 117 && hex(at + 1) <= 0) return -1
          out[end++] = next
          if (next === backslash) out[end++] = backslash
        }
        out[end++] = quote
        at += 1
        before = quote
        if (depth === 0) return at
        continue
      }
      if (depth === 0 && at > start && (code === comma || code === closeBrace)) return at
      // An exponent, which jsonb writes out, -0, which it does not know, and more digits than a double keeps: the object road says what becomes of them.
      digits = isDigit(code) ? digits + 1 : 0
      if (((code | 32) === 101 && isDigit(before)) || (before === 45 && code === 48) || digits > 15) return -1
      if (code === openBrace || code === openBracket) depth += 1
      else if (code === closeBrace || code === closeBracket) depth -= 1
      out[end++] = code
      at += 1
      before = code
      if (depth === 0 && (code === closeBrace || code === closeBracket)) return at
    }
  }
  const never: Step = () => -1
  const isNull = (at: number): boolean => bytes[at] === 110 && bytes[at + 1] === 117
  const listStep = (item: Step): Step => {
    const begin = Buffer.from('NULL')
    return (start) => {
      if (bytes[start] !== openBracket) return -1
      out[end++] = openBrace
      let at = start + 1
      while (bytes[at] !== closeBracket) {
        if (isNull(at)) {
          end += begin.copy(out, end)
          at += 4
        } else at = item(at)
        if (at < 0) return -1
        if (bytes[at] === comma) {
          out[end++] = comma
          at += 1
        } else if (bytes[at] !== closeBracket) return -1
      }
      out[end++] = closeBrace
      return at + 1
    }
  }
  const stepOf = (type: ColumnType, inList = false): Step => {
    switch (type.kind) {
      case 'boolean':
        return truth
      case 'bigint':
        return whole
      case 'double':
        return real
      case 'decimal':
        return decimal
      case 'text':
        return inList ? listText : textStep(false)
      case 'date':
        return date
      case 'timestamptz':
        return time
      case 'json':
        // A decimal in it may be a number here, and is a text there.
        return holdsDecimals(type.schema) ? never : json
      case 'list':
        return listStep(stepOf(type.of, true))
      // Nobody has proved these.
      case 'timestamp':
      case 'bytea':
        return never
    }
  }

  return {
    load: (line) => {
      bytes = line
    },
    reserve: (more) => {
      if (end + more <= out.length) return
      const larger = Buffer.allocUnsafe(Math.max(out.length * 2, end + more))
      out.copy(larger, 0, 0, end)
      out = larger
    },
    end: () => end,
    rewind: (to) => {
      end = to
    },
    byte: (code) => {
      out[end++] = code
    },
    text: (text) => {
      end += out.write(text, end)
    },
    bytes: () => out.subarray(0, end),
    isNull,
    stepOf,
  }
}
