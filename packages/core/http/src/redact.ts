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

/** Makes the function that hides these secrets, each in every form; those of under 4 characters are left alone. */
export const redactor = (secrets: readonly string[]): Redact => {
  const lines = secrets.flatMap((secret) => secret.split(/\r?\n/)).filter((line) => line.length >= 16)
  const all = new Set([...secrets, ...lines].filter((secret) => secret.length >= 4).flatMap(forms))
  if (all.size === 0) return (text) => text
  const found = [...all]
    .filter((form) => form.length >= 4)
    .toSorted((a, b) => b.length - a.length)
    .map((form) => form.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
  const pattern = new RegExp(found.join('|'), 'g')
  return (text) => text.replace(pattern, hidden)
}

/** One line for people: secrets hidden, control characters gone, at most `limit` characters. */
export const tidy = (text: string, redact: Redact, limit = 300): string => {
  const line = redact(redact(text).replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')).trim()
  return line.length > limit ? `${toUSVString(line.slice(0, limit))}…` : line
}
