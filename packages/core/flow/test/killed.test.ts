import { connect } from '@ecokit/connect'
import { defineConnector, sink } from '@ecokit/contracts'
import type { AnyConnection, AnyRecord, Checkpoint, Disposition, WriteOptions, Writer } from '@ecokit/contracts'
import { openStore, type Store } from '@ecokit/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { listRuns, sync, type RunResult } from '../src/index.ts'
import { checkEvents } from './openlineage.ts'
import { lifeOf, storeOf, type Life } from './life.ts'
import { items, newTable, only, sourceOf, type Item, type Table } from './support.ts'

/** What a sink's disk holds. */
interface Disk {
  rows: Item[]
  checkpoint: Checkpoint | undefined
}

const apply = (rows: readonly Item[], added: readonly Item[], disposition: Disposition): Item[] =>
  disposition === 'merge' ? [...new Map([...rows, ...added].map((row) => [row.id, row])).values()] : [...rows, ...added]

/** A sink that commits rows and checkpoint at once; `naive` puts the checkpoint first and may die in between. */
const sinkOn = (disk: Disk, life: Life, naive: boolean): AnyConnection => {
  const open = ({ disposition, prune }: WriteOptions): Writer<AnyRecord> => {
    let staged: Item[] = []
    const seen = new Set<number>()
    const step = async (): Promise<void> => {
      life.step()
      await Promise.resolve()
      life.step()
    }
    return {
      resumesFrom: async () => {
        await step()
        return disk.checkpoint
      },
      write: async (batch) => {
        await step()
        const records = batch.encoding === 'records' ? (batch.records as unknown as Item[]) : []
        staged.push(...records)
        for (const { id } of records) seen.add(id)
        await step()
        return { rows: records.length, rejected: [] }
      },
      commit: async (checkpoint, options) => {
        await step()
        const kept = options?.final === true && disposition === 'overwrite' ? [] : disk.rows
        let rows = apply(kept, staged, disposition)
        if (options?.final === true && prune === true) rows = rows.filter(({ id }) => seen.has(id))
        if (naive) {
          disk.checkpoint = checkpoint
          await step()
          disk.rows = rows
        } else Object.assign(disk, { rows, checkpoint })
        staged = []
        await step()
      },
      [Symbol.asyncDispose]: async () => Promise.resolve(),
    }
  }
  const connector = defineConnector(
    {
      id: 'disk',
      title: 'Disk',
      config: z.strictObject({}),
      hosts: [],
      sinks: {
        rows: sink({
          accepts: ['records'],
          dispositions: ['append', 'merge', 'overwrite'],
          deletes: ['hard'],
          commit: 'transaction',
        }),
        forgetful: sink({
          accepts: ['records'],
          dispositions: ['merge', 'overwrite'],
          deletes: ['hard'],
          commit: 'idempotent',
        }),
      },
    },
    () => ({
      check: () => Promise.resolve({}),
      write: {
        rows: async (options) => {
          life.step()
          return Promise.resolve(open(options))
        },
        forgetful: async (options) => {
          life.step()
          return Promise.resolve({ ...open(options), resumesFrom: () => Promise.resolve({ not: 'ours' }) })
        },
      },
    }),
  )
  return connect(connector, { config: {} })
}

interface Case {
  readonly sinkName: 'rows' | 'forgetful'
  readonly disposition: 'append' | 'merge' | 'overwrite'
  readonly pageSize: number
  readonly commitBytes: number | undefined
  /** What happens one after the other: the table grows and shrinks, and a process lives for so many steps. */
  readonly lives: readonly {
    readonly grow: number
    /** Rows that the source loses, oldest first; not with append, which keeps them. */
    readonly shrink: number
    readonly steps: number
    readonly full: boolean
  }[]
}

const manners = [
  { sinkName: 'rows', disposition: 'append' },
  { sinkName: 'rows', disposition: 'merge' },
  { sinkName: 'rows', disposition: 'overwrite' },
  { sinkName: 'forgetful', disposition: 'merge' },
  { sinkName: 'forgetful', disposition: 'overwrite' },
] as const
const shapes = fc.record({
  pageSize: fc.integer({ min: 1, max: 7 }),
  commitBytes: fc.constantFrom(0, 150, 100_000, undefined),
  lives: fc.array(
    fc.record({
      grow: fc.integer({ min: 0, max: 12 }),
      shrink: fc.integer({ min: 0, max: 3 }),
      steps: fc.integer({ min: 1, max: 120 }),
      full: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  ),
})

const cases = fc.tuple(fc.constantFrom(...manners), shapes).map(([manner, shape]): Case => ({ ...manner, ...shape }))

const liveOnce = async (
  { sinkName, disposition, commitBytes }: Case,
  table: Table,
  disk: Disk,
  store: Store,
  about: { readonly steps: number; readonly full: boolean; readonly naive: boolean },
): Promise<RunResult | undefined> => {
  const life = lifeOf(about.steps)
  table.onPage = life.step
  const pipeline = {
    name: 'p',
    source: sourceOf(table),
    sink: sinkOn(disk, life, about.naive),
    sinkName,
    streams: [{ stream: 'items', disposition }],
  }
  try {
    return await sync({ pipeline, store: storeOf(store, life), full: about.full, commitBytes })
  } catch (error) {
    if (!life.isOver()) throw error
    return undefined
  }
}

const byId = (rows: readonly Item[]): readonly Item[] => rows.toSorted((one, other) => one.id - other.id)
const plain = (rows: readonly Item[]) => byId(rows).map((row) => ({ ...row, big: BigInt(row.big) }))

/** Kills processes as the case says, lets the last one live, and compares the sink with the source. */
const survives = async (given: Case, naive: boolean): Promise<void> => {
  const store = await openStore(':memory:')
  const table = newTable([], given.pageSize)
  const disk: Disk = { rows: [], checkpoint: undefined }
  const merges = given.disposition === 'merge'
  let grown = 0
  try {
    for (const { grow, shrink, steps, full } of given.lives) {
      table.items.push(...items(grow, grown))
      grown += grow
      if (given.disposition !== 'append') table.items.splice(0, shrink)
      const before = disk.rows
      await liveOnce(given, table, disk, store, { steps, full, naive })
      if (!merges) continue
      const there = new Set(disk.rows.map(({ id }) => id))
      expect(there.size).toBe(disk.rows.length)
      const atSource = new Set(table.items.map(({ id }) => id))
      expect(before.filter(({ id }) => atSource.has(id) && !there.has(id))).toEqual([])
    }
    const last = await liveOnce(given, table, disk, store, { steps: Infinity, full: false, naive })
    expect(last?.status).toBe('completed')
    // An incremental pass has brought every row; what is gone at the source is found by one over everything.
    const there = new Set(disk.rows.map(({ id }) => id))
    expect(table.items.filter(({ id }) => !there.has(id))).toEqual([])
    if (merges) await liveOnce(given, table, disk, store, { steps: Infinity, full: true, naive })
    expect(plain(disk.rows)).toEqual(plain(table.items))
    const { read, written, quarantined, deduplicated } = only(last!)
    expect(read).toBe(written + quarantined + deduplicated)
    const runs = await listRuns(store, { limit: 100 })
    expect(runs.filter(({ status }) => status === 'running')).toEqual([])
    await checkEvents(store)
  } finally {
    await store.close()
  }
}

test('whatever is killed between any two steps, the sink ends with exactly the rows of the source', async () => {
  await fc.assert(
    fc.asyncProperty(cases, (given) => survives(given, false)),
    { numRuns: Number(process.env['ECOKIT_LIVES'] ?? 250) },
  )
}, 120_000)

test('the same property catches a sink that stores the checkpoint before the rows', async () => {
  const outcome = await fc.check(
    fc.asyncProperty(cases, (given) => survives(given, true)),
    { numRuns: 300, endOnFailure: true },
  )
  expect(outcome.failed).toBe(true)
}, 120_000)
