/** Two counts over a moving window of time. */
export interface Window {
  /** Adds to both counts. */
  add(now: number, all: number, marked: number): void
  all(now: number): number
  marked(now: number): number
  clear(): void
}

const parts = 12

/** Counts over at least the last `spanMs` and at most a twelfth more; forgets all where the clock is put back by more than that. */
export const openWindow = (spanMs: number): Window => {
  const size = spanMs / parts
  const slots = Array.from({ length: parts + 1 }, () => ({ all: 0, marked: 0 }))
  const sum = { all: 0, marked: 0 }
  let newest = -Infinity
  let current = slots[0] as { all: number; marked: number }
  const clear = (): void => {
    for (const slot of slots) slot.all = slot.marked = 0
    sum.all = sum.marked = 0
  }
  const move = (now: number): void => {
    const at = Math.floor(now / size)
    if (at <= newest && at >= newest - parts) return
    if (Math.abs(at - newest) > parts) clear()
    else
      for (let step = newest + 1; step <= at; step++) {
        const slot = slots[step % slots.length] as typeof current
        sum.all -= slot.all
        sum.marked -= slot.marked
        slot.all = slot.marked = 0
      }
    newest = at
    current = slots[at % slots.length] as typeof current
  }
  return {
    add: (now, all, marked) => {
      move(now)
      current.all += all
      sum.all += all
      current.marked += marked
      sum.marked += marked
    },
    all: (now) => (move(now), sum.all),
    marked: (now) => (move(now), sum.marked),
    clear,
  }
}
