import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, Manifest, RestStream, Stream } from '@ecokit/contracts'
import { columnsOf, refuser } from '../data.ts'
import { readCheckpoint } from '../reading.ts'
import { compareSlices } from './compare.ts'
import { boundOf, cursorOf } from './cursor.ts'
import type { Cursor } from './cursor.ts'
import { openPages } from './pages.ts'
import type { Asked } from './pages.ts'
import { readParts } from './parts.ts'
import { askedOf, boundsOf, conclude, higher, reachedOf, sieve } from './pass.ts'
import type { Reading, RestReading } from './pass.ts'
import { roadOf } from './road.ts'
import { state } from './state.ts'
import type { Pass, State } from './state.ts'
import { fill } from './template.ts'

/** A list that is read in one piece. */
const readList = async function* (reading: Reading): AsyncGenerator<Batch<AnyRecord>> {
  const { rest, cursor, partial, pages, refuse, before } = reading
  let { pass } = reading
  const moves = rest.incremental?.ordered === true && cursor !== undefined && !partial
  const bounds = boundsOf(reading, pass.from)
  let seen = sieve(reading, bounds, pass.highest)
  const again = (): Asked => {
    // What an ordered pass has reached is stored already.
    const from = moves ? higher(cursor, pass.from, before.cursor) : pass.from
    const { window, end } = pass
    pass = {
      ...(from !== undefined && { from }),
      ...(window !== undefined && { window }),
      ...(end !== undefined && { end }),
    }
    const anew = boundsOf(reading, from)
    seen = sieve(reading, anew, undefined)
    return askedOf(reading, anew)
  }
  for await (const page of pages(askedOf(reading, bounds), pass.place, again)) {
    for (const invalid of page.refused) refuse(invalid)
    const rows = seen.keep(page.rows)
    const highest = seen.highest()
    pass = { ...pass, ...(highest !== undefined && { highest }) }
    const reached = moves ? reachedOf(reading, pass) : before.cursor
    const now = { ...before, ...(reached !== undefined && { cursor: reached }) }
    const after: State =
      page.next === undefined ? conclude(reading, pass) : { ...now, pass: { ...pass, place: page.next } }
    yield* rows.batches(after)
  }
}

/** What the caller asks for beside a checkpoint; undefined: all that is new. */
const windowOf = (cursor: Cursor | undefined, { partner, name, options }: RestReading): Pass['window'] => {
  const since = boundOf(cursor, { partner, name }, 'since', options.since)
  const until = boundOf(cursor, { partner, name }, 'until', options.until)
  const { partition } = options
  if (since === undefined && until === undefined && partition === undefined) return undefined
  return {
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(partition !== undefined && { partition }),
  }
}

/** The first host as the config says it, its path included. */
const firstBase = ({ hosts }: Manifest): string => hosts[0] ?? ''

const begin = (given: RestReading, declared: Stream, rest: RestStream): Reading => {
  const { partner, name, manifest, options, config, http, isSecret } = given
  const cursor = cursorOf(declared)
  const window = windowOf(cursor, given)
  if (options.partition !== undefined && rest.partitions === undefined)
    throw integrationError('invalid_input', {
      partner,
      what: `${name}: partition: the stream has no partitions`,
      details: { field: 'partition' },
    })
  const { pass: under, ...before } =
    options.checkpoint === undefined ? { rest: 1 as const } : readCheckpoint(partner, name, state, options.checkpoint)
  const same = under !== undefined && JSON.stringify(under.window) === JSON.stringify(window)
  const from = window === undefined ? before.cursor : undefined
  const isTimed = cursor?.isTime === true || (rest.partitions !== undefined && 'windowMs' in rest.partitions)
  const end = isTimed ? { end: given.now() } : {}
  const fresh: Pass = { ...end, ...(from !== undefined && { from }), ...(window !== undefined && { window }) }
  const { columns } = options
  const hidden = cursor !== undefined && columns !== undefined && !columns.includes(cursor.field)
  const schema = columnsOf(partner, name, declared.schema, hidden ? [...columns, cursor.field] : columns)
  const road = roadOf({ partner, rest, schema, cursor: cursor?.field, hidden })
  const key = declared.primaryKey ?? []
  const walk = openPages({
    partner,
    name,
    rest,
    http,
    // A base URL of the config may end with a slash.
    base: fill(rest.base ?? firstBase(manifest), config as AnyRecord).replace(/([^:/])\/{2,}/g, '$1/'),
    isSecret,
    hasKey: key.length > 0 && key.every((field) => columns?.includes(field) ?? true),
  })
  return {
    ...given,
    rest,
    cursor,
    before,
    pass: same ? { ...end, ...under } : fresh,
    partial: window !== undefined,
    lagMs: options.lagMs ?? rest.incremental?.lagMs ?? 0,
    refuse: refuser(partner, name, options.onInvalid),
    pages: (asked, place, again, signal = options.signal) => walk(asked, road, place, signal, again),
  }
}

/** Reads a declared stream. */
export const readRest = async function* (given: RestReading): AsyncGenerator<Batch<AnyRecord>> {
  const declared = given.manifest.streams?.[given.name]
  if (declared?.rest === undefined) return
  const reading = begin(given, declared, declared.rest)
  if (reading.before.done === true) return
  if (reading.rest.changes === 'compare') yield* compareSlices(reading)
  else if (reading.rest.partitions === undefined) yield* readList(reading)
  else yield* readParts(reading, readRest)
}
