import { existsSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { AnyRecord } from '@ecokit/contracts'
import { expect } from 'vitest'
import { faultsInFile } from '../openlineage.ts'
import type { End, Factory } from './factory.ts'
import { manifestState, type Lane } from './lanes.ts'
import { phases, type Life, type Phase } from './life.ts'
import { isBad, logRowOf, pageRows, snapName, type Shop } from './shop.ts'

/** A small seeded generator (mulberry32): numbers below 1. */
export const randomOf = (...seeds: readonly number[]) => {
  let state = seeds.reduce((sum, one) => Math.imul(sum ^ one, 0x9e3779b1) + 0x7f4a7c15, 0x2545f491) | 0
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What a round counted. */
export interface Tally {
  kills: number
  readonly modes: Record<string, number>
  readonly phases: Record<string, number>
  /** Processes that came to their end. */
  completed: number
  /** Stored checkpoints whose account was looked at. */
  checkpoints: number
  /** The most pages that a process read again although their rows were stored. */
  pagesAgain: number
  rows: number
  /** OpenLineage events that were held against the official schemas. */
  events: number
}
export const newTally = (): Tally => ({
  kills: 0,
  modes: {},
  phases: {},
  completed: 0,
  checkpoints: 0,
  pagesAgain: 0,
  rows: 0,
  events: 0,
})

interface Counts {
  readonly read: number
  readonly written: number
  readonly quarantined: number
  readonly deduplicated: number
}
interface State {
  readonly counts: Counts
  readonly source?: { readonly after?: number }
}

const byId = (rows: readonly AnyRecord[]): readonly AnyRecord[] =>
  rows.toSorted((one, other) => Number(one['id']) - Number(other['id']))

/** Remembers what was seen and says what is wrong with what is seen now. */
export const openWitness = (lane: Lane, shop: Shop, folder: string, tally: Tally) => {
  let logged = 0
  let position = -1
  let version = 0
  const items = new Map<number, number>()
  const statesIn = (): ReadonlyMap<string, State> => {
    const file = path.join(folder, 'state.db')
    if (!existsSync(file)) return new Map()
    const database = new DatabaseSync(file)
    try {
      const there = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'flow_state'").get()
      const rows = there === undefined ? [] : database.prepare('SELECT key, checkpoint FROM flow_state').all()
      return new Map(rows.map(({ key, checkpoint }) => [String(key), JSON.parse(String(checkpoint)) as State]))
    } finally {
      database.close()
    }
  }
  const checkLog = (found: readonly AnyRecord[]): string | undefined => {
    const rows = byId(found)
    let id = 0
    for (const row of rows) {
      while (isBad(id)) id += 1
      const { name, big, at } = logRowOf(id)
      if (row['id'] !== id)
        return Number(row['id']) < id ? `log: ${String(row['id'])} is doubled` : `log: ${id} is lost`
      if (row['name'] !== name || String(row['big']) !== big || row['at'] !== at) return `log: ${id} has another value`
      id += 1
    }
    if (rows.length < logged) return `log: ${logged - rows.length} rows are lost`
    logged = rows.length
    position = id - 1
    return undefined
  }
  const checkItems = (found: readonly AnyRecord[], complete: boolean, exact: boolean): string | undefined => {
    const now = new Map<number, number>()
    for (const { id, at, name } of found as unknown as { id: number; at: number; name: string }[]) {
      if (now.has(id)) return `items: ${id} is doubled`
      if (shop.everNamed.get(`${id}/${at}`) !== name) return `items: ${id} never had this value`
      if (at < (items.get(id) ?? 0)) return `items: ${id} went back to an older value`
      now.set(id, at)
    }
    for (const id of items.keys()) if (!now.has(id) && shop.items.has(id)) return `items: ${id} is lost`
    if (complete)
      for (const { id, at } of shop.items.values())
        if (now.get(id) !== at) return `items: ${id} is not as the source has it`
    if (exact && now.size !== shop.items.size) return `items: ${now.size} rows, the source has ${shop.items.size}`
    items.clear()
    for (const [id, at] of now) items.set(id, at)
    return undefined
  }
  const checkSnap = (found: readonly AnyRecord[], complete: boolean): string | undefined => {
    const merges = lane.streams.some(({ stream, disposition }) => stream === 'snap' && disposition === 'merge')
    const rows = byId(found)
    if (new Set(rows.map(({ id }) => id)).size !== rows.length) return 'snap: a row is doubled'
    for (const row of rows)
      if (row['name'] !== snapName(Number(row['id']), Number(row['version']))) return 'snap: a row has another value'
    if (merges) {
      if (!complete) return undefined
      const old = rows.filter(
        (row) => Number(row['id']) < (shop.sizes[shop.version] ?? 0) && row['version'] !== shop.version,
      )
      if (old.length > 0 || rows.length < (shop.sizes[shop.version] ?? 0))
        return 'snap: rows are not those of the last pass'
      return undefined
    }
    const seen = Number(rows[0]?.['version'] ?? 0)
    if (rows.some((row) => row['version'] !== seen)) return 'snap: rows of two passes'
    if (rows.length !== (shop.sizes[seen] ?? 0)) return `snap: ${rows.length} of ${shop.sizes[seen] ?? 0} rows`
    if (seen < version) return 'snap: an older pass came back'
    if (complete && seen !== shop.version) return 'snap: the last pass is not there'
    version = seen
    return undefined
  }
  const checkStates = async (): Promise<string | undefined> => {
    const states: unknown[] = [...statesIn().values()]
    if ('folder' in (lane.place.config as object))
      for (const { stream } of lane.streams)
        states.push((await manifestState(lane, stream, `shop-to-lake/${stream}`)) ?? undefined)
    for (const state of states as (State | undefined)[]) {
      if (state === undefined) continue
      const { read, written, quarantined, deduplicated } = state.counts
      tally.checkpoints += 1
      if (read !== written + quarantined + deduplicated)
        return `the account does not add up: ${JSON.stringify(state.counts)}`
    }
    const log = (await manifestIn(lane)) as State | undefined
    const after = log?.source?.after
    if (after !== undefined && after - (isBad(after) ? 1 : 0) !== position && after !== position)
      return `log: the checkpoint is at ${after} and the rows at ${position}`
    return undefined
  }
  return {
    check: async (complete: boolean, full: boolean): Promise<string | undefined> => {
      const tables = await lane.look()
      tally.rows = [...tables.values()].reduce((sum, rows) => sum + rows.length, 0)
      const named = (name: string) => tables.get(name) ?? []
      const has = (name: string) => lane.streams.some(({ stream }) => stream === name)
      const wrong =
        checkLog(named('log')) ??
        (has('items') ? checkItems(named('items'), complete, complete && full && lane.prunes) : undefined) ??
        (has('snap') ? checkSnap(named('snap'), complete) : undefined) ??
        (await checkStates())
      if (wrong !== undefined || !complete) return wrong
      const good = Array.from({ length: shop.events }, (_, id) => id).filter((id) => !isBad(id)).length
      return logged === good ? undefined : `log: ${logged} rows, the source has ${good}`
    },
    /** Looks at where the process began to read the log: never behind a page that was stored, never beyond. */
    began: (after: number | undefined): string | undefined => {
      if (after === undefined) return undefined
      const stored = Array.from({ length: position + 1 }, (_, id) => id).filter((id) => id > after && !isBad(id)).length
      const pages = Math.ceil(stored / pageRows)
      tally.pagesAgain = Math.max(tally.pagesAgain, pages)
      if (pages > (lane.transactional ? 0 : 1)) return `log: ${stored} stored rows are read again from ${after}`
      const skipped = Array.from({ length: Math.max(0, after - position) }, (_, at) => position + 1 + at).filter(
        (id) => !isBad(id),
      )
      return skipped.length === 0 ? undefined : `log: the read goes on at ${after}, and the rows end at ${position}`
    },
    /** What the official schemas say against the events of all these lives. */
    lineage: (): string | undefined => {
      const { events, faults } = faultsInFile(path.join(folder, 'state.db'))
      tally.events += events
      return faults.length === 0 ? undefined : `lineage: ${faults[0] ?? ''}`
    },
    /** What the store says in the end: no run is left open, every bad record was put aside, and the accounts are those of the rows. */
    account: (): string | undefined => {
      const database = new DatabaseSync(path.join(folder, 'state.db'))
      try {
        const number = (sql: string) => Number(Object.values(database.prepare(sql).get() ?? {})[0] ?? 0)
        if (number("SELECT count(*) FROM runs WHERE status = 'running'") > 1) return 'runs are left open'
        if (number('SELECT count(*) FROM run_streams WHERE read <> written + quarantined + deduplicated') > 0)
          return 'the account of a run does not add up'
        const written = number("SELECT sum(written) FROM run_streams WHERE stream = 'log'")
        if (lane.transactional && written !== logged)
          return `log: the runs wrote ${written} rows, and ${logged} are there`
        const aside = database.prepare("SELECT DISTINCT record FROM quarantine WHERE stream = 'log'").all()
        const ids = new Set(aside.map(({ record }) => (JSON.parse(String(record)) as { id: number }).id))
        for (let id = 0; id < shop.events; id += 1)
          if (isBad(id) !== ids.has(id)) return `log: the quarantine is wrong about ${id}`
        return undefined
      } finally {
        database.close()
      }
    },
  }
}
const manifestIn = async (lane: Lane): Promise<unknown> =>
  'folder' in (lane.place.config as object) ? manifestState(lane, 'log', 'shop-to-lake/log') : undefined

/** Phases that a life comes to once. */
const once: readonly Phase[] = ['start', 'close sink', 'close store']

const planKill = (
  random: () => number,
  cleanMs: number,
): { readonly kill?: Life['kill']; readonly afterMs?: number } => {
  if (random() < 0.4) return { afterMs: random() * cleanMs * 1.05 }
  const phase = phases[Math.floor(random() * phases.length)] ?? 'commit'
  const nth = once.includes(phase) ? 1 : 1 + Math.floor(random() ** 2 * 9)
  return { kill: { phase, nth, delayMs: random() < 0.5 ? 0 : random() * 6 } }
}

/** Kills process after process until there were enough; gives the first thing that was lost, doubled or wrong. */
export const torture = async (
  about: { readonly lane: Lane; readonly shop: Shop; readonly folder: string; readonly factory: Factory },
  wanted: number,
  random: () => number,
  tally: Tally,
): Promise<string | undefined> => {
  const { lane, shop, folder, factory } = about
  const witness = openWitness(lane, shop, folder, tally)
  const base = { sink: lane.place, url: shop.url, folder, streams: lane.streams, naive: false }
  let full = false
  let cutOffFull = false
  const live = async (more: ReturnType<typeof planKill>): Promise<End> => {
    const end = await factory.live({ ...base, full, kill: more.kill }, more.afterMs)
    if (!end.killed) expect(end.wrong).toBe('')
    return end
  }
  shop.change(random, false)
  shop.change(random, false)
  const before = performance.now()
  await live({})
  const cleanMs = performance.now() - before
  const first = await witness.check(true, false)
  if (first !== undefined) return first
  shop.starts()
  let inRow = 0
  while (tally.kills < wanted) {
    if (inRow === 0) shop.change(random, full)
    const end = await live(inRow < 10 ? planKill(random, cleanMs) : {})
    const start = shop.starts().get('log')
    const appends = lane.streams.some(({ stream, disposition }) => stream === 'log' && disposition === 'append')
    const wrong = appends || !(full || cutOffFull) ? witness.began(start) : undefined
    const after = wrong ?? (await witness.check(!end.killed, full))
    if (after !== undefined) return `${after} (after ${end.killed ? `a kill at ${end.phase}` : 'a whole run'})`
    cutOffFull = end.killed && (full || cutOffFull)
    if (end.killed) {
      inRow += 1
      tally.kills += 1
      const { stream = '', disposition = 'append' } = lane.streams[end.stream] ?? {}
      // Reading everything again would double what was appended: the log goes on.
      const mode = `${stream === 'snap' || (full && disposition === 'merge') ? 'full' : 'incremental'} ${disposition}`
      tally.modes[mode] = (tally.modes[mode] ?? 0) + 1
      tally.phases[end.phase] = (tally.phases[end.phase] ?? 0) + 1
      continue
    }
    inRow = 0
    tally.completed += 1
    full = random() < 0.4
  }
  full = true
  await live({})
  return (await witness.check(true, true)) ?? witness.account() ?? witness.lineage()
}

/** The same against a sink that stores rows and then the checkpoint: gives what was found. */
export const tortureNaive = async (
  about: { readonly lane: Lane; readonly shop: Shop; readonly folder: string; readonly factory: Factory },
  random: () => number,
  tally: Tally,
): Promise<string | undefined> => {
  const { lane, shop, folder, factory } = about
  const witness = openWitness(lane, shop, folder, tally)
  const streams = lane.streams.filter(({ stream }) => stream === 'log')
  for (let kill = 0; kill < 10; kill += 1) {
    shop.change(random, false)
    const nth = 1 + Math.floor(random() * 3)
    const phase = 'committed, not noted'
    const life = { sink: lane.place, url: shop.url, folder, streams, naive: true, full: false }
    const end = await factory.live({ ...life, kill: { phase, nth, delayMs: 0 } })
    if (end.killed) tally.kills += 1
    const found = await witness.check(false, false)
    if (found !== undefined) return found
  }
  return undefined
}
