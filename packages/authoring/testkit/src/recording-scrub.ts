import { isUtf8, type Buffer } from 'node:buffer'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import type { Redact } from '@ecokit/http'
import { hidden, type RecordedBody } from './recording-file.ts'

type Json = null | boolean | number | string | Json[] | JsonObject
interface JsonObject {
  [name: string]: Json
}

/** Names of fields, parameters and headers whose value is a credential, written without separators. */
const exact = new Set(['token', 'sig', 'jwt', 'cookie', 'setcookie', 'credential', 'credentials'])
/** In a query or a form only: elsewhere they are the names of harmless things. */
const inPairs = new Set(['key', 'code', 'session'])
const ending =
  /(?:password|passwd|passphrase|secret|secretkey|apikey|accesskey|accesskeyid|accesstoken|refreshtoken|idtoken|authtoken|bearertoken|sessiontoken|securitytoken|subjecttoken|actortoken|csrftoken|privatekey|signingkey|authorization|assertion|codeverifier|devicecode|usercode|signature|amzcredential)$/
export const namesCredential = (name: string, where: 'field' | 'pair' = 'field'): boolean => {
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  return exact.has(plain) || ending.test(plain) || (where === 'pair' && inPairs.has(plain))
}

/** What looks like a credential wherever it stands: a signed token, and what follows the name of an authentication scheme. */
const tokenLike = [
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, hidden],
  [/\b(Bearer|Basic|Token)\s+[\w.~+/=-]{8,}/g, `$1 ${hidden}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, hidden],
  [/(:\/\/[^/\s:@]*:)[^/\s@]+@/g, `$1${hidden}@`],
] as const
/** Takes secrets and what looks like one out of a text. */
export const scrubText = (text: string, redact: Redact): string =>
  tokenLike.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), redact(text))

/** Parameters of a query or a form, in the order of their names. */
export const scrubPairs = (pairs: Iterable<readonly [string, string]>, redact: Redact): [string, string][] =>
  [...pairs]
    .map(([name, value]): [string, string] => [
      scrubText(name, redact),
      namesCredential(name, 'pair') && value !== '' ? hidden : scrubText(value, redact),
    ])
    .sort(([one, first], [other, second]) => (one === other ? (first < second ? -1 : 1) : one < other ? -1 : 1))

export const formType = 'x-www-form-urlencoded'
/** A form in the order of its names. */
export const scrubForm = (text: string, redact: Redact): string =>
  new URLSearchParams(scrubPairs(new URLSearchParams(text), redact)).toString()

/** A value of JSON without secrets. */
const scrubJson = (value: Json, redact: Redact, name = ''): Json => {
  if (typeof value === 'string') return namesCredential(name) && value !== '' ? hidden : scrubText(value, redact)
  if (typeof value === 'number') return redact(String(value)) === String(value) ? value : hidden
  if (Array.isArray(value)) return value.map((item) => scrubJson(item, redact, name))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [scrubText(key, redact), scrubJson(item, redact, key)]),
  )
}

const compact = (text: string): string => text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1')
const parsed = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** Bytes that a body holds once it is unpacked, whoever packed them. */
const unpacked = (bytes: Buffer, encoding: string): Buffer => {
  try {
    if (encoding === 'br') return brotliDecompressSync(bytes)
    if (encoding === 'deflate') return inflateSync(bytes)
    return encoding === 'gzip' || (bytes[0] === 0x1f && bytes[1] === 0x8b) ? gunzipSync(bytes) : bytes
  } catch {
    return bytes
  }
}
/** A body without its compression; undefined where it cannot be unpacked. */
export const decodedBody = (bytes: Buffer, encoding: string): Buffer | undefined => {
  const plain = unpacked(bytes, encoding)
  return plain === bytes && bytes.length > 0 ? undefined : plain
}

const scrubBytes = (bytes: Buffer, redact: Redact): RecordedBody => {
  const shows = [bytes, unpacked(bytes, '')].some((form) => {
    const text = form.toString('latin1')
    return scrubText(text, redact) !== text || scrubText(form.toString('utf8'), redact) !== form.toString('utf8')
  })
  return shows ? { text: hidden } : { base64: bytes.toString('base64') }
}

/** A body as it is written down. JSON stays JSON where nothing of it is lost by that. */
export const scrubBody = (bytes: Buffer, type: string, redact: Redact): RecordedBody | undefined => {
  if (bytes.length === 0) return undefined
  if (!isUtf8(bytes) || bytes.includes(0)) return scrubBytes(bytes, redact)
  const text = bytes.toString('utf8')
  if (type.includes(formType)) return { text: scrubForm(text, redact) }
  const json = parsed(text)
  if (json === undefined || typeof json !== 'object' || json === null) return { text: scrubText(text, redact) }
  const clean = scrubJson(json, redact)
  const same = JSON.stringify(json) === compact(text)
  // Numbers beyond a double's digits and the like are kept as text, unless there is something to hide.
  return same || JSON.stringify(clean) !== JSON.stringify(json) ? { json: clean } : { text }
}

const keptOfRequest = new Set(['accept', 'content-type', 'range', 'if-match', 'if-none-match'])
const keptOfReply =
  /^(?:content-type|content-range|content-disposition|etag|cache-control|last-modified|expires|link|location|allow|retry-after|vary|www-authenticate|(?:x-)?rate-?limit.*|x-ms-continuation.*)$/
/** The headers that a recording needs; of a credential only that it was there. */
export const scrubHeaders = (
  given: Readonly<Record<string, string | readonly string[] | undefined>>,
  side: 'request' | 'reply',
  redact: Redact,
): Record<string, string | string[]> | undefined => {
  const kept = Object.entries(given)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .flatMap(([name, value]): [string, string | string[]][] => {
      if (value === undefined) return []
      if (namesCredential(name)) return side === 'request' ? [[name, hidden]] : []
      if (!(side === 'request' ? keptOfRequest.has(name) : keptOfReply.test(name))) return []
      const clean = (text: string) =>
        /^https?:/.test(text) || name === 'link' ? scrubUrls(text, redact) : scrubText(text, redact)
      return [[name, typeof value === 'string' ? clean(value) : value.map(clean)]]
    })
    .sort(([one], [other]) => (one < other ? -1 : 1))
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}
/** Credentials in the query of an address, wherever it stands in the text. */
export const scrubUrls = (text: string, redact: Redact): string =>
  scrubText(text, redact).replace(/([?&])([^=&\s<>"]+)=([^&\s<>"]*)/g, (whole, mark: string, name: string) =>
    namesCredential(name, 'pair') ? `${mark}${name}=${hidden}` : whole,
  )
