import { setImmediate } from 'node:timers/promises'
import type { AnyRecord, Batch, ReadOptions } from '@ecokit/contracts'
import { openStore, type Store } from '@ecokit/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { sync, type Pipeline, type PipelineStream } from '../src/index.ts'
import { lifeOf, storeOf } from './life.ts'
import { memorySink, newDisk, rowsOn, sourceOfShelves } from './memory.ts'
import { run, testStore } from './support.ts'

const rowsInPage = 5
interface World {
  readonly pages: number
  /** How long a page, and a commit, take by the clock. */
  readonly pageMs: number
  readonly commitMs?: number
  readonly checkpoints?: boolean
  readonly stream?: Omit<PipelineStream, 'stream'>
  readonly commit?: 'transaction' | 'idempotent'
}

/** A partner whose pages take their time, and a sink whose commits do. */
const openWorld = ({ pages, pageMs, commitMs = 1, checkpoints = true, stream = {}, commit }: World) => {
  const disk = newDisk()
  const seen = { at: 1_000_000, commits: 0, asked: [] as number[], given: [] as number[] }
  const hooks = { onStep: (): void => {}, onPage: (_page: number): void => {} }
  disk.onStep = (step) => {
    hooks.onStep()
    if (step !== 'commit') return
    seen.commits += 1
    seen.at += commitMs
  }
  const read = async function* ({ checkpoint, signal }: ReadOptions): AsyncIterable<Batch<AnyRecord>> {
    const from = typeof checkpoint?.['page'] === 'number' ? checkpoint['page'] : 0
    for (let page = from; page < pages; page += 1) {
      hooks.onStep()
      seen.asked.push(page)
      // All that can be done with the page before is done until this one is here.
      for (let turn = 0; turn < 8; turn += 1) await setImmediate()
      hooks.onPage(page)
      signal?.throwIfAborted()
      seen.at += pageMs
      seen.given.push(page)
      const records = Array.from({ length: rowsInPage }, (_, index) => ({ id: page * rowsInPage + index, at: page }))
      yield { encoding: 'records', records, ...(checkpoints && { checkpoint: { page: page + 1 } }) }
    }
  }
  const schema = z.object({ id: z.int(), at: z.int() })
  const pipeline: Pipeline = {
    name: 'p',
    source: sourceOfShelves({ items: { schema, primaryKey: ['id'], cursor: 'at', read } }),
    sink: memorySink(disk, commit === undefined ? {} : { commit }),
    sinkName: 'rows',
    streams: [{ stream: 'items', ...stream }],
  }
  return { disk, seen, hooks, pipeline, now: () => seen.at }
}

describe('where pages are slow, a read that was cut off asks for one page again at the most', () => {
  test.each([
    [60, 1],
    [300, 10],
    [5_000, 200],
  ])('cancelled while it waits for a page of %i ms, with commits of %i ms', async (pageMs, commitMs) => {
    for (const last of [1, 2, 7]) {
      const { disk, seen, hooks, pipeline, now } = openWorld({ pages: 9, pageMs, commitMs })
      const store = await testStore()
      const controller = new AbortController()
      hooks.onPage = (page) => {
        if (page === last) controller.abort()
      }
      const cut = await run({ pipeline, store, now, signal: controller.signal })
      expect(cut).toMatchObject({ status: 'cancelled', streams: [{ read: last * rowsInPage }] })
      hooks.onPage = () => {}
      const before = seen.asked.splice(0)
      expect(await run({ pipeline, store, now })).toMatchObject({ status: 'completed' })
      expect(seen.asked.filter((page) => before.includes(page))).toEqual([last])
      expect(rowsOn(disk, 'items')).toHaveLength(9 * rowsInPage)
    }
  })

  test.each([['transaction'], ['idempotent']] as const)('killed between any two steps (%s)', async (commit) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 160 }), async (steps) => {
        const { disk, seen, hooks, pipeline, now } = openWorld({ pages: 9, pageMs: 300, commit })
        const store: Store = await openStore(':memory:')
        const life = lifeOf(steps)
        hooks.onStep = life.step
        await sync({ pipeline, store: storeOf(store, life), now }).catch((error: unknown) => {
          if (!life.isOver()) throw error
        })
        hooks.onStep = () => {}
        const before = new Set(seen.given.splice(0))
        seen.asked.splice(0)
        expect(await sync({ pipeline, store, now })).toMatchObject({ status: 'completed' })
        expect(seen.asked.filter((page) => before.has(page)).length).toBeLessThanOrEqual(1)
        expect(rowsOn(disk, 'items')).toHaveLength(9 * rowsInPage)
        await store.close()
      }),
      { numRuns: 40 },
    )
  })
})

test.each([[0], [1]])('a pass of %i pages is committed once', async (pages) => {
  const { seen, pipeline, now } = openWorld({ pages, pageMs: 300 })
  await run({ pipeline, store: await testStore(), now })
  expect(seen.commits).toBe(1)
})

test('with commitBytes 0 every page is committed, however fast they come', async () => {
  const { seen, pipeline, now } = openWorld({ pages: 30, pageMs: 0, commitMs: 50 })
  await run({ pipeline, store: await testStore(), now, commitBytes: 0 })
  expect(seen.commits).toBe(31)
})

test('commits take about a twentieth of the time at the most, and rows wait for a second at the most', async () => {
  const cheap = openWorld({ pages: 2_000, pageMs: 2, commitMs: 9 })
  const began = cheap.now()
  await run({ pipeline: cheap.pipeline, store: await testStore(), now: cheap.now })
  // The first and the last one are for nothing.
  expect((cheap.seen.commits - 2) * 9).toBeLessThanOrEqual((cheap.now() - began) / 20)
  expect(cheap.seen.commits).toBeGreaterThan(15)
  const dear = openWorld({ pages: 400, pageMs: 10, commitMs: 3_000 })
  await run({ pipeline: dear.pipeline, store: await testStore(), now: dear.now })
  expect(dear.seen.commits).toBe(2 + 3)
})

test.each([
  ['a number of bytes that was asked for', {}, { commitBytes: Infinity }],
  ['a pass that would begin anew', { stream: { mode: 'full_refresh', disposition: 'merge' } }, {}],
  ['pages without a checkpoint', { checkpoints: false }, {}],
] as const)('%s is committed by the second', async (_name, about, more) => {
  const { seen, pipeline, now } = openWorld({ pages: 20, pageMs: 300, ...about })
  expect(await run({ pipeline, store: await testStore(), now, ...more })).toMatchObject({ status: 'completed' })
  expect(seen.commits).toBe(1 + 5)
})

test('a pass that is seen whole or not at all is committed once', async () => {
  const { seen, pipeline, now } = openWorld({
    ...{ pages: 20, pageMs: 300 },
    stream: { mode: 'full_refresh', disposition: 'overwrite' },
  })
  await run({ pipeline, store: await testStore(), now })
  expect(seen.commits).toBe(1)
})
