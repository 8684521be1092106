import { deepest } from './form.ts'

/** A number as it was written. */
export interface NumberText {
  readonly digits: string
}
/** An object with its keys in their order, and those that came twice. */
export interface ObjectValue {
  readonly entries: Map<string, Value>
  readonly twice: Set<string> | undefined
}
export type Value = string | boolean | null | NumberText | ObjectValue | readonly Value[]

export const isObjectValue = (value: Value): value is ObjectValue =>
  typeof value === 'object' && value !== null && 'entries' in value && value.entries instanceof Map
export const isNumberText = (value: Value): value is NumberText =>
  typeof value === 'object' && value !== null && 'digits' in value

/** Thrown for what is not JSON; its message is the reason that is reported. */
export class NotJson extends Error {}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const loneSurrogate = /\p{Surrogate}/u
const blank = /[ \t\r\n]*/y
// eslint-disable-next-line no-control-regex -- JSON forbids them within a text
const plainText = /[^"\\\u0000-\u001f]*/y

/** Reads one JSON text (RFC 8259) without losing anything: numbers keep their digits, keys that come twice are told. */
export const parseExact = (text: string): Value => {
  let at = 0
  let depth = 0
  const fail = (): never => {
    throw new NotJson('not JSON')
  }
  const skipBlank = (): void => {
    const code = text.charCodeAt(at)
    if (code > 32) return
    blank.lastIndex = at
    blank.test(text)
    at = blank.lastIndex
  }
  const readText = (): string => {
    const start = at++
    for (;;) {
      plainText.lastIndex = at
      plainText.test(text)
      at = plainText.lastIndex
      const code = text.charCodeAt(at)
      if (code === 34) break
      if (code !== 92) fail()
      at += 2
    }
    at++
    const raw = text.slice(start + 1, at - 1)
    if (!raw.includes('\\')) return raw
    let value = ''
    try {
      value = JSON.parse(text.slice(start, at)) as string
    } catch {
      fail()
    }
    // What is written out cannot be one: the bytes were UTF-8.
    if (loneSurrogate.test(value)) throw new NotJson('a lone surrogate')
    return value
  }
  const readObject = (): ObjectValue => {
    const entries = new Map<string, Value>()
    let twice: Set<string> | undefined
    at++
    skipBlank()
    if (text.charCodeAt(at) === 125) {
      at++
      return { entries, twice }
    }
    for (;;) {
      skipBlank()
      if (text.charCodeAt(at) !== 34) fail()
      const key = readText()
      skipBlank()
      if (text.charCodeAt(at++) !== 58) fail()
      const value = readValue()
      if (entries.has(key)) (twice ??= new Set()).add(key)
      entries.set(key, value)
      skipBlank()
      const code = text.charCodeAt(at++)
      if (code === 125) return { entries, twice }
      if (code !== 44) fail()
    }
  }
  const readList = (): readonly Value[] => {
    const items: Value[] = []
    at++
    skipBlank()
    if (text.charCodeAt(at) === 93) {
      at++
      return items
    }
    for (;;) {
      items.push(readValue())
      skipBlank()
      const code = text.charCodeAt(at++)
      if (code === 93) return items
      if (code !== 44) fail()
    }
  }
  const word = <T>(letters: string, value: T): T => {
    if (!text.startsWith(letters, at)) fail()
    at += letters.length
    return value
  }
  const readValue = (): Value => {
    if (++depth > deepest) throw new NotJson(`nested deeper than ${deepest}`)
    skipBlank()
    const code = text.charCodeAt(at)
    let value: Value
    if (code === 34) value = readText()
    else if (code === 123) value = readObject()
    else if (code === 91) value = readList()
    else if (code === 116) value = word('true', true)
    else if (code === 102) value = word('false', false)
    else if (code === 110) value = word('null', null)
    else {
      number.lastIndex = at
      if (!number.test(text)) fail()
      value = { digits: text.slice(at, number.lastIndex) }
      at = number.lastIndex
    }
    depth--
    return value
  }
  const value = readValue()
  skipBlank()
  if (at !== text.length) fail()
  return value
}
