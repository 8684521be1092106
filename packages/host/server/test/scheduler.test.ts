import { integrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'
import type { PipelineEntry } from '@ecokit/registry'
import { openStore } from '@ecokit/store'
import { afterEach, expect, test } from 'vitest'
import { openScheduler } from '../src/scheduler.ts'
import { schedulesOf } from '../src/schedules.ts'

const hour = 3_600_000
const start = Date.parse('2026-03-01T00:30:00Z')
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A scheduler over a real store, whose clock and runs the test holds in its hand. */
const setting = async (about: Partial<PipelineEntry>) => {
  const store = await openStore(':memory:')
  closing.push(() => store.close())
  const clock = { now: start }
  const began: number[] = []
  const errors: IntegrationError[] = []
  const skipped: number[] = []
  let end: (() => void) | undefined
  const mood: { fault: IntegrationError | undefined; long: boolean } = { fault: undefined, long: false }
  const pipelines: readonly PipelineEntry[] = [{ name: 'p', source: 'a', sink: 'b', sinkName: 't', ...about }]
  const scheduler = openScheduler({
    store,
    pipelines,
    run: async (_pipeline, begun) => {
      if (mood.fault !== undefined) throw mood.fault
      began.push(clock.now)
      begun()
      if (mood.long) await new Promise<void>((resolve) => (end = resolve))
    },
    onError: (error) => errors.push(error),
    onSkipped: (_pipeline, missed) => Promise.resolve(void skipped.push(missed)),
    now: () => clock.now,
  })
  return {
    ...{ store, clock, began, errors, skipped, mood, scheduler, pipelines },
    end: () => end?.(),
    /** Lets the clock go on and looks what is due; what began has ended by then. */
    after: async (ms: number): Promise<number> => {
      clock.now += ms
      const started = await scheduler.tick()
      await new Promise((resolve) => setImmediate(resolve))
      return started
    },
  }
}

test('by the clock: at its times, once each, and not at the start', async () => {
  const { after, began } = await setting({ schedule: { cron: '0 * * * *' } })
  const started: number[] = []
  for (const ms of [0, 10 * 60_000, 20 * 60_000, 500, 500, 30_000, hour - 31_000, 0]) started.push(await after(ms))
  expect(started).toEqual([0, 0, 1, 0, 0, 0, 1, 0])
  expect(began.map((at) => new Date(at).toISOString())).toEqual([
    '2026-03-01T01:00:00.000Z',
    '2026-03-01T02:00:00.000Z',
  ])
})

test('a time that comes while the server is being closed is not taken for served', async () => {
  const { after, began, mood } = await setting({ schedule: { cron: '0 * * * *' } })
  await after(0)
  mood.fault = integrationError('cancelled', { what: 'closing', details: {} })
  await after(hour / 2)
  expect(began).toEqual([])
  mood.fault = undefined
  await after(60_000)
  expect(began.length).toBe(1)
})

test('times that passed while nothing ran are made up for with one run, or left out, and that is told', async () => {
  for (const [missed, runs, told] of [
    ['catch_up', 1, []],
    ['skip', 0, [5]],
  ] as const) {
    const { after, began, skipped, store, clock, pipelines } = await setting({
      schedule: { cron: '0 * * * *', missed },
    })
    await after(0)
    clock.now += 5 * hour
    expect((await schedulesOf(store, pipelines, clock.now))[0]).toMatchObject({
      missed: 5,
      nextAt: '2026-03-01T06:00:00.000Z',
      lastRun: null,
    })
    expect([await after(0), began.length, skipped]).toEqual([runs, runs, told])
    expect((await schedulesOf(store, pipelines, clock.now))[0]?.missed).toBe(0)
    expect(await after(1000)).toBe(0)
  }
})

test('a run that takes longer than its interval is not started beside itself', async () => {
  const { after, mood, end, began } = await setting({ everyMs: 1000 })
  mood.long = true
  expect([await after(0), await after(1000), await after(5000), began.length]).toEqual([1, 0, 0, 1])
  end()
  await new Promise((resolve) => setImmediate(resolve))
  expect(await after(0)).toBe(1)
  expect(await after(999)).toBe(0)
})

test('two looks at the same moment start it once', async () => {
  const { scheduler, began, clock } = await setting({ schedule: { cron: '0 * * * *' } })
  await scheduler.tick()
  clock.now += hour
  await Promise.all([scheduler.tick(), scheduler.tick(), scheduler.tick()])
  expect(began.length).toBe(1)
})

test('a pipeline that another process runs is tried again soon; what cannot begin is told once and waits for its next time', async () => {
  const held = await setting({ schedule: { cron: '0 * * * *' } })
  await held.after(0)
  held.mood.fault = integrationError('conflict', { what: 'it runs already', details: {} })
  await held.after(hour)
  held.mood.fault = undefined
  expect([await held.after(1000), held.errors]).toEqual([0, []])
  expect(await held.after(30_000)).toBe(1)

  const broken = await setting({ schedule: { cron: '0 * * * *' } })
  await broken.after(0)
  broken.mood.fault = integrationError('invalid_credentials', { what: 'no token', details: { field: 'token' } })
  for (const ms of [hour, 60_000, hour, 60_000]) await broken.after(ms)
  expect(broken.errors.map(({ code }) => code)).toEqual(['invalid_credentials'])
  broken.mood.fault = undefined
  expect([await broken.after(10_000), await broken.after(hour)]).toEqual([0, 1])
})

test('a clock that is put back does not make an interval wait for the time that it was', async () => {
  const { after } = await setting({ everyMs: 60_000 })
  expect([await after(0), await after(30_000), await after(-10 * hour), await after(60_000)]).toEqual([1, 0, 1, 1])
})

test('what the file says is what is shown: time zone, jitter and manner with their defaults', async () => {
  const { store, pipelines } = await setting({ schedule: { cron: '0 3 * * *', timezone: 'Europe/Berlin' } })
  expect(await schedulesOf(store, [...pipelines, { name: 'q', source: 'a', sink: 'b', sinkName: 't' }], start)).toEqual(
    [
      {
        pipeline: 'p',
        everyMs: null,
        schedule: { cron: '0 3 * * *', timezone: 'Europe/Berlin', jitterMs: 0, missed: 'catch_up' },
        nextAt: '2026-03-01T02:00:00.000Z',
        missed: 0,
        lastRun: null,
      },
    ],
  )
})
