import path from 'node:path'
import { openStore } from '@ecokit/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { changedRuns, type Pipeline, type Progress, type StreamRun } from '../src/index.ts'
import { outlookOf } from '../src/outlook.ts'
import { items, newTable, only, run, sinkOf, sourceOf, temporaryFolder, testStore, type Table } from './support.ts'

/** A pipeline whose source takes a second of its own clock for a page. */
const setUp = async (table: Table, more: Partial<Pipeline> = {}) => {
  const folder = await temporaryFolder()
  const store = await testStore(path.join(folder, 'state.db'))
  const pipeline: Pipeline = {
    name: 'shop-to-lake',
    source: sourceOf(table),
    sink: sinkOf(path.join(folder, 'sink.db')),
    sinkName: 'tables',
    streams: ['items'],
    ...more,
  }
  const clock = { now: 1_790_000_000_000 }
  const tick = () => void (clock.now += 1_000)
  table.onPage = tick
  return {
    store,
    pipeline,
    tick,
    /** Runs it, and gives each step with the time since its stream began. */
    go: async (options: { full?: boolean; backfill?: { since?: string }; signal?: AbortSignal } = {}) => {
      const steps: (Progress & { readonly after: number })[] = []
      const begun = clock.now
      const onProgress = (step: Progress) => steps.push({ ...step, after: clock.now - begun })
      const result = await run({ pipeline, store, onProgress, now: () => clock.now, ...options })
      return { steps, result }
    },
  }
}

const left = ({ expected = 0, read }: StreamRun | Progress, elapsedMs: number): number =>
  Math.round(((expected - read) / read) * elapsedMs)

test('a pass over everything says how long it will take by the one before, a delta says nothing', async () => {
  const table = newTable(items(50))
  const { go } = await setUp(table)
  const first = await go()
  expect(only(first.result)).toMatchObject({ mode: 'incremental', read: 50 })
  for (const step of [...first.steps, only(first.result)]) {
    expect(step).not.toHaveProperty('expected')
    expect(step).not.toHaveProperty('leftMs')
  }
  table.items.push(...items(30, 50))
  const delta = await go()
  expect(delta.steps.some(({ status, read }) => status === 'running' && read === 20)).toBe(true)
  for (const step of [...delta.steps, only(delta.result)]) expect(step).not.toHaveProperty('expected')

  const whole = await go({ full: true })
  const running = whole.steps.filter(({ status, read }) => status === 'running' && read > 0)
  expect(running.length).toBeGreaterThan(4)
  for (const step of running.filter(({ read }) => read < 50))
    expect(step).toMatchObject({ expected: 50, leftMs: left(step, step.after) })
  // More than the pass before had: nobody knows any more.
  for (const step of running.filter(({ read }) => read >= 50)) {
    expect(step.expected).toBe(50)
    expect(step).not.toHaveProperty('leftMs')
  }
  expect(running.map(({ read }) => read)).toEqual(expect.arrayContaining([10, 60]))
  expect(only(whole.result)).toMatchObject({ mode: 'reconcile', read: 80, expected: 50 })
  expect(only(whole.result)).not.toHaveProperty('leftMs')
  expect(only((await go({ full: true })).result)).toMatchObject({ read: 80, expected: 80 })
})

test('what another process reads in the store is worked out the same way, also of streams that wait', async () => {
  const table = newTable(items(60))
  const { go, store, tick } = await setUp(table, { streams: ['items', 'plain'] })
  await go()
  const other = await openStore(store.path)
  const seen: StreamRun[][] = []
  table.onPage = async () => {
    tick()
    const [newest] = await changedRuns(other, 0, 1)
    if (newest?.status === 'running') seen.push([...newest.streams])
  }
  await go({ full: true })
  await other.close()
  const [first] = seen
  expect(first?.map(({ status, expected }) => [status, expected])).toEqual([
    ['running', 60],
    ['waiting', 60],
  ])
  const running = seen.flat().filter(({ status, read }) => status === 'running' && read > 0 && read < 60)
  expect(running.length).toBeGreaterThan(4)
  for (const one of running) {
    expect(one.durationMs).toBeGreaterThanOrEqual(1_000)
    expect(one).toMatchObject({ expected: 60, leftMs: left(one, one.durationMs) })
  }
  for (const one of seen.flat().filter(({ status, read }) => status !== 'running' || read === 0))
    expect(one).not.toHaveProperty('leftMs')
})

describe('what is expected', () => {
  test('is not changed by a pass that was cut off, nor by a window', async () => {
    const table = newTable(items(40))
    const { go, tick } = await setUp(table)
    await go()
    const controller = new AbortController()
    table.onPage = ({ page }) => {
      tick()
      if (page === 2) controller.abort()
    }
    const cut = await go({ full: true, signal: controller.signal })
    expect(only(cut.result)).toMatchObject({ status: 'cancelled', mode: 'reconcile', expected: 40 })
    table.onPage = tick
    const window = await go({ backfill: { since: '5' } })
    expect(only(window.result)).toMatchObject({ mode: 'backfill', status: 'completed' })
    expect(only(window.result)).not.toHaveProperty('expected')
    expect(only((await go({ full: true })).result)).toMatchObject({ status: 'completed', expected: 40 })
  })
})

test('for all counts and times: a time is left exactly while some of what is expected is', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('waiting', 'running', 'completed', 'failed', 'cancelled'),
      fc.nat(1_000),
      fc.option(fc.nat(1_000)),
      fc.integer({ min: -10_000, max: 100_000 }),
      (status, read, expected, elapsedMs) => {
        const found = outlookOf({ status, read, expected, elapsedMs })
        expect(found.expected).toBe(expected ?? undefined)
        expect('leftMs' in found).toBe(
          status === 'running' && expected !== null && read > 0 && read < expected && elapsedMs >= 500,
        )
        fc.pre(found.leftMs !== undefined)
        const { leftMs = -1 } = found
        expect(leftMs).toBeGreaterThanOrEqual(0)
        // Of what is read in the same time the less is left, the more it was.
        const later = outlookOf({ status, read: read + 1, expected, elapsedMs })
        expect(later.leftMs ?? 0).toBeLessThanOrEqual(leftMs)
        expect(Math.abs((leftMs + elapsedMs) * read - elapsedMs * (expected ?? 0))).toBeLessThanOrEqual(read)
      },
    ),
  )
})
