import { hash } from 'node:crypto'
import { integrationError } from '@ecokit/contracts'
import type { AuditEntry, NewEntry } from './types.ts'

/** What the first entry has in the place of the hash of the one before. */
export const start = '0'.repeat(64)
const longest = { tenant: 1024, actor: 1024, action: 1024, target: 1024, reason: 4096 }
const detailsAtMost = 16 * 1024
const outcomes: readonly string[] = ['allowed', 'denied', 'failed']

export const hashOf = (text: string): string => hash('sha256', text)

/** How the text of an entry begins. */
export const beginning = (position: number, previous: string): string =>
  `{"position":${position},"previous":"${previous}",`

const refuse = (field: string, what: string): never => {
  throw integrationError('invalid_input', { what: `an audit entry was refused: ${what}`, details: { field } })
}

const detailsText = (details: unknown): string => {
  try {
    return JSON.stringify(details)
  } catch {
    return refuse('details', 'its details are not JSON')
  }
}

/** Where in the text of an entry at that position the hash of the one before begins. Nothing else of a text needs to be looked at: the hash after it covers the rest. */
export const linkAt = (position: number): number => {
  let digits = 1
  for (let limit = 10; position >= limit; limit *= 10) digits++
  return 25 + digits
}

/** The part of an entry's text that is known before its position: everything after `beginning`. Throws `invalid_input` for what is too long. */
export const body = (entry: NewEntry, at: number): string => {
  const { tenant = 'default', actor, action, target, outcome, reason, details } = entry
  const texts = { tenant, actor, action, target, ...(reason === undefined ? {} : { reason }) }
  for (const [field, text] of Object.entries(texts)) {
    if (typeof text !== 'string') refuse(field, `${field} is not text`)
    const limit = longest[field as keyof typeof longest]
    if (text.length > limit) refuse(field, `${field} has ${text.length} characters, at most ${limit} are kept`)
  }
  if (!outcomes.includes(outcome)) refuse('outcome', `outcome is none of ${outcomes.join(', ')}`)
  const shown = details === undefined ? undefined : detailsText(details)
  if (shown !== undefined && Buffer.byteLength(shown) > detailsAtMost)
    refuse('details', `its details are longer than ${detailsAtMost} bytes`)
  const text = JSON.stringify({ at, tenant, actor, action, target, outcome, reason }).slice(1, -1)
  const whole = shown === undefined ? `${text}}` : `${text},"details":${shown}}`
  // Bytes that are no UTF-8 are read as this character: where it never stands, they cannot take its place unseen.
  return whole.replaceAll('\ufffd', '\\ufffd')
}

export const parseEntry = (text: string): AuditEntry => ({
  ...(JSON.parse(text) as Omit<AuditEntry, 'hash'>),
  hash: hashOf(text),
})
