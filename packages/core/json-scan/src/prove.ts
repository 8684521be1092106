import type { Field, Form, Struct } from './form.ts'
import { textRefusal } from './road.ts'

/**
 * Reads one value at `at` and gives the index behind it, or -1 where it cannot be proved plain.
 * Plain is what every reader of JSON takes for the same value: keys in the schema's order, no blanks, numbers that a double holds exactly.
 * The bytes must be UTF-8, and whatever lies behind them is not read as a part of them.
 */
export type Prove = (bytes: Uint8Array, at: number) => number

const quote = 34
const backslash = 92
const isDigit = (code: number | undefined): boolean => code !== undefined && code >= 48 && code <= 57

const hexAt = (bytes: Uint8Array, at: number): number => {
  let value = 0
  for (let index = at; index < at + 4; index++) {
    const code = bytes[index] ?? 0
    const digit =
      code >= 48 && code <= 57
        ? code - 48
        : code >= 97 && code <= 102
          ? code - 87
          : code >= 65 && code <= 70
            ? code - 55
            : -1
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}
const isEscape = (code: number | undefined): boolean =>
  code === quote ||
  code === backslash ||
  code === 47 ||
  code === 98 ||
  code === 102 ||
  code === 110 ||
  code === 114 ||
  code === 116

/** Behind the escape that begins at `at`, or -1; a lone surrogate and \u0000, which some databases do not store, are none. */
const escapeEnd = (bytes: Uint8Array, at: number): number => {
  if (isEscape(bytes[at + 1])) return at + 2
  if (bytes[at + 1] !== 117) return -1
  const unit = hexAt(bytes, at + 2)
  if (unit <= 0) return -1
  if (unit < 0xd800 || unit > 0xdfff) return at + 6
  if (unit >= 0xdc00 || bytes[at + 6] !== backslash || bytes[at + 7] !== 117) return -1
  const second = hexAt(bytes, at + 8)
  return second >= 0xdc00 && second <= 0xdfff ? at + 12 : -1
}

/** Behind the text that begins with the quote at `at`, or -1. */
export const textEnd: Prove = (bytes, at) => {
  if (bytes[at] !== quote) return -1
  let index = at + 1
  for (;;) {
    const code = bytes[index]
    if (code === quote) return index + 1
    if (code === undefined || code < 32) return -1
    if (code === backslash) {
      index = escapeEnd(bytes, index)
      if (index < 0) return -1
    } else index++
  }
}

const wordEnd = (bytes: Uint8Array, at: number, word: Uint8Array): number => {
  for (let index = 0; index < word.length; index++) if (bytes[at + index] !== word[index]) return -1
  return at + word.length
}
const bytesOf = (text: string): Uint8Array => Buffer.from(text)
const nullWord = bytesOf('null')
const trueWord = bytesOf('true')
const falseWord = bytesOf('false')

const proveText = (form: Extract<Form, { kind: 'string' }>): Prove => {
  const { minLength, maxLength, patterns, values } = form
  if (values !== undefined) {
    const words = values.map((value) => bytesOf(JSON.stringify(value)))
    return (bytes, at) => {
      for (const word of words) {
        const end = wordEnd(bytes, at, word)
        if (end >= 0) return end
      }
      return -1
    }
  }
  if (minLength === undefined && maxLength === undefined && patterns === undefined) return textEnd
  return (bytes, at) => {
    const end = textEnd(bytes, at)
    if (end < 0) return -1
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + at + 1, end - at - 2).toString('utf8')
    // What an escape stands for is the object road's business.
    return text.includes('\\') || textRefusal(form, text) !== undefined ? -1 : end
  }
}

const proveInteger = ({ minimum, maximum }: Extract<Form, { kind: 'integer' }>): Prove => {
  const low = minimum === undefined ? -Infinity : Number(minimum)
  const high = maximum === undefined ? Infinity : Number(maximum)
  // A bound is compared as a double, which 15 digits fit into exactly.
  const most = minimum === undefined && maximum === undefined ? 18 : 15
  return (bytes, at) => {
    const negative = bytes[at] === 45
    let index = negative ? at + 1 : at
    const start = index
    let value = 0
    if (bytes[index] === 48) {
      if (negative) return -1
      index++
    } else while (isDigit(bytes[index])) value = value * 10 + ((bytes[index++] ?? 0) - 48)
    const digits = index - start
    const next = bytes[index]
    if (digits === 0 || digits > most || isDigit(next) || next === 46 || next === 101 || next === 69) return -1
    if (negative) value = -value
    return value < low || value > high ? -1 : index
  }
}

/** Behind the number, or -1 where it is none; `digits` and `exponent` tell how exact it is. */
const numberEnd = (
  bytes: Uint8Array,
  at: number,
  seen: { digits: number; zero: boolean; exponent: number },
): number => {
  let index = bytes[at] === 45 ? at + 1 : at
  let zero = true
  let digits = 0
  if (bytes[index] === 48) {
    index++
    digits = 1
    if (isDigit(bytes[index])) return -1
  } else
    while (isDigit(bytes[index])) {
      index++
      digits++
      zero = false
    }
  if (digits === 0) return -1
  if (bytes[index] === 46) {
    const start = ++index
    while (isDigit(bytes[index])) if (bytes[index++] !== 48) zero = false
    if (index === start) return -1
    digits += index - start
  }
  let exponent = 0
  if (bytes[index] === 101 || bytes[index] === 69) {
    index++
    if (bytes[index] === 43 || bytes[index] === 45) index++
    const start = index
    while (isDigit(bytes[index])) exponent = Math.min(9999, exponent * 10 + ((bytes[index++] ?? 0) - 48))
    if (index === start) return -1
  }
  seen.digits = digits
  seen.zero = zero
  seen.exponent = exponent
  return index
}

const proveDouble = (form: Extract<Form, { kind: 'double' }>): Prove => {
  const { minimum = -Infinity, maximum = Infinity, above = -Infinity, below = Infinity } = form
  const bounded = minimum > -Infinity || maximum < Infinity || above > -Infinity || below < Infinity
  const seen = { digits: 0, zero: false, exponent: 0 }
  return (bytes, at) => {
    const end = numberEnd(bytes, at, seen)
    // -0, and what is near the ends of the range, is left to the object road.
    if (end < 0 || (seen.zero && bytes[at] === 45) || seen.digits > 40 || seen.exponent > 250) return -1
    if (!bounded) return end
    const value = Number(Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('latin1'))
    return value < minimum || value > maximum || value <= above || value >= below ? -1 : end
  }
}

const proveDecimal = ({ precision, scale }: Extract<Form, { kind: 'decimal' }>): Prove => {
  const seen = { digits: 0, zero: false, exponent: 0 }
  return (bytes, at) => {
    const end = numberEnd(bytes, at, seen)
    if (end < 0 || (seen.zero && bytes[at] === 45) || seen.digits > 15) return -1
    const start = bytes[at] === 45 ? at + 1 : at
    let point = end
    for (let index = start; index < end; index++) {
      const code = bytes[index]
      if (code === 101 || code === 69) return -1
      if (code === 46) point = index
    }
    const whole = point - start
    const behind = Math.max(0, end - point - 1)
    return behind > scale || (whole > precision - scale && !(whole === 1 && bytes[start] === 48)) ? -1 : end
  }
}

const two = (bytes: Uint8Array, at: number): number => {
  const tens = bytes[at] ?? 0
  const ones = bytes[at + 1] ?? 0
  return isDigit(tens) && isDigit(ones) ? tens * 10 + ones - 528 : -1
}
const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const proveInstant =
  ({ zoneOnlyZ }: Extract<Form, { kind: 'timestamp' }>): Prove =>
  (bytes, at) => {
    if (bytes[at] !== quote || bytes[at + 5] !== 45 || bytes[at + 8] !== 45 || bytes[at + 11] !== 84) return -1
    if (bytes[at + 14] !== 58 || bytes[at + 17] !== 58) return -1
    const century = two(bytes, at + 1)
    const rest = two(bytes, at + 3)
    const month = two(bytes, at + 6)
    const day = two(bytes, at + 9)
    const hour = two(bytes, at + 12)
    const minute = two(bytes, at + 15)
    const second = two(bytes, at + 18)
    if (century < 0 || rest < 0 || hour < 0 || minute < 0 || second < 0) return -1
    const year = century * 100 + rest
    // The first and the last year are the object road's: an offset may lead out of them.
    if (year < 2 || year > 9998 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
      return -1
    const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0
    if (day > (monthDays[month - 1] ?? 0) + leap) return -1
    let index = at + 20
    if (bytes[index] === 46) {
      const start = ++index
      while (isDigit(bytes[index])) index++
      if (index === start || index - start > 6) return -1
    }
    if (bytes[index] === 90) index++
    else {
      if (zoneOnlyZ === true || (bytes[index] !== 43 && bytes[index] !== 45)) return -1
      const offset = two(bytes, index + 1)
      const minutes = two(bytes, index + 4)
      if (offset < 0 || offset > 13 || minutes < 0 || minutes > 59 || bytes[index + 3] !== 58) return -1
      index += 6
    }
    return bytes[index] === quote ? index + 1 : -1
  }

const proveList = ({ item, minLength = 0, maxLength = Infinity }: Extract<Form, { kind: 'list' }>): Prove => {
  const prove = proverOf(item)
  return (bytes, at) => {
    if (bytes[at] !== 91) return -1
    if (bytes[at + 1] === 93) return minLength > 0 ? -1 : at + 2
    let index = at
    let count = 0
    do {
      index = prove(bytes, index + 1)
      if (index < 0) return -1
      count++
    } while (bytes[index] === 44)
    return bytes[index] === 93 && count >= minLength && count <= maxLength ? index + 1 : -1
  }
}

/** Keys of a map are compared in pairs; more of them than this are the object road's. */
const mostKeys = 64
const sameBytes = (bytes: Uint8Array, one: number, other: number, length: number): boolean => {
  for (let index = 0; index < length; index++) if (bytes[one + index] !== bytes[other + index]) return false
  return true
}
const proveMap = ({ value }: Extract<Form, { kind: 'map' }>): Prove => {
  const prove = proverOf(value)
  return (bytes, at) => {
    if (bytes[at] !== 123) return -1
    if (bytes[at + 1] === 125) return at + 2
    const keys: { readonly start: number; readonly length: number }[] = []
    let index = at
    do {
      const start = index + 1
      const end = textEnd(bytes, start)
      if (end < 0 || bytes[end] !== 58 || keys.length === mostKeys) return -1
      const length = end - start
      // An escape may write the same key in two ways.
      if (bytes.subarray(start, end).includes(backslash)) return -1
      for (const key of keys) if (key.length === length && sameBytes(bytes, key.start, start, length)) return -1
      keys.push({ start, length })
      index = prove(bytes, end + 1)
      if (index < 0) return -1
    } while (bytes[index] === 44)
    return bytes[index] === 125 ? index + 1 : -1
  }
}

const proveField = ({ name, form, optional }: Field) => ({
  key: bytesOf(`${JSON.stringify(name)}:`),
  prove: proverOf(form),
  optional: optional === true,
})
const proveStruct = ({ fields }: Struct): Prove => {
  const steps = fields.map(proveField)
  return (bytes, at) => {
    if (bytes[at] !== 123) return -1
    let index = at + 1
    let first = true
    for (const { key, prove, optional } of steps) {
      const start = first ? index : bytes[index] === 44 ? index + 1 : -1
      const value = start < 0 ? -1 : wordEnd(bytes, start, key)
      if (value < 0) {
        if (optional) continue
        return -1
      }
      index = prove(bytes, value)
      if (index < 0) return -1
      first = false
    }
    return bytes[index] === 125 ? index + 1 : -1
  }
}

const bare = (form: Form): Prove => {
  switch (form.kind) {
    case 'string':
      return proveText(form)
    case 'integer':
      return proveInteger(form)
    case 'double':
      return proveDouble(form)
    case 'decimal':
      return proveDecimal(form)
    case 'boolean':
      return (bytes, at) => Math.max(wordEnd(bytes, at, trueWord), wordEnd(bytes, at, falseWord))
    case 'timestamp':
      return proveInstant(form)
    case 'list':
      return proveList(form)
    case 'struct':
      return proveStruct(form)
    case 'map':
      return proveMap(form)
    // Keys at any depth would have to be remembered, which is what the object road does.
    case 'json':
      return () => -1
  }
}

/** The rules of a form as a prover of plain values. */
export const proverOf = (form: Form): Prove => {
  const prove = bare(form)
  if (form.nullable !== true) return prove
  return (bytes, at) => (bytes[at] === 110 ? wordEnd(bytes, at, nullWord) : prove(bytes, at))
}
