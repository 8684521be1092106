import { Buffer } from 'node:buffer'
import type { Form, Struct } from '@ecokit/json-scan'

/** Gives the text of a field's value in one line of proven NDJSON (its digits, or what a text says); undefined for null and missing. */
export type FindValue = (bytes: Buffer, from: number, end: number) => string | undefined

/** Behind the text that begins at `at`. */
const behindText = (bytes: Buffer, at: number): number => {
  for (let end = bytes.indexOf(34, at + 1); ; end = bytes.indexOf(34, end + 1)) {
    let slashes = 0
    while (bytes[end - 1 - slashes] === 92) slashes++
    if (slashes % 2 === 0) return end + 1
  }
}
/** Behind the value that begins at `at`: the line is well-formed and has no blanks. */
const behindValue = (bytes: Buffer, at: number): number => {
  let depth = 0
  for (let index = at; ; index++) {
    const code = bytes[index]
    if (code === 34) {
      index = behindText(bytes, index) - 1
      if (depth === 0) return index + 1
    } else if (code === 123 || code === 91) depth++
    else if (code === 125 || code === 93) {
      if (depth === 0) return index
      if (--depth === 0) return index + 1
    } else if (depth === 0 && (code === 44 || code === undefined)) return index
  }
}

const textAt = (bytes: Buffer, at: number): string | undefined => {
  const code = bytes[at]
  if (code === 110) return undefined
  if (code !== 34) return bytes.toString('latin1', at, behindValue(bytes, at))
  const end = behindText(bytes, at)
  const text = bytes.toString('utf8', at + 1, end - 1)
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text
}

const isFlat = (form: Form): boolean =>
  form.kind === 'list' ? isFlat(form.item) : form.kind !== 'struct' && form.kind !== 'map' && form.kind !== 'json'

/** How a field's value is found in lines that were proved by this form, whose fields stand in the form's order. */
export const valueFinder = ({ fields }: Struct, name: string): FindValue => {
  const place = fields.findIndex((field) => field.name === name)
  const key = Buffer.from(`${JSON.stringify(name)}:`)
  // The bytes of a key cannot stand in a text, whose quotes have a backslash; only as the key of something nested.
  const plain = fields[place]?.optional !== true && fields.slice(0, place).every(({ form }) => isFlat(form))
  if (plain) return (bytes, from) => textAt(bytes, bytes.indexOf(key, from) + key.length)
  return (bytes, from, end) => {
    for (let at = from + 1; at < end && bytes[at] === 34;) {
      const colon = behindText(bytes, at)
      if (colon + 1 - at === key.length && bytes.compare(key, 0, key.length, at, colon + 1) === 0)
        return textAt(bytes, colon + 1)
      at = behindValue(bytes, colon + 1) + 1
    }
    return undefined
  }
}
