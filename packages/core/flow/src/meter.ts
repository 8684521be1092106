/** Counts the requests of one stream. */
export interface Meter {
  /** How many it has made so far. */
  (): number
  /** To be called when it makes none any more. */
  readonly end: () => void
}
/** Gives each request of the source to one of the streams that run, whichever asks first. */
export const openMeter = (total: () => number): (() => Meter) => {
  let seen = 0
  let running = 0
  return () => {
    let own = 0
    if (running === 0) seen = total()
    running += 1
    const count = (): number => {
      const now = total()
      own += now - seen
      seen = now
      return own
    }
    return Object.assign(count, { end: () => (running -= 1) })
  }
}
