import { Buffer } from 'node:buffer'
import { toUSVString } from 'node:util'

/** Takes secrets out of a text. */
export type Redact = (text: string) => string

const hidden = '***'

/** The part of the secret's base64 form that does not depend on what stands before and after it, for each of the three alignments. */
const base64Cores = (secret: string): string[] =>
  [0, 1, 2].flatMap((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)])
    const core = bytes.toString('base64url').slice([0, 2, 3][shift], Math.floor((bytes.length * 8) / 6))
    return [core, core.replaceAll('-', '+').replaceAll('_', '/')]
  })

const percent = (text: string): string[] => {
  const upper = encodeURIComponent(toUSVString(text))
  const lower = upper.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
  return [upper, lower, upper.replaceAll('%20', '+'), lower.replaceAll('%20', '+')]
}

/** Every form in which a secret may come back: as it is, a line of it, escaped in JSON, encoded for a URL, in base64 (also as a part of a longer text) and in hex. */
const forms = (secret: string): string[] => {
  const cores = base64Cores(secret)
  const hex = Buffer.from(secret).toString('hex')
  return [
    secret,
    secret.normalize('NFC'),
    JSON.stringify(secret).slice(1, -1),
    ...percent(secret),
    ...cores,
    ...cores.flatMap(percent),
    hex,
    hex.toUpperCase(),
  ]
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
const short: Readonly<Record<string, string>> = { '\n': 'n', '\r': 'r', '\t': 't', '\b': 'b', '\f': 'f' }
const eitherCase = (hex: string): string => hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
const hexOf = (value: number, digits: number): string => eitherCase(value.toString(16).padStart(digits, '0'))

/** A backslash, or one that is percent-encoded. */
const backslash = '(?:\\\\|%(?:25){0,3}5[cC])'

/** A pattern for the secret with each sign of it as it is, escaped as in JSON (also within JSON) or percent-encoded (also twice): what encodes differs in which signs it takes. */
const mixed = (secret: string): string => {
  let afterBackslash = false
  return (toUSVString(secret).match(/\\+|[\s\S]/gu) ?? [])
    .map((sign) => {
      // Nobody encodes these.
      if (/^[\w.-]$/.test(sign)) {
        afterBackslash = false
        return literal(sign)
      }
      const encoded = [...Buffer.from(sign)].map((byte) => `%(?:25){0,3}${hexOf(byte, 2)}`).join('')
      const units = sign.split('').map((unit) => `${backslash}{1,7}u${hexOf(unit.charCodeAt(0), 4)}`)
      // One repetition for a run of backslashes: two next to each other would try every way to share them.
      const escapes = afterBackslash ? '' : `${backslash}{0,7}`
      afterBackslash = sign.startsWith('\\')
      if (afterBackslash) return `${backslash}{${sign.length},${sign.length * 8}}`
      const brief = short[sign]
      const ways = [`${escapes}(?:${literal(sign)}|${encoded})`, units.join('')]
      if (brief !== undefined) ways.push(`${backslash}{1,7}${brief}`)
      if (sign === ' ') ways.push('\\+')
      return `(?:${ways.join('|')})`
    })
    .join('')
}

/** Makes the function that hides these secrets, each in every form; those of under 4 characters are left alone. */
export const redactor = (secrets: readonly string[]): Redact => {
  const lines = secrets.flatMap((secret) => secret.split(/\r?\n/)).filter((line) => line.length >= 16)
  const words = [...new Set([...secrets, ...lines])].filter((secret) => secret.length >= 4)
  if (words.length === 0) return (text) => text
  const longestFirst = (texts: readonly string[]): string[] => texts.toSorted((a, b) => b.length - a.length)
  const found = [...new Set(words.flatMap(forms))].filter((form) => form.length >= 4)
  const pattern = new RegExp([...longestFirst(words).map(mixed), ...longestFirst(found).map(literal)].join('|'), 'g')
  return (text) => text.replace(pattern, hidden)
}

/** One line for people: secrets hidden, control characters gone, at most `limit` characters. */
export const tidy = (text: string, redact: Redact, limit = 300): string => {
  const line = redact(redact(text).replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')).trim()
  return line.length > limit ? `${toUSVString(line.slice(0, limit))}…` : line
}
