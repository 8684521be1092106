import { constants, createContext, Script, type Context } from 'node:vm'

/** How long a pattern may take over the texts of one batch: this, and as much again for each ten million characters. */
const batchMs = 1_000
/** A text that takes this part of the time, twice, is the one that the pattern hangs at. */
const slices = 4

const script = new Script('work()')
let room: Context | undefined

/** How long a pattern may take over so many characters, in milliseconds. */
export const patienceFor = (characters: number): number => Math.ceil(batchMs + characters / 10_000)

/**
 * Does work that may take for ever, as a regular expression does over a text that somebody chose for it; undefined where it was ended after `ms`. Nothing of the work happens behind that point, not even a `finally`: what it was about to change must not be used any more. Node ends regular expressions by itself only in
 * scripts of `vm`; it costs a tenth of a millisecond.
 */
export const withinTime = <T>(ms: number, work: () => T): { readonly value: T } | undefined => {
  const { stackTraceLimit } = Error
  room ??= createContext(constants.DONT_CONTEXTIFY)
  room['work'] = work
  try {
    return { value: script.runInContext(room, { timeout: Math.max(1, Math.ceil(ms)) }) as T }
  } catch (error) {
    // It is an error of the room, and no instance of ours.
    const { code } = error as { readonly code?: unknown }
    if (code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    // The scanner sets it for a while.
    Error.stackTraceLimit = stackTraceLimit
    return undefined
  } finally {
    room['work'] = undefined
  }
}

/** By the place of each text: those in which the pattern is not found, and those that were not judged because it takes too long. */
export interface Unfit {
  readonly without: ReadonlySet<number>
  readonly unjudged: ReadonlySet<number>
}
/** The time that is left for a batch. */
export interface Patience {
  readonly wholeMs: number
  leftMs: number
}
export const openPatience = (characters: number): Patience => {
  const wholeMs = patienceFor(characters)
  return { wholeMs, leftMs: wholeMs }
}

/** Holds texts against a pattern, without ever hanging: where one takes too long it is left out, and when the patience for the batch has gone so are all that come behind it. */
export const holdAgainst = (pattern: RegExp, texts: readonly (string | undefined)[], patience: Patience): Unfit => {
  const without = new Set<number>()
  const unjudged = new Set<number>()
  let at = 0
  let triedAt = -1
  const work = (): void => {
    for (; at < texts.length; at += 1) {
      const text = texts[at]
      if (text !== undefined && !pattern.test(text)) without.add(at)
    }
  }
  while (at < texts.length && patience.leftMs > 0) {
    const began = performance.now()
    const done = withinTime(Math.min(patience.wholeMs / slices, patience.leftMs), work)
    patience.leftMs -= performance.now() - began
    if (done !== undefined) break
    if (at === triedAt) {
      unjudged.add(at)
      at += 1
    } else triedAt = at
  }
  for (; at < texts.length; at += 1) if (texts[at] !== undefined) unjudged.add(at)
  return { without, unjudged }
}
