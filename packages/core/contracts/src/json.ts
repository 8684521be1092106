// ECMAScript's JSON.parse source text access, in Node from 21; the TypeScript library does not have it yet.
declare const JSON: {
  rawJSON(text: string): unknown
  parse(
    text: string,
    reviver?: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown
} & typeof globalThis.JSON

/** JSON.stringify makes 0 of it. */
const minusZero = JSON.rawJSON('-0')
const exact = (_key: string, field: unknown): unknown => {
  if (typeof field === 'number') {
    if (field === 0) return Object.is(field, -0) ? minusZero : field
    return Number.isFinite(field) ? field : String(field)
  }
  return typeof field === 'bigint' ? JSON.rawJSON(String(field)) : field
}
/** JSON text that loses nothing: a bigint keeps its digits, -0 its sign; NaN and the infinities become the strings "NaN", "Infinity" and "-Infinity". */
export const toJson = (value: unknown, indent?: number): string => JSON.stringify(value, exact, indent)

/** An integer beyond 2^53 has 16 digits or more; the digits of a fraction do not matter. */
const longInteger = /(?<![\d.])\d{16,}(?![\d.eE])/
/** Beyond a thousand digits a number is an attack. */
const wholeNumber = /^-?\d{1,1000}$/

// A quote without a backslash before it begins a text or has ended one, and no backslash stands between texts.
const escapedKey = /(?<!\\)"([^"\\]*\\.(?:[^"\\]|\\.)*)"(?=\s*:)/g
const renamed = (value: unknown, mark: string, names: readonly string[]): unknown => {
  if (Array.isArray(value)) return value.map((item) => renamed(item, mark, names))
  if (typeof value !== 'object' || value === null) return value
  const nameOf = (key: string): string => (key.startsWith(mark) ? (names[Number(key.slice(mark.length))] ?? key) : key)
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [nameOf(key), renamed(field, mark, names)]))
}

/**
 * Reads JSON by `parse` so that keys with escapes are right. V8 13.6, which Node 24 has, often reads them as they are written where it has seen a text of
 * those characters before: `JSON.parse('{"\\n":1}')` gives the key `\`. Texts that are no keys are right. So such keys are parsed under other names.
 */
export const withRightKeys = (text: string, parse: (text: string) => unknown): unknown => {
  if (!text.includes('\\') || text.search(escapedKey) < 0) return parse(text)
  // Begins with a character of nobody's that does not stand in the text, written out or not.
  const lower = text.toLowerCase()
  let code = 0xe000
  while (lower.includes(String.fromCharCode(code)) || lower.includes(`\\u${code.toString(16)}`)) code += 1
  const mark = String.fromCharCode(code)
  const names: string[] = []
  const plain = text.replaceAll(escapedKey, (_whole, key: string) => {
    names.push(JSON.parse(`"${key}"`) as string)
    return `"${mark}${names.length - 1}"`
  })
  return renamed(parse(plain), mark, names)
}

const parseExact = (text: string): unknown =>
  longInteger.test(text)
    ? JSON.parse(text, (_key, value, { source = '' }) =>
        typeof value === 'number' && !Number.isSafeInteger(value) && wholeNumber.test(source) ? BigInt(source) : value,
      )
    : JSON.parse(text)

/** Reads JSON without loss, as `toJson` writes it: integers beyond 2^53 become bigints, and keys with escapes are right, which they are not with every JSON.parse. Throws a SyntaxError. */
export const fromJson = (text: string): unknown => withRightKeys(text, parseExact)
