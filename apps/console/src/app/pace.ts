/** Work that is asked for more often than it is worth doing. */
export interface Paced {
  /** Has it done: at once where the last time is long enough ago, else as soon as it is; `soon`: without that wait. However often it is asked for meanwhile, it is done once more. */
  ask(soon?: boolean): void
  /** Nothing is begun any more. */
  stop(): void
}

/** Does work at most every so many milliseconds, and what is slow less often: at most a tenth of the time goes into it. */
export const paced = (
  work: () => Promise<void>,
  leastMs: number,
  now: () => number = () => performance.now(),
): Paced => {
  let timer: ReturnType<typeof setTimeout> | undefined
  let freeAt = 0
  let wanted = false
  let hurried = false
  let busy = false
  let stopped = false
  const run = async (): Promise<void> => {
    timer = undefined
    wanted = false
    hurried = false
    busy = true
    const begun = now()
    await work()
    freeAt = begun + Math.max(leastMs, (now() - begun) * 10)
    busy = false
    plan()
  }
  const plan = (): void => {
    if (stopped || busy || !wanted || (timer !== undefined && !hurried)) return
    clearTimeout(timer)
    timer = setTimeout(() => void run(), hurried ? 0 : Math.max(0, freeAt - now()))
  }
  return {
    ask: (soon = false) => {
      wanted = true
      hurried ||= soon
      plan()
    },
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
