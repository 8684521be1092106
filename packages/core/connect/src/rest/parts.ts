import { integrationError, toJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, RestParameter, RestPartitions } from '@ecokit/contracts'
import { recordLines } from '../lines.ts'
import { digest, inOrder } from '../reading.ts'
import { sentTime } from './cursor.ts'
import { askedOf, boundsOf, conclude, sieve } from './pass.ts'
import type { Reading, RestReading } from './pass.ts'
import type { Asked } from './pages.ts'
import type { Pass } from './state.ts'
import { isPlain } from './template.ts'

const atOnce = 8

interface Part {
  /** Tells it from the others in a checkpoint. */
  readonly key: string
  /** As a caller asks for it. */
  readonly name: string
  readonly fields: AnyRecord
  readonly parameters: readonly (RestParameter & { readonly value: string })[]
}
type Windows = Extract<RestPartitions, { windowMs: number }>
type Read = (reading: RestReading) => AsyncIterable<Batch<AnyRecord>>

const lengthOfKey = 12
const keysIn = (keys = ''): Set<string> => new Set(keys.match(new RegExp(`.{${lengthOfKey}}`, 'g')))

/** One part for each record of the parent; the same values make one part. */
const partsOfParent = async function* (
  reading: Reading,
  { parent, fields }: Exclude<RestPartitions, Windows>,
  read: Read,
): AsyncGenerator<Part> {
  const { options, refuse, rest } = reading
  const seen = new Set<string>()
  /** Objects stand in no text; `.` and `..` would be another path. */
  const canStand = (name: string, value: unknown): boolean =>
    isPlain(value) && (!rest.path.includes(`{${name}}`) || !['.', '..'].includes(String(value)))
  const about = (reason: string) => `a record of the parent ${parent}: ${reason}`
  const records = read({
    ...reading,
    name: parent,
    options: {
      signal: options.signal,
      columns: [...new Set(Object.values(fields))],
      onInvalid: ({ reason, ...invalid }) => refuse({ ...invalid, reason: about(reason) }),
    },
  })
  for await (const batch of records) {
    const found = batch.encoding === 'records' ? batch.records : recordLines(batch.bytes, refuse)
    for (const record of found as Iterable<AnyRecord>) {
      const values = Object.entries(fields).map(([name, field]) => [name, record[field]] as const)
      const [, empty] = Object.entries(fields).find(([, field]) => (record[field] ?? '') === '') ?? []
      if (empty !== undefined) {
        refuse({ record, field: empty, reason: about('empty, and its records are read with it') })
        continue
      }
      const [, odd] = Object.entries(fields).find(([name, field]) => !canStand(name, record[field])) ?? []
      if (odd !== undefined) {
        refuse({
          record,
          field: odd,
          reason: about('no value that an address can hold, and its records are read with it'),
        })
        continue
      }
      const name = values.map(([, value]) => (typeof value === 'string' ? value : toJson(value))).join('/')
      const key = digest(toJson(values))
      if (seen.has(key)) continue
      seen.add(key)
      yield { key, name, fields: Object.fromEntries(values), parameters: [] }
    }
  }
}

/** One part for each window of time that the pass has to do with. */
const partsOfWindows = function* (reading: Reading, windows: Windows, pass: Pass): Generator<Part> {
  const { cursor } = reading
  const { windowMs, form } = windows
  const start = Date.parse(windows.from)
  const { since, until } = boundsOf(reading, pass.from)
  const lower = Math.max(start, since === undefined ? start : (cursor?.time(since) ?? start))
  const upper = (until === undefined ? undefined : cursor?.time(until)) ?? pass.end ?? start
  const first = start + Math.floor((lower - start) / windowMs) * windowMs
  const { partition } = pass.window ?? {}
  const asked = partition === undefined ? undefined : Date.parse(partition)
  const from = asked === undefined || Number.isNaN(asked) ? first : Math.max(first, asked)
  for (let at = from; at < upper || at === from; at += windowMs) {
    const name = new Date(at).toISOString()
    yield {
      key: String(at),
      name,
      fields: {},
      parameters: [
        { ...windows.since, value: sentTime(Math.max(at, lower), form) },
        { ...windows.until, value: sentTime(at + windowMs, form, 'up') },
      ],
    }
    if (partition !== undefined) return
  }
}

/** The part that was left half read before all others: a checkpoint has room for one place, and the parent may have come into another order. */
const halfReadFirst = async function* (parts: AsyncIterable<Part>, half: string): AsyncGenerator<Part> {
  const held: Part[] = []
  let found = false
  for await (const part of parts) {
    if (found) yield part
    else if (part.key === half) {
      found = true
      yield part
      yield* held.splice(0)
    } else held.push(part)
  }
  yield* held
}

/** Parts that are read side by side and handed on in their order. */
export const readParts = async function* (reading: Reading, read: Read): AsyncGenerator<Batch<AnyRecord>> {
  const { rest, before, refuse, options, pages, partner, name } = reading
  const { partitions } = rest
  if (partitions === undefined) return
  const wanted = reading.pass.window?.partition
  const windows = 'windowMs' in partitions ? partitions : undefined
  let { pass } = reading
  const finished = keysIn(pass.finished)
  const known = keysIn(before.known)
  const resumed = pass
  const isLeft = ({ key, name: part }: Part): boolean =>
    (wanted === undefined || part === wanted) &&
    (windows === undefined ? !finished.has(key) : resumed.part === undefined || Number(key) >= Number(resumed.part))
  let matched = wanted === undefined
  const left = async function* (): AsyncGenerator<Part> {
    const all =
      windows === undefined ? partsOfParent(reading, partitions as never, read) : partsOfWindows(reading, windows, pass)
    for await (const part of all) {
      if (part.name === wanted) matched = true
      if (isLeft(part)) yield part
      if (wanted !== undefined && matched) return
    }
  }

  const begin = async (part: Part, signal: AbortSignal) => {
    // A part that the last pass did not know has all of its records before it.
    const bounds = boundsOf(reading, windows === undefined && !known.has(part.key) ? undefined : pass.from)
    const { values, parameters } = askedOf(reading, bounds, part.fields)
    const asked: Asked = { values, parameters: [...parameters, ...part.parameters] }
    const place = part.key === resumed.part ? resumed.place : undefined
    const walk = pages(asked, place, () => asked, signal)
    return { part, bounds, walk, first: await walk.next() }
  }
  const half = windows === undefined ? resumed.part : undefined
  const parts = half === undefined ? left() : halfReadFirst(left(), half)
  for await (const { part, bounds, walk, first } of inOrder(parts, atOnce, options.signal, begin)) {
    const seen = sieve(reading, bounds, pass.highest)
    for (let step = first; step.done !== true; step = await walk.next()) {
      const { next, rows, refused } = step.value
      for (const invalid of refused) refuse(invalid)
      const kept = seen.keep(rows)
      const highest = seen.highest()
      const { place: _place, part: _part, ...rest } = pass
      pass = { ...rest, ...(highest !== undefined && { highest }) }
      if (next !== undefined) pass = { ...pass, part: part.key, place: next }
      else if (windows !== undefined) pass = { ...pass, part: String(Number(part.key) + windows.windowMs) }
      else pass = { ...pass, finished: (pass.finished ?? '') + part.key }
      yield* kept.batches({ ...before, pass })
    }
  }
  if (!matched)
    throw integrationError('invalid_input', {
      partner,
      what: `${name}: partition: there is none that is called ${String(wanted)}`,
      next:
        windows === undefined
          ? 'Name it by its parent’s fields, joined by /'
          : 'Name it by the time at which it begins',
      details: { field: 'partition' },
    })
  yield { encoding: 'records', records: [], checkpoint: conclude(reading, pass) }
}
