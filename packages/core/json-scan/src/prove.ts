import type { Field, Form, Struct } from './form.ts'
import { proveDecimal, proveDouble, proveInstant, proveInteger } from './prove-values.ts'
import { textRefusal } from './road.ts'

/**
 * Reads one value at `at` and gives the index behind it, or -1 where it cannot be proved plain.
 * Plain is what every reader of JSON takes for the same value: keys in the schema's order, no blanks, numbers that a double holds exactly.
 * The bytes must be UTF-8, and whatever lies behind them is not read as a part of them.
 */
export type Prove = (bytes: Uint8Array, at: number) => number

const quote = 34
const backslash = 92

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
