import { toJson, type AnyRecord, type Batch, type Sink } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { changedRuns, listQuarantine, sync, type PipelineStream, type RunResult } from '../src/index.ts'
import { lifeOf, storeOf } from './life.ts'
import { memorySink, newDisk, rowsOn, sourceOfShelves, type Disk, type Shelf } from './memory.ts'
import { only } from './support.ts'

const row = z.object({ id: z.int(), n: z.string(), more: z.string().optional() })

/** A record with what becomes of it: `n` is cast to a whole number, and the sink refuses every fifth. */
type Fate = 'stored' | 'uncastable' | 'refused' | 'ruled out'
interface Made {
  readonly id: number
  readonly fate: Fate
}
const textOf = ({ fate }: Made, at: number): string =>
  fate === 'uncastable' ? 'x' : fate === 'refused' ? '-5' : fate === 'ruled out' ? '-7' : String(at)

interface Case {
  readonly pages: readonly { readonly records: readonly Made[]; readonly encoded: boolean; readonly marked: boolean }[]
  readonly disposition: 'append' | 'merge' | 'overwrite'
  readonly commit: Sink['commit']
  readonly takesBytes: boolean
  readonly cast: boolean
  readonly commitBytes: number | undefined
  /** How many steps each process lives. */
  readonly lives: readonly number[]
}
const pages = fc.array(
  fc.record({
    records: fc.array(
      fc.record({
        id: fc.integer({ min: 0, max: 12 }),
        fate: fc.oneof(
          { weight: 6, arbitrary: fc.constant<Fate>('stored') },
          { weight: 1, arbitrary: fc.constantFrom<Fate>('uncastable', 'refused', 'ruled out') },
        ),
      }),
      { maxLength: 6 },
    ),
    encoded: fc.boolean(),
    /** Has a checkpoint of its own. */
    marked: fc.boolean(),
  }),
  { maxLength: 8 },
)
const shape = fc.record({
  pages,
  takesBytes: fc.boolean(),
  cast: fc.boolean(),
  commitBytes: fc.constantFrom(0, 200, 1_000_000, undefined),
  lives: fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 4 }),
})
const manner = fc.constantFrom(
  { disposition: 'append', commit: 'transaction' },
  { disposition: 'merge', commit: 'transaction' },
  { disposition: 'merge', commit: 'idempotent' },
  { disposition: 'merge', commit: 'at_least_once' },
  { disposition: 'overwrite', commit: 'transaction' },
  { disposition: 'overwrite', commit: 'idempotent' },
) as fc.Arbitrary<Pick<Case, 'disposition' | 'commit'>>
const cases = fc.tuple(manner, shape).map(([one, other]): Case => ({ ...one, ...other }))

const countsOf = (value: unknown): { read: number; written: number; quarantined: number; deduplicated: number } =>
  (value as { counts: ReturnType<typeof countsOf> }).counts
const balanced = ({ read, written, quarantined, deduplicated }: ReturnType<typeof countsOf>): boolean =>
  read === written + quarantined + deduplicated

const readerOf = ({ pages: all, disposition }: Case, step: () => void): Shelf['read'] =>
  async function* ({ checkpoint }) {
    const from = typeof checkpoint?.['page'] === 'number' ? checkpoint['page'] : 0
    for (const [offset, { records, encoded, marked }] of all.slice(from).entries()) {
      await Promise.resolve()
      step()
      const made = records.map((one, index) => ({ id: one.id, n: textOf(one, (from + offset) * 100 + index) }))
      // An append needs to know where it stands behind its last rows.
      const told = marked || disposition === 'append' ? { checkpoint: { page: from + offset + 1 } } : {}
      const bytes = Buffer.from(made.map((record) => `${toJson(record)}\n`).join(''))
      yield encoded
        ? { encoding: 'ndjson', bytes, count: made.length, proven: true, ...told }
        : { encoding: 'records', records: made, ...told }
    }
  }

/** What the table must hold in the end, by the order in which the records came. */
const expected = ({ pages: all, disposition, cast }: Case): readonly AnyRecord[] => {
  const stored = all.flatMap(({ records }, page) =>
    records.flatMap((one, index) => {
      const n = textOf(one, page * 100 + index)
      const gone = one.fate === 'refused' || one.fate === 'ruled out' || (cast && one.fate === 'uncastable')
      return gone ? [] : [{ id: one.id, n: cast ? Number(n) : n }]
    }),
  )
  if (disposition !== 'merge') return stored
  return [...new Map(stored.map((record) => [record.id, record])).values()]
}
const inOrder = (rows: readonly AnyRecord[]): readonly string[] => rows.map((one) => toJson(one)).toSorted()

const holds = async (given: Case): Promise<void> => {
  const store = await openStore(':memory:')
  const disk: Disk = newDisk()
  const { disposition, commit, takesBytes, cast, commitBytes } = given
  disk.refuses = ({ n }) => (String(n) === '-5' ? 'fives are not taken' : undefined)
  const sink = memorySink(disk, { commit, accepts: takesBytes ? ['records', 'ndjson'] : ['records'] })
  const wanted: PipelineStream = {
    stream: 'rows',
    disposition,
    ...(cast && { cast: { n: 'integer' } }),
    quality: [{ rule: 'set', field: 'n', values: ['unused'], severity: 'warn' }, notSeven(cast)],
  }
  const live = async (steps: number): Promise<RunResult | undefined> => {
    const life = lifeOf(steps)
    disk.onStep = life.step
    const read = readerOf(given, life.step)
    const source = sourceOfShelves({ rows: { schema: row, primaryKey: ['id'], cursor: 'id', read } }, { raw: true })
    const pipeline = { name: 'p', source, sink, sinkName: 'rows', streams: [wanted] }
    try {
      return await sync({ pipeline, store: storeOf(store, life), commitBytes })
    } catch (error) {
      if (!life.isOver()) throw error
      return undefined
    }
  }
  /** Every checkpoint that is kept, in the sink and in the store, holds an account that adds up, and what it says was put aside is there. */
  const check = async (): Promise<void> => {
    const noted = await store.db.selectFrom('flow_state').select('checkpoint').execute()
    const kept = [
      ...disk.checkpoints.values(),
      ...noted.map(({ checkpoint }) => JSON.parse(checkpoint ?? '') as unknown),
    ]
    for (const state of kept) {
      expect(balanced(countsOf(state))).toBe(true)
      const aside = await listQuarantine(store, { run: (state as { run: string }).run, limit: 10_000 })
      expect(aside.length).toBeGreaterThanOrEqual(countsOf(state).quarantined)
    }
  }
  try {
    for (const steps of given.lives) {
      await live(steps)
      await check()
    }
    const last = await live(Infinity)
    await check()
    expect(last?.status).toBe('completed')
    expect(balanced(only(last!))).toBe(true)
    expect(inOrder(rowsOn(disk, 'rows'))).toEqual(inOrder(expected(given)))
    // All runs but those that were being read when their process died: what is shown of them is what they committed.
    for (const { streams } of await changedRuns(store, 0)) for (const one of streams) expect(balanced(one)).toBe(true)
    const aside = new Set((await listQuarantine(store, { limit: 10_000 })).map(({ record }) => record))
    const left = given.pages.flatMap(({ records }) =>
      records.filter(({ fate }) => fate !== 'stored' && (cast || fate !== 'uncastable')),
    )
    if (left.length === 0) expect(aside.size).toBe(0)
    else expect(aside.size).toBeGreaterThan(0)
  } finally {
    await store.close()
  }
}
/** A rule that puts records aside. */
const notSeven = (cast: boolean) =>
  cast
    ? ({ rule: 'range', field: 'n', min: -6, severity: 'quarantine' } as const)
    : ({ rule: 'regex', field: 'n', pattern: '^(?!-7$)', severity: 'quarantine' } as const)

test('read = written + quarantined + deduplicated at every checkpoint, whatever comes and whenever it dies, and the table is right', async () => {
  await fc.assert(fc.asyncProperty(cases, holds), { numRuns: Number(process.env['ECOKIT_ACCOUNTS'] ?? 150) })
}, 600_000)

test('after a death at most one page is handed to the sink again', async () => {
  const count = 12
  const all = Array.from({ length: count }, (_, page): Batch<AnyRecord> => ({
    encoding: 'records',
    records: [{ id: page, n: 'n' }],
    checkpoint: { page: page + 1 },
  }))
  for (const commit of ['transaction', 'idempotent'] as const) {
    const store = await openStore(':memory:')
    const disk = newDisk()
    const asked: number[] = []
    let deaths = 0
    for (let steps = 3; ; steps += 5) {
      const life = lifeOf(steps)
      disk.onStep = life.step
      const read: Shelf['read'] = async function* ({ checkpoint }) {
        const from = Number(checkpoint?.['page'] ?? 0)
        for (const [offset, batch] of all.slice(from).entries()) {
          await Promise.resolve()
          asked.push(from + offset)
          yield batch
        }
      }
      const source = sourceOfShelves({ rows: { schema: row, primaryKey: ['id'], cursor: 'id', read } })
      const pipeline = { name: 'p', source, sink: memorySink(disk, { commit }), sinkName: 'rows' }
      const ended = await sync({ pipeline, store: storeOf(store, life), commitBytes: 0 }).catch(
        (): undefined => undefined,
      )
      if (ended?.status === 'completed') break
      deaths += 1
    }
    const handed = disk.batches.length
    expect(deaths).toBeGreaterThan(2)
    expect(handed).toBeLessThanOrEqual(count + deaths)
    // One more page is read ahead of the one that is written.
    expect(asked.length).toBeLessThanOrEqual(count + 2 * deaths)
    expect(rowsOn(disk, 'rows')).toHaveLength(count)
    const [kept] = await store.db.selectFrom('flow_state').select('checkpoint').execute()
    // A checkpoint does not grow with what was read.
    expect(kept?.checkpoint?.length).toBeLessThan(500)
    await store.close()
  }
})
