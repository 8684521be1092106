import { hasPassed } from './clock.ts'
import type { Pass } from './state.ts'

/** How many bytes, and how long, written rows wait for their commit. */
const usual = { bytes: 4 * 1024 * 1024, ms: 1_000 } as const
/** A read that can go on from its last page is committed when this many times what the last commit took has passed: page by page where they are slow, and at most about a twentieth of the time where they are not. */
const timesLast = 20

/** Decides when a pass that may commit in steps does so. */
export interface Rhythm {
  /** `resumes`: the last batch brought a checkpoint, and there may be more behind it. */
  isDue(uncommittedBytes: number, resumes: boolean): boolean
  /** Commits, and minds how long it took. */
  readonly commit: (work: () => Promise<void>) => Promise<void>
}

/** `commitBytes`: what was asked for; undefined: as often as costs little. */
export const openRhythm = (pass: Pass, commitBytes: number | undefined, now: () => number): Rhythm => {
  // A pass over everything begins anew after a kill, so that it gains nothing from more commits.
  const adapts = commitBytes === undefined && (pass.mode === 'incremental' || pass.mode === 'backfill')
  const bytes = commitBytes ?? usual.bytes
  let committedAt = now()
  /** How long to wait after the last commit; nothing before the first one. */
  let pauseMs = 0
  return {
    isDue: (uncommittedBytes, resumes) => {
      if (!pass.stepwise) return false
      if (uncommittedBytes >= bytes || hasPassed(committedAt, now(), usual.ms)) return true
      return adapts && resumes && hasPassed(committedAt, now(), pauseMs)
    },
    commit: async (work) => {
      const began = now()
      await work()
      committedAt = now()
      // Clocks count whole milliseconds: it may have taken nearly one more.
      pauseMs = timesLast * (Math.max(0, committedAt - began) + 1)
    },
  }
}
