/** A run of 16 or more digits that stands where a number may stand: only then can an integer be beyond 2^53. */
const longInteger = /(?:^|[[:,\s])-?\d{16}/
const wholeNumber = /^-?\d+$/
/** Strings are matched whole, so that a word inside of one is never taken for a token. */
const stringOrWord = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/gs

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
export const readJson = (raw: string): unknown => {
  const text = raw.charCodeAt(0) === 0xfeff ? raw.slice(1) : raw
  try {
    return longInteger.test(text) ? exact(text) : JSON.parse(text)
  } catch (error) {
    if (text.trim() === '') return {}
    if (!(error instanceof SyntaxError) || !/NaN|Infinity/.test(text)) throw error
    // A spelling of zero that the text does not hold stands for NaN; 1e999 reads as Infinity by itself.
    let nan = '0e0'
    while (text.includes(nan)) nan += '0'
    const mended = text.replace(stringOrWord, (found) =>
      found.startsWith('"') || found === '-NaN' ? found : found.replace('Infinity', '1e999').replace('NaN', nan),
    )
    return exact(mended, nan)
  }
}
