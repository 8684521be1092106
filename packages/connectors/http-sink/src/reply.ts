import { integrationError } from '@ecokit/contracts'
import type { Config } from './config.ts'

/** What an endpoint said of one record, by its index in the request. */
export interface Refusal {
  readonly index: number
  readonly reason: string
}

const dig = (value: unknown, path: string): unknown => {
  let found = value
  if (path === '') return found
  for (const name of path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined
    found = (found as Readonly<Record<string, unknown>>)[name]
  }
  return found
}
const textOf = (value: unknown): string | undefined => {
  const text = typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)
  return text === '' ? undefined : text.slice(0, 500)
}

/** Reads which records a reply refuses, of `count` that were sent; undefined where there is no such list in it. */
export const refusalsIn = (
  reply: string,
  errors: NonNullable<Config['errors']>,
  count: number,
  partner: string,
): readonly Refusal[] | undefined => {
  const strange = (what: string) =>
    integrationError('invalid_reply', {
      partner,
      what: `the reply to ${count} records ${what}`,
      next: 'Correct config.errors, which says where a reply names the records that were refused',
      details: { field: errors.at },
    })
  let value: unknown
  try {
    value = reply.trim() === '' ? undefined : JSON.parse(reply)
  } catch {
    throw strange('is no JSON')
  }
  const list = dig(value, errors.at)
  if (list === undefined || list === null) return undefined
  if (!Array.isArray(list)) throw strange(`has no list at "${errors.at}"`)
  const refusals = new Map<number, Refusal>()
  for (const [place, entry] of list.entries()) {
    const status = errors.status === undefined ? undefined : Number(dig(entry, errors.status))
    if (status !== undefined && !Number.isInteger(status))
      throw strange(`has an entry without "${errors.status ?? ''}"`)
    if (status !== undefined && status < 400) continue
    const index = errors.index === undefined ? place : Number(dig(entry, errors.index) ?? NaN)
    if (!Number.isInteger(index) || index < 0 || index >= count)
      throw strange(`refuses a record that was not sent (${String(index)})`)
    const reason =
      (errors.reason === undefined ? undefined : textOf(dig(entry, errors.reason))) ??
      (status === undefined ? undefined : `status ${status}`) ??
      textOf(entry) ??
      'refused'
    // What the endpoint could not do now is no fault of the record.
    if (status !== undefined && (status === 429 || status >= 500))
      throw integrationError(status === 429 ? 'rate_limited' : 'unavailable', {
        partner,
        what: `record ${index} of ${count} was not stored: ${reason}`,
        next: 'Try again later: everything since the last checkpoint is sent again',
        details: status === 429 ? {} : { status },
      })
    refusals.set(index, { index, reason })
  }
  return [...refusals.values()]
}
