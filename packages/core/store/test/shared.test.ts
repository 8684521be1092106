import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { integrationError, type Shared } from '@ecokit/contracts'
import { memoryShared } from '@ecokit/http'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { locked, openShared, openStore, type Store } from '../src/index.ts'
import { startWorker } from './workers.ts'

const temporaryFile = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-shared-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return path.join(folder, 'state.db')
}
const openedStore = async (file: string, now: () => number = Date.now): Promise<Store> => {
  const store = await openStore(file, { now })
  onTestFinished(() => store.close())
  return store
}
interface Opened extends AsyncDisposable {
  readonly shared: Shared
}
type Open = (now: () => number) => Promise<Opened>
const inMemory: Open = (now) =>
  Promise.resolve({ shared: memoryShared(now), [Symbol.asyncDispose]: () => Promise.resolve() })
const inStore: Open = async (now) => {
  const store = await openStore(':memory:', { now })
  return { shared: openShared(store), [Symbol.asyncDispose]: store.close }
}

const keys = fc.constantFrom('a', 'b', 'tokens/a/b')
const steps = fc.oneof(
  fc.record({ kind: fc.constant('get' as const), key: keys }),
  fc.record({
    kind: fc.constant('put' as const),
    key: keys,
    value: fc.string({ unit: 'binary' }),
    expected: fc.option(fc.nat(3), { nil: undefined }),
    lasts: fc.option(fc.integer({ min: -5, max: 50 }), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('delete' as const), key: keys }),
  fc.record({
    kind: fc.constant('lease' as const),
    key: keys,
    holder: fc.constantFrom('x', 'y'),
    ttl: fc.integer({ min: 1, max: 50 }),
  }),
  fc.record({ kind: fc.constant('release' as const), key: keys, holder: fc.constantFrom('x', 'y') }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(30) }),
)

/** The model: lists of facts that are true until a time, looked through from the start. */
const model = () => {
  let values: { key: string; value: string; version: number; until: number }[] = []
  let leases: { key: string; holder: string; until: number }[] = []
  return {
    pass: (at: number) => {
      values = values.filter(({ until }) => until > at)
      leases = leases.filter(({ until }) => until > at)
    },
    get: (key: string) => {
      const found = values.find((one) => one.key === key)
      return found && { value: found.value, version: found.version }
    },
    put: (key: string, value: string, expected: number | undefined, until: number) => {
      const version = values.find((one) => one.key === key)?.version ?? 0
      if (expected !== undefined && expected !== version) return false
      values = [...values.filter((one) => one.key !== key), { key, value, version: version + 1, until }]
      return true
    },
    delete: (key: string) => {
      values = values.filter((one) => one.key !== key)
    },
    lease: (key: string, holder: string, until: number) => {
      if (leases.some((one) => one.key === key && one.holder !== holder)) return false
      leases = [...leases.filter((one) => one.key !== key), { key, holder, until }]
      return true
    },
    release: (key: string, holder: string) => {
      leases = leases.filter((one) => one.key !== key || one.holder !== holder)
    },
  }
}

type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never
const tell = (truth: ReturnType<typeof model>, step: Step, at: number): unknown => {
  if (step.kind === 'get') return truth.get(step.key)
  if (step.kind === 'put')
    return truth.put(step.key, step.value, step.expected, step.lasts === undefined ? Infinity : at + step.lasts)
  if (step.kind === 'delete') truth.delete(step.key)
  if (step.kind === 'lease') return truth.lease(step.key, step.holder, at + step.ttl)
  if (step.kind === 'release') truth.release(step.key, step.holder)
  return undefined
}
const act = async (shared: Shared, step: Step, at: number): Promise<unknown> => {
  if (step.kind === 'get') {
    const found = await shared.get(step.key)
    return found && { value: found.value, version: found.version }
  }
  if (step.kind === 'put')
    return shared.put(step.key, step.value, {
      ...(step.expected === undefined ? {} : { expected: step.expected }),
      ...(step.lasts === undefined ? {} : { expiresAt: at + step.lasts }),
    })
  if (step.kind === 'delete') return shared.delete(step.key)
  if (step.kind === 'lease') return shared.lease(step.key, step.holder, step.ttl)
  return step.kind === 'release' ? shared.release(step.key, step.holder) : undefined
}

const rates = fc.record({ perSecond: fc.constantFrom(0.5, 3, 10, 70, 1000), burst: fc.integer({ min: 1, max: 8 }) })
const requests = fc.array(
  fc.record({
    gap: fc.nat(400),
    count: fc.integer({ min: 1, max: 3 }),
    maxWait: fc.constantFrom(0, 50, 1000, 100_000),
    hold: fc.option(fc.integer({ min: -100, max: 3000 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 25 },
)

/** The times at which turns go, in order: no stretch of time has more of them than its length and one burst allow. */
const expectWithinRate = (turns: readonly number[], rate: { perSecond: number; burst: number }): void => {
  const sorted = [...turns].sort((one, other) => one - other)
  for (let first = 0; first < sorted.length; first++)
    for (let last = first; last < sorted.length; last++) {
      // Waits are rounded up to whole milliseconds, so that two turns may come one millisecond closer.
      const ms = (sorted[last] ?? 0) - (sorted[first] ?? 0) + 1
      expect(last - first + 1).toBeLessThanOrEqual(rate.burst + (ms / 1000) * rate.perSecond + 1e-6)
    }
}

describe.each([
  { name: 'in memory', open: inMemory },
  { name: 'in the store', open: inStore },
])('$name', ({ open }) => {
  test('values and leases do what a simple model does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 40 }), async (sequence) => {
        let clock = 1000
        const truth = model()
        await using opened = await open(() => clock)
        const { shared } = opened
        const seen: unknown[] = []
        const told: unknown[] = []
        for (const step of sequence) {
          if (step.kind === 'wait') clock += step.ms
          truth.pass(clock)
          told.push(tell(truth, step, clock))
          seen.push(await act(shared, step, clock))
        }
        expect(seen).toEqual(told)
      }),
      { numRuns: 60 },
    )
  })

  test('turns never go faster than the rate and one burst, none before a hold, and what is refused books nothing', async () => {
    await fc.assert(
      fc.asyncProperty(rates, requests, async (rate, asked) => {
        let clock = 5000
        await using one = await open(() => clock)
        await using other = await open(() => clock)
        const turns: number[] = []
        let held = 0
        for (const { gap, count, maxWait, hold } of asked) {
          clock += gap
          if (hold !== undefined) {
            await one.shared.hold('b', clock + hold)
            await other.shared.hold('b', clock + hold)
            held = Math.max(held, clock + hold)
          }
          const wait = await one.shared.reserve('b', rate, count, maxWait)
          if (wait === undefined) continue
          expect(wait).toBeGreaterThanOrEqual(0)
          expect(wait).toBeLessThanOrEqual(maxWait)
          expect(clock + wait).toBeGreaterThanOrEqual(held)
          turns.push(...Array.from({ length: count }, () => clock + wait))
          // The other one was never asked for what was refused here.
          expect(await other.shared.reserve('b', rate, count, maxWait)).toBe(wait)
        }
        if (asked.every(({ count }) => count <= rate.burst)) expectWithinRate(turns, rate)
      }),
      { numRuns: 60 },
    )
  })

  test('a burst goes at once, and then one turn for every interval', async () => {
    await using opened = await open(() => 1_000_000)
    const waits: (number | undefined)[] = []
    for (let index = 0; index < 6; index++)
      waits.push(await opened.shared.reserve('b', { perSecond: 10, burst: 3 }, 1, 250))
    expect(waits).toEqual([0, 0, 0, 100, 200, undefined])
  })

  test('a clock that is put back neither keeps a dead holder alive nor blocks or empties a bucket', async () => {
    let clock = 10 * 3_600_000
    const rate = { perSecond: 10, burst: 2 }
    await using opened = await open(() => clock)
    const { shared } = opened
    expect(await shared.lease('job', 'dead', 1000)).toBe(true)
    clock += 400
    expect(await shared.lease('job', 'other', 1000)).toBe(false)
    clock -= 3_600_000
    expect(await shared.lease('job', 'other', 1000)).toBe(false)
    clock += 999
    expect(await shared.lease('job', 'other', 1000)).toBe(false)
    clock += 1
    expect(await shared.lease('job', 'other', 1000)).toBe(true)

    expect(await shared.reserve('b', rate, 2, 0)).toBe(0)
    await shared.hold('c', clock + 5000)
    clock -= 3_600_000
    expect(await shared.reserve('b', rate, 1, 0)).toBeUndefined()
    expect(await shared.reserve('c', rate, 1, 3_000_000)).toBe(5000)
    clock += 100
    expect(await shared.reserve('b', rate, 1, 0)).toBe(0)
    clock += 3_600_000
    expect(await shared.reserve('b', rate, 3, 1000)).toBe(100)
  })
})

test('both forms grant the same turns, whatever is asked and however the clock jumps', async () => {
  const jumps = fc.array(
    fc.record({
      jump: fc.oneof(fc.nat(300), fc.integer({ min: -100_000, max: 100_000 })),
      hold: fc.option(fc.nat(2000), { nil: undefined }),
      maxWait: fc.nat(3000),
    }),
    { maxLength: 30 },
  )
  await fc.assert(
    fc.asyncProperty(rates, jumps, async (rate, asked) => {
      let clock = 1_000_000
      await using one = await inMemory(() => clock)
      await using other = await inStore(() => clock)
      for (const { jump, hold, maxWait } of asked) {
        clock = Math.max(1, clock + jump)
        if (hold !== undefined) await Promise.all([one, other].map(({ shared }) => shared.hold('b', clock + hold)))
        expect(await other.shared.reserve('b', rate, 1, maxWait)).toBe(await one.shared.reserve('b', rate, 1, maxWait))
      }
    }),
    { numRuns: 60 },
  )
})

test('of many that compare and swap over two connections exactly one wins each version', async () => {
  const file = await temporaryFile()
  const both = [openShared(await openedStore(file)), openShared(await openedStore(file))]
  for (let version = 0; version < 20; version++) {
    const won = await Promise.all(
      [...both, ...both, ...both].map((shared, index) =>
        shared.put('key', `${version}.${index}`, { expected: version }),
      ),
    )
    expect(won.filter(Boolean)).toHaveLength(1)
    expect(await both[1]?.get('key')).toEqual({ value: `${version}.${won.indexOf(true)}`, version: version + 1 })
  }
})

test('what is kept outlives the process, and what has expired is let go', async () => {
  let clock = 1000
  const file = await temporaryFile()
  const first = await openStore(file, { now: () => clock })
  await openShared(first).put('kept', 'value')
  await openShared(first).put('short', 'value', { expiresAt: 2000 })
  await openShared(first).reserve('bucket', { perSecond: 1, burst: 1 }, 1, 0)
  await first.close()
  clock = 3000
  const store = await openedStore(file, () => clock)
  const shared = openShared(store)
  expect(await shared.get('kept')).toEqual({ value: 'value', version: 1 })
  expect(await shared.get('short')).toBeUndefined()
  await shared.put('another', 'value')
  expect(await store.db.selectFrom('shared_values').select('key').orderBy('key').execute()).toEqual([
    { key: 'another' },
    { key: 'kept' },
  ])
  expect(await store.db.selectFrom('shared_buckets').select('key').execute()).toEqual([])
})

test('four processes that reserve from one bucket stay within its rate together', async () => {
  const file = await temporaryFile()
  const rate = { perSecond: 400, burst: 20 }
  const workers = await Promise.all(
    Array.from({ length: 4 }, () => startWorker('shared-worker.ts', ['reserve', file, JSON.stringify(rate), '60'])),
  )
  const ended = await Promise.all(workers.map((worker) => worker.ended))
  expect(ended.map(({ code, said }) => ({ code, said }))).toEqual(workers.map(() => ({ code: 0, said: '' })))
  const turns = ended.map(({ lines }) => lines.flatMap((line) => JSON.parse(line) as number[]))
  expect(turns.map((one) => one.length)).toEqual([60, 60, 60, 60])
  const all = turns.flat()
  expectWithinRate(all, rate)
  // Nor slower: they all waited for their turns, so that the last goes when the rate says, or a little later where the machine was slow.
  expect(Math.max(...all) - Math.min(...all)).toBeGreaterThanOrEqual(((240 - rate.burst) / rate.perSecond) * 1000 - 1)
}, 60_000)

test('the lease of a killed process is free when it runs out, and its unfinished write never happened', async () => {
  const file = await temporaryFile()
  let ahead = 0
  const store = await openedStore(file, () => Date.now() + ahead)
  const shared = openShared(store)
  const worker = await startWorker('shared-worker.ts', ['hang', file, '60000'])
  expect(await worker.line).toBe('mine, and writing')
  expect(await shared.get('half')).toBeUndefined()
  worker.kill()
  await worker.ended
  expect(await shared.lease('job', 'parent', 1000)).toBe(false)
  expect(await shared.get('half')).toBeUndefined()
  ahead = 60_000
  expect(await shared.lease('job', 'parent', 1000)).toBe(true)
  expect(await shared.put('half', 'whole', { expected: 0 })).toBe(true)
}, 30_000)

test('a writer that waited in vain for the lock tries again before it says so', async () => {
  const { db } = await openedStore(':memory:')
  const busy = integrationError('unavailable', { what: 'held', details: { cause: 'SQLITE_BUSY' }, retryable: true })
  let calls = 0
  const failing = (times: number) => () => (++calls <= times ? Promise.reject(busy) : Promise.resolve('done'))
  expect(await locked(db, failing(3))).toBe('done')
  calls = 0
  await expect(locked(db, failing(9))).rejects.toBe(busy)
  calls = 0
  const other = integrationError('unavailable', { what: 'full', details: { cause: 'SQLITE_FULL' } })
  await expect(
    locked(db, () => {
      calls++
      return Promise.reject(other)
    }),
  ).rejects.toBe(other)
  expect(calls).toBe(1)
})
