import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dueRuns, openSchedule, servedUntil, type ScheduleOptions } from '../src/schedule.ts'
import { testStore } from './support.ts'

const at = (text: string): number => Date.parse(text)
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** The first `count` times after a moment, as ISO 8601. */
const times = (options: ScheduleOptions, after: string, count: number): readonly string[] => {
  const { nextDue } = openSchedule(options)
  const found: string[] = []
  for (let from = at(after); found.length < count;) {
    const next = nextDue(from)
    if (next === undefined) break
    found.push(new Date(next).toISOString().replace(':00.000Z', 'Z'))
    from = next
  }
  return found
}

describe('times', () => {
  test('are those of the time zone, and UTC without one', () => {
    expect(times({ cron: '30 3 * * 1-5' }, '2026-07-03T12:00:00Z', 2)).toEqual([
      '2026-07-06T03:30Z',
      '2026-07-07T03:30Z',
    ])
    const tokyo = { cron: '30 3 * * 1-5', timezone: 'Asia/Tokyo' }
    expect(times(tokyo, '2026-07-03T12:00:00Z', 2)).toEqual(['2026-07-05T18:30Z', '2026-07-06T18:30Z'])
  })

  test('in the gap of spring, a fixed time runs at its end and an interval has nothing there', () => {
    const timezone = 'Europe/Berlin'
    expect(times({ cron: '30 2 * * *', timezone }, '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ])
    expect(times({ cron: '0 * * * *', timezone }, '2026-03-28T23:30:00Z', 3)).toEqual([
      '2026-03-29T00:00Z',
      '2026-03-29T01:00Z',
      '2026-03-29T02:00Z',
    ])
  })

  test('in the hour of autumn that comes twice, a fixed time runs once and an interval in both', () => {
    const timezone = 'America/New_York'
    expect(times({ cron: '30 1 * * *', timezone }, '2026-10-31T12:00:00Z', 2)).toEqual([
      '2026-11-01T05:30Z',
      '2026-11-02T06:30Z',
    ])
    expect(times({ cron: '*/30 * * * *', timezone }, '2026-11-01T04:45:00Z', 5)).toEqual([
      '2026-11-01T05:00Z',
      '2026-11-01T05:30Z',
      '2026-11-01T06:00Z',
      '2026-11-01T06:30Z',
      '2026-11-01T07:00Z',
    ])
  })

  test('know leap days, and that the 30th of February never comes', () => {
    expect(times({ cron: '0 0 29 2 *' }, '2026-01-01T00:00:00Z', 2)).toEqual(['2028-02-29T00:00Z', '2032-02-29T00:00Z'])
    expect(times({ cron: '0 0 28 2 *' }, '2028-02-28T00:00:00Z', 1)).toEqual(['2029-02-28T00:00Z'])
    expect(openSchedule({ cron: '0 0 30 2 *' }).nextDue(0)).toBeUndefined()
  })

  test('are after the moment that was asked about, the same each time, and in order, whatever the jitter', () => {
    const crons = ['* * * * *', '*/7 3,4 * * *', '0 2 * * 0', '15 */5 * * * *', '@daily', '0 0 1 * *']
    const zones = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu']
    const moments = fc.integer({ min: at('2024-01-01T00:00:00Z'), max: at('2030-01-01T00:00:00Z') })
    fc.assert(
      fc.property(
        fc.constantFrom(...crons),
        fc.constantFrom(...zones),
        moments,
        fc.nat({ max: 3 * hour }),
        fc.string(),
        (cron, timezone, moment, jitterMs, pipeline) => {
          const schedule = openSchedule({ cron, timezone, jitterMs })
          const next = schedule.nextDue(moment, pipeline)!
          expect(next).toBeGreaterThan(moment)
          expect(schedule.nextDue(next - 1, pipeline)).toBe(next)
          expect(schedule.nextDue(moment + Math.floor((next - 1 - moment) / 2), pipeline)).toBe(next)
          expect(openSchedule({ cron, timezone, jitterMs }).nextDue(moment, pipeline)).toBe(next)
          expect(schedule.nextDue(next, pipeline)).toBeGreaterThan(next)
        },
      ),
      { numRuns: 300, seed: 7 },
    )
  })

  test('are spread by the name of the pipeline, within the jitter', () => {
    const { nextDue } = openSchedule({ cron: '0 * * * *', jitterMs: 10 * minute })
    const offsets = Array.from({ length: 50 }, (_, index) => nextDue(hour - 1, `pipeline ${index}`)! % hour)
    expect(new Set(offsets).size).toBeGreaterThan(45)
    expect(Math.max(...offsets)).toBeLessThan(10 * minute)
  })

  test.each([
    [{ cron: '61 * * * *' }, /schedule\.cron: 61 \* \* \* \* is not understood.*minute/],
    [{ cron: 'tomorrow' }, /schedule\.cron/],
    [{ cron: '2026-01-01T00:00:00' }, /no cron expression/],
    [{ cron: '@daily', timezone: 'Berlin' }, /schedule\.timezone: Berlin is no time zone/],
    [{ cron: '@daily', jitterMs: -1 }, /schedule\.jitter/],
  ])('what cannot be understood is refused: %j', (options, words) => {
    expect(() => openSchedule(options)).toThrow(words)
    expect(() => openSchedule(options)).toThrow(expect.objectContaining({ code: 'invalid_config' }))
  })
})

describe('runs', () => {
  const noon = at('2026-06-01T12:00:00Z')
  const opened = async (options: Partial<ScheduleOptions> = {}) => {
    const store = await testStore()
    const schedule = openSchedule({ cron: '0 * * * *', ...options })
    const ask = (now: number) => dueRuns(store, 'p', schedule, now)
    await ask(noon)
    return { store, ask, served: (now: number) => servedUntil(store, 'p', now) }
  }

  test('a new schedule begins now, and each time is due once', async () => {
    const { ask, served } = await opened()
    expect(await ask(noon + minute)).toEqual({ due: false, missed: 0, nextAt: noon + hour })
    const now = noon + hour + 1_500
    expect(await ask(now)).toEqual({ due: true, missed: 0, nextAt: noon + 2 * hour })
    expect(await ask(now)).toMatchObject({ due: true })
    await served(now)
    expect(await ask(now + 1)).toMatchObject({ due: false, missed: 0 })
    expect(await ask(noon + 2 * hour)).toMatchObject({ due: true, missed: 0 })
  })

  test('after a night without a host, missed runs are made up for by one, or left out', async () => {
    const now = noon + 8 * hour + 30 * minute
    const one = await opened()
    expect(await one.ask(now)).toEqual({ due: true, missed: 7, nextAt: noon + 9 * hour })
    await one.served(now)
    expect(await one.ask(now + 1)).toMatchObject({ due: false })
    const other = await opened({ missed: 'skip' })
    expect(await other.ask(now)).toEqual({ due: false, missed: 8, nextAt: noon + 9 * hour })
    expect(await other.ask(now + 1)).toMatchObject({ due: false, missed: 0 })
    expect(await other.ask(noon + 9 * hour + 20_000)).toMatchObject({ due: true, missed: 0 })
  })

  test('a run that is on time is not skipped because others before it were missed', async () => {
    const { ask } = await opened({ cron: '* * * * * *', missed: 'skip' })
    expect(await ask(noon + 3 * day)).toMatchObject({ due: true, missed: 1_000 })
  })

  test('with `skip`, a run that found the pipeline taken is due for a minute more; with `catch_up`, until it ran', async () => {
    const skip = await opened({ missed: 'skip' })
    expect(await skip.ask(noon + hour + 59_000)).toMatchObject({ due: true })
    expect(await skip.ask(noon + hour + 61_000)).toMatchObject({ due: false, missed: 1 })
    const catchUp = await opened()
    expect(await catchUp.ask(noon + hour + 50 * minute)).toMatchObject({ due: true, missed: 0 })
  })

  test('a clock that is put forward an hour makes one run; put back an hour, the schedule goes on by the new time', async () => {
    const { ask, served } = await opened({ cron: '*/10 * * * *' })
    expect(await ask(noon + hour)).toMatchObject({ due: true, missed: 5 })
    await served(noon + hour)
    expect(await ask(noon + 5_000)).toEqual({ due: false, missed: 0, nextAt: noon + 10 * minute })
    expect(await ask(noon + 10 * minute)).toMatchObject({ due: true, missed: 0 })
  })

  test('a clock that is set back by seconds does not run anything twice', async () => {
    const { ask, served } = await opened()
    await served(noon + hour)
    expect(await ask(noon + hour - 5_000)).toMatchObject({ due: false })
    expect(await ask(noon + hour + 5_000)).toMatchObject({ due: false })
  })

  test('a changed schedule begins anew, and pipelines do not share one', async () => {
    const { store, ask } = await opened()
    const daily = openSchedule({ cron: '@daily' })
    expect(await dueRuns(store, 'p', daily, noon + 3 * day)).toMatchObject({ due: false, missed: 0 })
    expect(await dueRuns(store, 'other', daily, noon)).toMatchObject({ due: false })
    expect(await dueRuns(store, 'other', daily, noon + day)).toMatchObject({ due: true })
    expect(await ask(noon + 3 * day + 1)).toMatchObject({ due: false })
  })

  test('across the changes of a year, every time of a schedule is served once, however often it is asked', async () => {
    const { store } = await opened()
    const schedule = openSchedule({ cron: '30 2 * * *', timezone: 'Europe/Berlin', jitterMs: 20 * minute })
    const from = at('2026-01-01T00:00:00Z')
    let runs = 0
    for (let now = from; now < from + 365 * day; now += 7 * hour) {
      const { due, missed } = await dueRuns(store, 'year', schedule, now)
      if (!due) continue
      runs += 1 + missed
      await servedUntil(store, 'year', now)
    }
    expect(runs).toBe(365)
  })
})
