import { Buffer } from 'node:buffer'
import type { Form, Struct } from '@ecokit/json-scan'

/** Gives the text of a field's value in one line of proven NDJSON (its digits, or what a text says); undefined for null and missing. The lines are given as latin1: a byte a character. */
export type FindValue = (lines: string, from: number, end: number) => string | undefined

/** Behind the text that begins at `at`. */
const behindText = (lines: string, at: number): number => {
  for (let end = lines.indexOf('"', at + 1); ; end = lines.indexOf('"', end + 1)) {
    let slashes = 0
    while (lines.charCodeAt(end - 1 - slashes) === 92) slashes++
    if (slashes % 2 === 0) return end + 1
  }
}
/** Behind the value that begins at `at`: the line is well-formed and has no blanks. */
const behindValue = (lines: string, at: number): number => {
  let depth = 0
  for (let index = at; ; index++) {
    const code = lines.charCodeAt(index)
    if (code === 34) {
      index = behindText(lines, index) - 1
      if (depth === 0) return index + 1
    } else if (code === 123 || code === 91) depth++
    else if (code === 125 || code === 93) {
      if (depth === 0) return index
      if (--depth === 0) return index + 1
    } else if (depth === 0 && (code === 44 || Number.isNaN(code))) return index
  }
}

const beyondAscii = /[\u0080-\u00ff]/
const timeAt = (lines: string, at: number): string | undefined =>
  lines.charCodeAt(at) === 34 ? lines.slice(at + 1, lines.indexOf('"', at + 1)) : undefined
const textAt = (lines: string, at: number): string | undefined => {
  const code = lines.charCodeAt(at)
  if (code === 110) return undefined
  if (code !== 34) return lines.slice(at, behindValue(lines, at))
  const raw = lines.slice(at + 1, behindText(lines, at) - 1)
  const text = beyondAscii.test(raw) ? Buffer.from(raw, 'latin1').toString('utf8') : raw
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text
}

const isFlat = (form: Form): boolean =>
  form.kind === 'list' ? isFlat(form.item) : form.kind !== 'struct' && form.kind !== 'map' && form.kind !== 'json'

/** How a field's value is found in lines that were proved by this form, whose fields stand in the form's order. */
export const valueFinder = ({ fields }: Struct, name: string): FindValue => {
  const place = fields.findIndex((field) => field.name === name)
  const key = `${Buffer.from(JSON.stringify(name)).toString('latin1')}:`
  // The bytes of a key cannot stand in a text, whose quotes have a backslash; only as the key of something nested.
  const plain = fields[place]?.optional !== true && fields.slice(0, place).every(({ form }) => isFlat(form))
  const readAt = fields[place]?.form.kind === 'timestamp' ? timeAt : textAt
  if (plain) return (lines, from) => readAt(lines, lines.indexOf(key, from) + key.length)
  return (lines, from, end) => {
    for (let at = from + 1; at < end && lines.charCodeAt(at) === 34;) {
      const colon = behindText(lines, at)
      if (lines.startsWith(key, at)) return readAt(lines, colon + 1)
      at = behindValue(lines, colon + 1) + 1
    }
    return undefined
  }
}
