import { withRightKeys } from '@ecokit/contracts'

/** A run of 16 or more digits that stands where a number may stand: only then can an integer be beyond 2^53. */
const longInteger = /(?:^|[[:,\s])-?\d{16}/
/** The words where a value may stand; only Infinity may have a sign. */
const bareWord = /(?<![^\s:,[-])(?:(?<!-)NaN|Infinity)(?![^\s,\]}])/g
/** Beyond a thousand digits a number is an attack. */
const wholeNumber = /^-?\d{1,1000}$/
declare const JSON: {
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): unknown
} & typeof globalThis.JSON

/** Integers beyond 2^53 become bigints, and the number that is spelt like `nan` becomes NaN. */
const exact = (text: string, nan?: string): unknown =>
  JSON.parse(text, (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined) return value
    if (source === nan) return NaN
    return Number.isSafeInteger(value) || !wholeNumber.test(source) ? value : BigInt(source)
  })

/**
 * Reads JSON without loss: integers beyond 2^53 arrive as bigint, and the bare words NaN, Infinity and -Infinity, which Python's json module
 * writes (https://docs.python.org/3/library/json.html#infinite-and-nan-number-values), as numbers. Text of white space only reads as `{}`.
 * Throws a SyntaxError or, for nesting beyond the stack, a RangeError.
 */
export const readJson = (raw: string): unknown =>
  withRightKeys(raw.charCodeAt(0) === 0xfeff ? raw.slice(1) : raw, readValues)

const readValues = (text: string): unknown => {
  try {
    return longInteger.test(text) ? exact(text) : JSON.parse(text)
  } catch (error) {
    if (text.trim() === '') return {}
    if (!(error instanceof SyntaxError) || !/NaN|Infinity/.test(text)) throw error
    // A spelling of zero that the text does not hold stands for NaN; 1e999 reads as Infinity by itself.
    let nan = '0e0'
    while (text.includes(nan)) nan += '0'
    return exact(outsideStrings(text, nan), nan)
  }
}

const outsideStrings = (text: string, nan: string): string => {
  let mended = ''
  for (let at = 0; at < text.length;) {
    const start = text.indexOf('"', at)
    const before = text.slice(at, start < 0 ? text.length : start)
    mended += before.replace(bareWord, (word) => (word === 'NaN' ? nan : '1e999'))
    if (start < 0) break
    let end = start
    do end = text.indexOf('"', end + 1)
    while (end > 0 && isEscaped(text, end))
    at = end < 0 ? text.length : end + 1
    mended += text.slice(start, at)
  }
  return mended
}
const isEscaped = (text: string, at: number): boolean => {
  let backslashes = 0
  while (text[at - 1 - backslashes] === '\\') backslashes++
  return backslashes % 2 === 1
}
