import type { ColumnType } from '../columns.ts'

const [quote, backslash, comma, colon, openBrace, closeBrace, openBracket, closeBracket] = [
  34, 92, 44, 58, 123, 125, 91, 93,
]
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
    switch (code) {
      case 110:
        put(10, inList)
        return at + 2
      case 114:
        put(13, inList)
        return at + 2
      case 116:
        put(9, inList)
        return at + 2
      case 98:
        put(8, inList)
        return at + 2
      case 102:
        put(12, inList)
        return at + 2
      case quote:
      case backslash:
      case 47:
        put(code, inList)
        return at + 2
      case 117: {
        const unit = hex(at + 2)
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
      default:
        return -1
    }
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
  /** Quoted, of these many bytes at most, without an escape, and not in the year 0000, which PostgreSQL does not know. */
  const quoted = (start: number, most: number): number => {
    if (bytes[start] !== quote) return -1
    let at = start + 1
    for (let code = bytes[at] ?? 0; code !== quote; code = bytes[++at] ?? 0) {
      if (code < 43 || at > start + most) return -1
      out[end++] = code
    }
    return bytes[start + 1] === 48 && bytes[start + 2] === 48 && bytes[start + 3] === 48 && bytes[start + 4] === 48
      ? -1
      : at + 1
  }
  const date: Step = (start) => (quoted(start, 10) === start + 12 ? start + 12 : -1)
  const time: Step = (start) => {
    const behind = quoted(start, 32)
    const last = bytes[behind - 2] ?? 0
    if (behind < 0 || bytes[start + 5] !== 45 || (last | 32) === 122) return behind
    // An offset, which PostgreSQL reads up to 15:59.
    const [sign, tens, ones] = [bytes[behind - 7], bytes[behind - 6] ?? 0, bytes[behind - 5] ?? 0]
    const near = tens === 48 || (tens === 49 && ones < 54)
    return (sign === 43 || sign === 45) && bytes[behind - 4] === colon && near ? behind : -1
  }
  const json: Step = (start) => {
    let at = start
    let depth = 0
    let before = 0
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
      // An exponent, which jsonb writes out, and -0, which it does not know: the object road says what becomes of them.
      if (((code | 32) === 101 && isDigit(before)) || (before === 45 && code === 48)) return -1
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
        return json
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
