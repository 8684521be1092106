import { integrationError, isIntegrationError, toJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, IntegrationError, RestParameter, RestPartitions } from '@ecokit/contracts'
import { recordLines } from '../lines.ts'
import { digest } from '../reading.ts'
import { sentTime } from './cursor.ts'
import { askedOf, boundsOf, conclude, higher, sieve } from './pass.ts'
import type { Reading, RestReading } from './pass.ts'
import type { Asked, Page } from './pages.ts'
import { sideBySide } from './side-by-side.ts'
import type { Pass } from './state.ts'
import { isPlain } from './template.ts'

const atOnce = 8

interface Part {
  /** Tells it from the others in a checkpoint. */
  readonly key: string
  /** As a caller asks for it. */
  readonly name: string
  /** When a window begins. */
  readonly at?: number
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
  signal: AbortSignal,
): AsyncGenerator<Part> {
  const { refuse, rest } = reading
  const seen = new Set<string>()
  /** Objects stand in no text; `.` and `..` would be another path. */
  const canStand = (name: string, value: unknown): boolean =>
    isPlain(value) && (!rest.path.includes(`{${name}}`) || !['.', '..'].includes(String(value)))
  const about = (reason: string) => `a record of the parent ${parent}: ${reason}`
  const records = read({
    ...reading,
    name: parent,
    options: {
      signal,
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
      key: digest(name),
      name,
      at,
      fields: {},
      parameters: [
        { ...windows.since, value: sentTime(Math.max(at, lower), form) },
        { ...windows.until, value: sentTime(at + windowMs, form, 'up') },
      ],
    }
    if (partition !== undefined) return
  }
}

/** Which windows are done: all before `part`, and of those behind it the ones in `finished`. */
const doneWindows = ({ windowMs }: Windows, done: Set<string>) => {
  const begun: Part[] = []
  let { part }: Pass = {}
  return {
    begin: (window: Part): void => {
      begun.push(window)
    },
    end: ({ key }: Part): Pass => {
      done.add(key)
      for (let first = begun[0]; first !== undefined && done.delete(first.key); first = begun[0]) {
        part = String((first.at ?? 0) + windowMs)
        begun.shift()
      }
      return { ...(part !== undefined && { part }), finished: [...done].join('') }
    },
  }
}

/** Parts that are read side by side; a checkpoint holds a place in each that is half read. */
export const readParts = async function* (reading: Reading, read: Read): AsyncGenerator<Batch<AnyRecord>> {
  const { rest, before, refuse, options, pages, partner, name, cursor } = reading
  const { partitions } = rest
  if (partitions === undefined) return
  const wanted = reading.pass.window?.partition
  const windows = 'windowMs' in partitions ? partitions : undefined
  const { pass: resumed } = reading
  let pass: Pass = resumed
  const finished = keysIn(resumed.finished)
  const done = windows && doneWindows(windows, new Set(finished))
  const known = keysIn(before.known)
  const isLeft = ({ key, at, name: part }: Part): boolean =>
    (wanted === undefined || part === wanted) &&
    !finished.has(key) &&
    (at === undefined || resumed.part === undefined || at >= Number(resumed.part))
  let matched = wanted === undefined
  const mayLack = 'parent' in partitions && partitions.mayLack === true
  let anyThere = finished.size > 0
  let lacking: IntegrationError | undefined
  const left = async function* (signal: AbortSignal): AsyncGenerator<Part> {
    const all =
      windows === undefined
        ? partsOfParent(reading, partitions as never, read, signal)
        : partsOfWindows(reading, windows, resumed)
    for await (const part of all) {
      if (part.name === wanted) matched = true
      if (isLeft(part)) yield part
      if (wanted !== undefined && matched) return
    }
  }
  const walk = async function* (
    part: Part,
    signal: AbortSignal,
  ): AsyncGenerator<Page & { highest: string | undefined }> {
    done?.begin(part)
    // A part that the last pass did not know has all of its records before it.
    const bounds = boundsOf(reading, windows === undefined && !known.has(part.key) ? undefined : resumed.from)
    const { values, parameters } = askedOf(reading, bounds, part.fields)
    const asked: Asked = { values, parameters: [...parameters, ...part.parameters] }
    const seen = sieve(reading, bounds, undefined)
    let isThere = false
    try {
      for await (const page of pages(asked, resumed.places?.[part.key], () => asked, signal)) {
        isThere = true
        anyThere = true
        yield { ...page, rows: seen.keep(page.rows), highest: seen.highest() }
      }
    } catch (error) {
      if (!mayLack || isThere || !isIntegrationError(error, 'not_found')) throw error
      // Neither finished nor known from now on: when it is there again, all of it is new.
      lacking ??= error
    }
  }
  for await (const { item: part, page } of sideBySide(left, atOnce, options.signal, walk)) {
    for (const invalid of page.refused) refuse(invalid)
    const highest = cursor && higher(cursor, pass.highest, page.highest)
    const { [part.key]: _left, ...places } = pass.places ?? {}
    pass = { ...pass, places, ...(highest !== undefined && { highest }) }
    if (page.next !== undefined) pass = { ...pass, places: { ...places, [part.key]: page.next } }
    else if (done === undefined) pass = { ...pass, finished: (pass.finished ?? '') + part.key }
    else pass = { ...pass, ...done.end(part) }
    yield* page.rows.batches({ ...before, pass })
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
  // A path that is wrong finds nothing either.
  if (lacking !== undefined && !anyThere) throw lacking
  // In an order of their own, however they came.
  const all = [...keysIn(pass.finished)].toSorted().join('')
  yield { encoding: 'records', records: [], checkpoint: conclude(reading, { ...pass, finished: all }) }
}
