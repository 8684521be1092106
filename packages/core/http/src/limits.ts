import type { ReplyHeaders } from './exchange.ts'

/** The wait where a limit is used up and nobody says until when: what a token bucket needs to have something in it again. */
const unknownResetMs = 1000
/** A limit with a name is that of some calls only, so the others are not kept waiting for longer than this. */
const namedHoldMs = 10_000

const text = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.join(',')

/** A reset as milliseconds from now: epoch seconds (GitHub), epoch milliseconds, a date, or seconds from now (Datadog, IETF). */
const untilReset = (value: string | undefined, now: number): number | undefined => {
  const given = value?.trim() ?? ''
  if (given === '') return undefined
  const number = Number(given)
  if (Number.isNaN(number)) {
    const date = Date.parse(given)
    return Number.isNaN(date) ? undefined : Math.max(0, date - now)
  }
  if (number >= 1e12) return Math.max(0, number - now)
  return Math.max(0, Math.ceil(number >= 1e9 ? number * 1000 - now : number * 1000))
}

/** Reads `Retry-After`, seconds or a date (RFC 9110, 10.2.3), or epoch seconds, as milliseconds from now; undefined where it says none of them. */
export const readRetryAfter = (value: string | undefined, now: number): number | undefined => {
  const given = value?.trim() ?? ''
  if (/^\d+(?:\.\d+)?$/.test(given)) return untilReset(given, now)
  const date = /^[A-Za-z]{3,9},? /.test(given) ? Date.parse(given) : NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Pairs of remaining and reset, several limits in one header by their place; the longest wait of those that are used up. */
const usedUp = (
  remaining: string | undefined,
  reset: string | undefined,
  period: string | undefined,
  now: number,
): number | undefined => {
  if (remaining === undefined) return undefined
  // A date has a comma of its own.
  const resets = reset !== undefined && Number.isNaN(Number(reset.split(',')[0])) ? [reset] : reset?.split(',')
  let wait: number | undefined
  for (const [at, one] of remaining.split(',').entries()) {
    if (one.trim() === '' || !(Number(one) <= 0)) continue
    const ms = untilReset(resets?.[at] ?? resets?.[0], now) ?? untilReset(period?.split(',')[at] ?? period, now)
    wait = Math.max(wait ?? 0, ms ?? unknownResetMs)
  }
  return wait
}

const parameter = (item: string, name: string): string | undefined =>
  new RegExp(`(?:^|[;,\\s])${name}\\s*=\\s*"?(\\d+)`).exec(item)?.[1]

/** `RateLimit: "default";r=0;t=30` (draft-ietf-httpapi-ratelimit-headers-10), or `limit=10, remaining=0, reset=30` of its version 7; windows from `RateLimit-Policy`. */
const ietf = (value: string, policy: string | undefined, now: number): number | undefined => {
  if (/\bremaining\s*=/.test(value))
    return usedUp(parameter(value, 'remaining'), parameter(value, 'reset'), undefined, now)
  let wait: number | undefined
  for (const item of value.split(',')) {
    if (parameter(item, 'r') !== '0') continue
    const name = item.split(';')[0]?.trim()
    const window = policy?.split(',').find((each) => each.split(';')[0]?.trim() === name)
    const ms = untilReset(parameter(item, 't') ?? (window && parameter(window, 'w')), now)
    wait = Math.max(wait ?? 0, ms ?? unknownResetMs)
  }
  return wait
}

/** Azure Resource Manager counts down in headers of many names and names no reset; `…-resource` holds a list of `name;count`. */
const azure = (headers: ReplyHeaders): number | undefined => {
  for (const name in headers) {
    if (!name.startsWith('x-ms-ratelimit-remaining-')) continue
    const counts = (text(headers[name]) ?? '').split(',').map((one) => one.split(';').at(-1)?.trim() ?? '')
    if (counts.some((count) => count !== '' && Number(count) <= 0)) return unknownResetMs
  }
  return undefined
}

/** For how long (milliseconds) the headers say that the partner takes no further request; undefined where they say nothing of it. */
export const exhaustedFor = (headers: ReplyHeaders, now: number): number | undefined => {
  const standard = headers['ratelimit']
  if (standard !== undefined) return ietf(text(standard) ?? '', text(headers['ratelimit-policy']), now)
  if (headers['ratelimit-remaining'] !== undefined)
    return usedUp(text(headers['ratelimit-remaining']), text(headers['ratelimit-reset']), undefined, now)
  if (headers['x-ratelimit-remaining'] !== undefined) {
    const period = text(headers['x-ratelimit-period'])
    const wait = usedUp(text(headers['x-ratelimit-remaining']), text(headers['x-ratelimit-reset']), period, now)
    return wait !== undefined && headers['x-ratelimit-name'] !== undefined ? Math.min(wait, namedHoldMs) : wait
  }
  return headers['x-ms-request-id'] === undefined ? undefined : azure(headers)
}

/** What a reply of 429 or 503 asks for: its `Retry-After`, also in Azure's milliseconds, else the reset of a limit that is used up. */
export const askedToWait = (status: number, headers: ReplyHeaders, now: number): number | undefined => {
  const exact = text(headers['retry-after-ms'] ?? headers['x-ms-retry-after-ms'])
  if (exact !== undefined && /^\d+(?:\.\d+)?$/.test(exact.trim())) return Math.ceil(Number(exact))
  return readRetryAfter(text(headers['retry-after']), now) ?? (status === 429 ? exhaustedFor(headers, now) : undefined)
}
