import { deepest } from './form.ts'
import { isDigit } from './prove-values.ts'
import { textEnd } from './prove.ts'

const isBlank = (code: number | undefined): boolean => code === 32 || code === 10 || code === 13 || code === 9

/** The index of the first byte at or behind `at` that is not blank. */
export const skipBlank = (bytes: Uint8Array, at: number): number => {
  let index = at
  while (isBlank(bytes[index])) index++
  return index
}

const numberEnd = (bytes: Uint8Array, at: number): number => {
  let index = bytes[at] === 45 ? at + 1 : at
  const digits = (): boolean => {
    const start = index
    while (isDigit(bytes[index])) index++
    return index > start
  }
  if (bytes[index] === 48) index++
  else if (!digits()) return -1
  if (bytes[index] === 46) {
    index++
    if (!digits()) return -1
  }
  if (bytes[index] === 101 || bytes[index] === 69) {
    index++
    if (bytes[index] === 43 || bytes[index] === 45) index++
    if (!digits()) return -1
  }
  return index
}
const words = ['true', 'false', 'null'].map((word) => Buffer.from(word))

/** Behind the well-formed JSON value that begins at `at`, blanks inside of it allowed; -1 where there is none. */
export const valueEnd = (bytes: Uint8Array, at: number, depth = 1): number => {
  if (depth > deepest) return -1
  const code = bytes[at]
  if (code === 34) return textEnd(bytes, at)
  if (code === 123 || code === 91) {
    const close = code === 123 ? 125 : 93
    let index = skipBlank(bytes, at + 1)
    if (bytes[index] === close) return index + 1
    for (;;) {
      if (code === 123) {
        index = textEnd(bytes, index)
        if (index < 0) return -1
        index = skipBlank(bytes, index)
        if (bytes[index] !== 58) return -1
        index = skipBlank(bytes, index + 1)
      }
      index = valueEnd(bytes, index, depth + 1)
      if (index < 0) return -1
      index = skipBlank(bytes, index)
      if (bytes[index] === close) return index + 1
      if (bytes[index] !== 44) return -1
      index = skipBlank(bytes, index + 1)
    }
  }
  for (const word of words)
    if (word[0] === code) return word.every((letter, index) => bytes[at + index] === letter) ? at + word.length : -1
  return numberEnd(bytes, at)
}

/** Behind a record that may be broken inside: up to the comma or bracket that ends it, by quotes and brackets alone. -1 where the page ends first. */
export const cutEnd = (bytes: Uint8Array, at: number, end: number): number => {
  let depth = 0
  for (let index = at; index < end; index++) {
    const code = bytes[index]
    if (code === 34) {
      for (index++; index < end && bytes[index] !== 34; index++) if (bytes[index] === 92) index++
      if (index >= end) return -1
    } else if (code === 123 || code === 91) depth++
    else if (code === 125 || code === 93) {
      if (depth === 0) return index
      depth--
    } else if (code === 44 && depth === 0) return index
  }
  return -1
}
