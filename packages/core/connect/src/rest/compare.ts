import type { AnyRecord, Batch } from '@ecokit/contracts'
import { askedOf, sieve } from './pass.ts'
import type { Reading } from './pass.ts'
import type { Pass, State } from './state.ts'

const sliceSize = 100
const mostRounds = 3

/** Reads a list whole and hands on the slices that have changed since the checkpoint. */
export const compareSlices = async function* (reading: Reading): AsyncGenerator<Batch<AnyRecord>> {
  const { pages, refuse, partial, pass: given } = reading
  const { window } = given
  const bounds = partial ? { since: window?.since, until: window?.until, window: true } : {}
  const asked = askedOf(reading, bounds)
  let { digests = [] } = reading.before
  let round = given.round ?? 1
  let found = given.digests ?? []
  let place = given.place
  for (;;) {
    let count = place === undefined ? 0 : 1
    let changes = 0
    const again = () => {
      found = []
      count = 0
      return asked
    }
    let more = false
    for await (const page of pages(asked, place, again)) {
      for (const invalid of page.refused) refuse(invalid)
      count += 1
      const marks = page.rows.digests(sliceSize)
      const before = found.length
      const changed = marks.map((mark, slice) => partial || mark !== digests[before + slice])
      let row = 0
      const isChanged = () => changed[Math.floor(row++ / sliceSize)] === true
      const rows = partial ? sieve(reading, bounds, undefined).keep(page.rows) : page.rows.keep(isChanged)
      found = partial ? [] : [...found, ...marks]
      changes += rows.count
      const pass: Pass = { ...(window && { window }), digests: found, round, ...(page.next && { place: page.next }) }
      const done: State = partial ? reading.before : { rest: 1, digests: found }
      const after: State = page.next === undefined ? done : { rest: 1, digests, pass }
      yield* rows.batches(after)
      // A page token may be an offset: what is removed while pages are read moves others past it. Another round finds them.
      more = page.next === undefined && count > 1 && !partial && changes > 0 && round < mostRounds
    }
    if (!more) return
    digests = found
    found = []
    place = undefined
    round += 1
  }
}
