import { z } from 'zod'

/** Where the next page is asked for. */
const place = z.strictObject({
  /** A token out of the last page; `digits` where it was a number there. */
  token: z.string().optional(),
  digits: z.literal(true).optional(),
  offset: z.int().optional(),
  page: z.int().optional(),
  /** How many records the counted pages hold by now. */
  size: z.int().optional(),
  /** Path and query of a link within the origin. */
  path: z.string().optional(),
})
export type Place = z.output<typeof place>

const bounds = z.strictObject({
  since: z.string().optional(),
  until: z.string().optional(),
  partition: z.string().optional(),
})

/** A pass that is under way. */
const pass = z.strictObject({
  /** The cursor that it began behind. */
  from: z.string().optional(),
  /** The window that was asked for. */
  window: bounds.optional(),
  /** The highest value of the cursor that was seen. */
  highest: z.string().optional(),
  /** The page to ask for next; absent: the first. */
  place: place.optional(),
  /** Of the parts that are half read: the page to ask for next, by the digest of the part. */
  places: z.record(z.string(), place).optional(),
  /** Digests of the parts that are done, one behind the other. */
  finished: z.string().optional(),
  /** Of windows of time: all before this one are done, in epoch milliseconds. */
  part: z.string().optional(),
  /** When the pass began, in epoch milliseconds, where the cursor is a time: windows end there, and so does the cursor that it leaves. A clock that jumps does not change a pass. */
  end: z.number().optional(),
  /** Of the slices read so far in this round. */
  digests: z.array(z.string()).optional(),
  round: z.int().optional(),
})
export type Pass = z.output<typeof pass>

/** The checkpoint of a declared stream. */
export const state = z.strictObject({
  rest: z.literal(1),
  /** Everything up to this value of the cursor has been handed on. */
  cursor: z.string().optional(),
  /** Digests of the parts of the last pass that was completed: only they may be asked for what came behind the cursor. */
  known: z.string().optional(),
  /** Of the slices of the last round that reached its end. */
  digests: z.array(z.string()).optional(),
  /** The stream has no cursor and was read to its end: there is nothing to go on with. */
  done: z.literal(true).optional(),
  pass: pass.optional(),
})
export type State = z.output<typeof state>
