import { z } from 'zod'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const form = '^[0-9]{1,9}(ms|s|m|h|d)$'
/** NaN for what is no duration. */
const toMs = (text: string): number => {
  const [, amount = '', unit = ''] = /^(\d+)([a-z]+)$/.exec(text) ?? []
  return Number(amount) * (units[unit] ?? NaN)
}
const badDuration = (never: boolean): string =>
  `not a duration; write a whole number and a unit without a space: 500ms, 10s, 5m, 24h or 7d${never ? '; or never' : ''}`

const bounded = (least: string, most: string, never: boolean) =>
  z
    .string({ error: (issue) => (issue.input === undefined ? undefined : badDuration(never)) })
    .regex(never ? new RegExp(`^never$|${form}`) : new RegExp(form), badDuration(never))
    .refine((text) => !(toMs(text) < toMs(least)), `must be ${least} or longer`)
    .refine((text) => !(toMs(text) > toMs(most)), `must be ${most} or shorter`)

/** A duration as text, given in milliseconds. Timers count in 31 bits: more than 24.8 days would fire at once. */
export const duration = (least: string, most = '24d') => bounded(least, most, false).transform(toMs)
/** A duration, or `never`, which is given as undefined. */
export const durationOrNever = (least: string, most: string) =>
  bounded(least, most, true).transform((text) => (text === 'never' ? undefined : toMs(text)))
