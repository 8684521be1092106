import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isIntegrationError, type ErrorCode, type Policy } from '@ecokit/contracts'
import { memoryShared, openGuard, type Clock } from '../src/index.ts'
import { openStop, type Stop } from '../src/stop.ts'
import { excess, simulation } from './simulation.ts'
import { failure } from './support.ts'

const stop = (): Stop => openStop(new Set(), undefined, undefined)
const far = Date.UTC(2100, 0, 1)
const open = (policy: Policy, clock: Clock = simulation().clock) => openGuard({ partner: 'acme', policy, clock })
const refused = (work: () => unknown): ErrorCode | undefined => {
  try {
    work()
    return undefined
  } catch (error) {
    return isIntegrationError(error) ? error.code : 'internal'
  }
}

test('where nothing limits, a turn is there at once, and no timer is started', () => {
  let timers = 0
  const guard = open({}, { now: () => 1e12, sleep: () => expect.fail('slept'), after: () => (timers++, () => {}) })
  for (let call = 0; call < 1000; call++) {
    guard.begin()
    const admitted = guard.enter(stop(), far)
    expect(typeof admitted).toBe('number')
    guard.judge(admitted as number, 'answered')
    guard.leave()
  }
  expect([timers, guard.state().calls, guard.state().requests]).toEqual([0, 1000, 1000])
})

describe('the bulkhead', () => {
  test('lets so many in at once, the others in the order in which they came', async () => {
    const guard = open({ concurrency: 3, queue: 100 })
    const order: number[] = []
    const calls = Array.from({ length: 20 }, (_, call) =>
      Promise.resolve(guard.enter(stop(), far)).then(() => order.push(call)),
    )
    expect(guard.state()).toMatchObject({ underWay: 3, waiting: 17 })
    for (let left = 0; left < 20; left++) {
      await Promise.resolve()
      guard.leave()
    }
    await Promise.all(calls)
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(guard.state()).toMatchObject({ underWay: 0, waiting: 0 })
  })
  test('one too many in the queue is told so, and nothing was sent', () => {
    const guard = open({ concurrency: 1, queue: 2 })
    void guard.enter(stop(), far)
    void guard.enter(stop(), far)
    void guard.enter(stop(), far)
    expect(() => guard.enter(stop(), far)).toThrow(
      expect.objectContaining({
        code: 'overloaded',
        details: { queue: 2 },
        message:
          'acme: 2 calls wait for their turn already; nothing was sent. Ask less at once, or raise "queue" in the policy',
      }) as Error,
    )
  })
  test('who is called off leaves the queue, and the next one takes the place', async () => {
    const guard = open({ concurrency: 1 })
    void guard.enter(stop(), far)
    const [first, second] = [stop(), stop()]
    const gone = Promise.resolve(guard.enter(first, far))
    const stays = Promise.resolve(guard.enter(second, far))
    first.halt('cancelled')
    await expect(gone).rejects.toThrow('stopped')
    expect(guard.state().waiting).toBe(1)
    guard.leave()
    await stays
    expect(guard.state()).toMatchObject({ underWay: 1, waiting: 0 })
  })
  test('who follows a redirect does not wait behind those who need a slot', async () => {
    const { clock, run } = simulation()
    const guard = open({ concurrency: 1, rate: { perSecond: 1, burst: 1 } }, clock)
    void guard.enter(stop(), far)
    const crowd = Promise.resolve(guard.enter(stop(), far))
    await run(Promise.resolve(guard.again(stop(), far)))
    guard.leave()
    await run(crowd)
    expect(guard.state()).toMatchObject({ underWay: 1, waiting: 0 })
  })
  test('more room or less, at run time', async () => {
    const guard = open({ concurrency: 1 })
    void guard.enter(stop(), far)
    const waiting = [guard.enter(stop(), far), guard.enter(stop(), far)]
    guard.setPolicy({ concurrency: 2 })
    await waiting[0]
    expect(guard.state()).toMatchObject({ underWay: 2, waiting: 1 })
    guard.setPolicy({ concurrency: 1 })
    guard.leave()
    expect(guard.state()).toMatchObject({ underWay: 1, waiting: 1 })
    guard.leave()
    await waiting[1]
  })
})

describe('the pace', () => {
  test.for([false, true])('never exceeds rate and burst, shared by several processes: %s', async (sharing) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 150 }),
        async (perSecond, burst, arrivals) => {
          const { clock, run } = simulation()
          const shared = sharing ? memoryShared(clock.now) : undefined
          const rate = { perSecond, burst }
          const guards = Array.from({ length: sharing ? 4 : 1 }, () =>
            openGuard({ partner: 'acme', policy: { rate, queue: 1000 }, clock, shared }),
          )
          const sent: number[] = []
          await run(
            Promise.all(
              arrivals.map(async (ms, at) => {
                await clock.sleep(ms)
                const guard = guards[at % guards.length]!
                await guard.enter(stop(), far)
                sent.push(clock.now())
                guard.leave()
              }),
            ),
          )
          expect(sent).toHaveLength(arrivals.length)
          // Half a turn for what a millisecond rounds; what comes late in a shared bucket is taken off the burst, which cannot be less than one.
          const late = sharing ? Math.max(0, perSecond * 0.1 - (burst - 1)) : 0
          expect(excess(sent, rate)).toBeLessThanOrEqual(0.5 + Math.ceil(late))
          // And does not waste it: the last one goes when a bucket alone would let it go, or soon after.
          const soonest = Math.max(...arrivals) + ((arrivals.length - 1) / perSecond) * 1000
          expect(Math.max(...sent) - Date.UTC(2026, 0, 1)).toBeLessThanOrEqual(soonest + (sharing ? 1500 : 50))
        },
      ),
      { numRuns: 300, endOnFailure: true },
    )
  })
  test('a shared bucket is asked for many turns at once where there are many calls', async () => {
    const { clock, run } = simulation()
    const memory = memoryShared(clock.now)
    let asked = 0
    const shared = {
      ...memory,
      reserve: (...given: Parameters<typeof memory.reserve>) => (asked++, memory.reserve(...given)),
    }
    const guard = openGuard({
      partner: 'acme',
      policy: { rate: { perSecond: 1000, burst: 200 }, queue: 5000 },
      clock,
      shared,
    })
    await run(
      Promise.all(
        Array.from({ length: 3000 }, async () => {
          await guard.enter(stop(), far)
          guard.leave()
        }),
      ),
    )
    expect(asked).toBeLessThan(150)
  })
  test('a shared bucket that fails does not end the calls: they keep the pace of this process', async () => {
    const { clock, run } = simulation()
    const shared = { ...memoryShared(clock.now), reserve: () => Promise.reject(new Error('database is locked')) }
    const guard = openGuard({ partner: 'acme', policy: { rate: { perSecond: 10, burst: 1 } }, clock, shared })
    const since = clock.now()
    await run(
      Promise.all(
        Array.from({ length: 21 }, async () => {
          await guard.enter(stop(), far)
          guard.leave()
        }),
      ),
    )
    expect(clock.now() - since).toBeGreaterThanOrEqual(2000)
  })
  test('a shared bucket that is slow to answer gives turns all the same', async () => {
    const { clock, run } = simulation()
    const memory = memoryShared(clock.now)
    const shared: typeof memory = {
      ...memory,
      reserve: async (...asked) => {
        const waitMs = await memory.reserve(...asked)
        await clock.sleep(200)
        return waitMs
      },
    }
    const guard = openGuard({ partner: 'acme', policy: { rate: { perSecond: 50, burst: 10 } }, clock, shared })
    const begun = clock.now()
    await run(Promise.all(Array.from({ length: 20 }, async () => guard.enter(stop(), clock.now() + 60_000))))
    expect(clock.now() - begun).toBeLessThanOrEqual(20 * 220)
  })
  test('a partner that asks to wait for years is asked again after a day', () => {
    const { clock } = simulation()
    const guard = open({}, clock)
    guard.hold(1_763_780_000_000)
    expect(guard.state().heldUntil).toBe(clock.now() + 86_400_000)
  })
  test('what the partner asks of one process, all of them heed', async () => {
    const { clock, run } = simulation()
    const shared = memoryShared(clock.now)
    const [first, second] = [1, 2].map(() => openGuard({ partner: 'acme', clock, shared }))
    await run(Promise.resolve(second!.enter(stop(), far)))
    first!.hold(30_000)
    expect(first!.state().heldUntil).toBe(clock.now() + 30_000)
    // The others look once a second.
    await run(clock.sleep(1001))
    const since = clock.now()
    await run(Promise.resolve(second!.enter(stop(), far)))
    expect(clock.now() - since).toBe(30_000 - 1001)
  })
  test('a call whose turn comes after its deadline is refused at once, and so are those that wait', async () => {
    const { clock, run } = simulation()
    const guard = open({ rate: { perSecond: 0.1, burst: 1 } }, clock)
    void guard.enter(stop(), far)
    expect(refused(() => guard.enter(stop(), clock.now() + 9000))).toBe('rate_limited')
    const waiting = Promise.resolve(guard.enter(stop(), clock.now() + 20_000))
    guard.hold(60_000)
    const error = await failure(run(waiting), 'rate_limited')
    expect(error.details).toEqual({ retryAfterMs: 60_000 })
    expect(error.message).toBe(
      'acme: has no turn for this call before its deadline; nothing was sent. Try again in 60 s, or ask less often',
    )
  })
  test('another rate counts from the next turn on', async () => {
    const { clock, run } = simulation()
    const guard = open({ rate: { perSecond: 1, burst: 1 } }, clock)
    const since = clock.now()
    const calls = Array.from({ length: 3 }, () => Promise.resolve(guard.enter(stop(), far)))
    await run(Promise.all(calls))
    expect(clock.now() - since).toBe(2000)
    guard.setPolicy({})
    for (let call = 0; call < 50; call++) expect(typeof guard.enter(stop(), far)).toBe('number')
  })
})

describe('the circuit', () => {
  const policy: Policy = { breakAfter: 4, breakAt: 0.5, breakForMs: 1000, breakWindowMs: 12_000 }
  const one = (guard: ReturnType<typeof open>, verdict: 'answered' | 'failed' | 'unknown'): void => {
    const admitted = guard.enter(stop(), far) as number
    guard.judge(admitted, verdict)
    guard.leave()
  }
  const pass = async (sim: ReturnType<typeof simulation>, ms: number): Promise<void> => sim.run(sim.clock.sleep(ms))

  test('opens at the share, lets one probe through, and closes when it is answered', async () => {
    const sim = simulation()
    const changes: string[] = []
    const guard = openGuard({
      partner: 'acme',
      policy,
      clock: sim.clock,
      onChange: ({ circuit }) => changes.push(circuit),
    })
    one(guard, 'answered')
    one(guard, 'answered')
    one(guard, 'failed')
    expect(guard.state().circuit).toBe('closed')
    one(guard, 'failed')
    expect(guard.state()).toMatchObject({ circuit: 'open', openUntil: sim.clock.now() + 1000, requests: 4, failed: 2 })
    const error = await failure(
      Promise.resolve().then(() => guard.enter(stop(), far)),
      'circuit_open',
    )
    expect(error).toMatchObject({ details: { retryAfterMs: 1000 }, retryable: true })
    expect(error.message).toBe(
      'acme: is not called for now, because 2 of its last 4 requests failed; nothing was sent. Try again in 1 s',
    )
    await pass(sim, 1000)
    const probe = guard.enter(stop(), far) as number
    expect(guard.state().circuit).toBe('half_open')
    expect(refused(() => guard.enter(stop(), far))).toBe('circuit_open')
    guard.judge(probe, 'answered')
    guard.leave()
    expect(guard.state()).toMatchObject({ circuit: 'closed', requests: 0, failed: 0 })
    expect(changes).toEqual(['open', 'half_open', 'closed'])
  })
  test('a probe that fails opens it for twice as long, up to ten times; one that is cancelled leaves its place', async () => {
    const sim = simulation()
    const guard = open(policy, sim.clock)
    for (let call = 0; call < 4; call++) one(guard, 'failed')
    for (const openMs of [1000, 2000, 4000, 8000, 10_000, 10_000]) {
      expect(guard.state().openUntil).toBe(sim.clock.now() + openMs)
      await pass(sim, openMs - 1)
      expect(refused(() => guard.enter(stop(), far))).toBe('circuit_open')
      await pass(sim, 1)
      one(guard, 'unknown')
      expect(guard.state().circuit).toBe('half_open')
      one(guard, 'failed')
    }
  })
  test('what was sent before it opened is not counted after it, and old failures are forgotten', async () => {
    const sim = simulation()
    const guard = open(policy, sim.clock)
    const late = Array.from({ length: 5 }, () => guard.enter(stop(), far) as number)
    for (let call = 0; call < 4; call++) one(guard, 'failed')
    await pass(sim, 1000)
    const probe = guard.enter(stop(), far) as number
    for (const admitted of late) guard.judge(admitted, 'failed')
    expect(guard.state().circuit).toBe('half_open')
    guard.judge(probe, 'answered')
    one(guard, 'failed')
    one(guard, 'failed')
    one(guard, 'failed')
    await pass(sim, 14_000)
    one(guard, 'failed')
    expect(guard.state()).toMatchObject({ circuit: 'closed', requests: 1, failed: 1 })
  })
  test('calls that wait are refused when it opens', async () => {
    const guard = open({ ...policy, concurrency: 4 })
    const admitted = Array.from({ length: 4 }, () => guard.enter(stop(), far) as number)
    const waiting = Array.from({ length: 3 }, () => failure(Promise.resolve(guard.enter(stop(), far)), 'circuit_open'))
    for (const each of admitted) guard.judge(each, 'failed')
    await Promise.all(waiting)
    expect(guard.state().waiting).toBe(0)
  })
  test('a policy that never opens it closes it', () => {
    const guard = open(policy)
    for (let call = 0; call < 4; call++) one(guard, 'failed')
    guard.setPolicy({ ...policy, breakAt: 2 })
    for (let call = 0; call < 40; call++) one(guard, 'failed')
    expect(guard.state().circuit).toBe('closed')
  })
})

test('repeats of any minute stay within the budget', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.boolean()), { minLength: 50, maxLength: 1500 }),
      fc.double({ min: 0, max: 0.5, noNaN: true }),
      async (steps, retryBudget) => {
        let now = 1e12
        const guard = open({ retryBudget }, { now: () => now, sleep: () => Promise.resolve() })
        const calls: number[] = []
        const repeats: number[] = []
        for (const [ms, again] of steps) {
          now += ms
          guard.begin()
          calls.push(now)
          if (again && guard.repeat()) repeats.push(now)
        }
        for (const [at, end] of repeats.entries()) {
          const since = repeats.findIndex((time) => time > end - 60_000)
          const made = calls.filter((time) => time <= end && time > end - 65_000).length
          expect(at - since + 1).toBeLessThanOrEqual(Math.max(10, retryBudget * made + 1))
        }
      },
    ),
    { numRuns: 40 },
  )
})

test('what was booked at a slow rate is forgotten with that rate, in this process and in what processes share', () => {
  const { clock } = simulation()
  const slow: Policy = { rate: { perSecond: 0.001, burst: 1 } }
  const guard = open(slow, clock)
  expect(typeof guard.enter(stop(), far)).toBe('number')
  const waiting = Promise.resolve(guard.enter(stop(), far))
  guard.setPolicy({ rate: { perSecond: 100, burst: 10 } })
  return expect(waiting).resolves.toBeTypeOf('number')
})
test('a process without a rate does not wait for what others have booked', async () => {
  const { clock } = simulation()
  const shared = memoryShared(clock.now)
  const one = openGuard({ partner: 'acme', policy: { rate: { perSecond: 0.001, burst: 1 } }, shared, clock })
  await one.enter(stop(), far)
  void Promise.resolve(one.enter(stop(), far)).catch(() => undefined)
  const other = openGuard({ partner: 'acme', shared, clock })
  const began = clock.now()
  await other.enter(stop(), far)
  expect(clock.now() - began).toBeLessThan(1000)
})
test('a clock that is put back by an hour makes nobody wait for an hour', async () => {
  for (const sharing of [false, true]) {
    const { clock, run } = simulation()
    let back = 0
    const jumping = { ...clock, now: () => clock.now() - back }
    const shared = sharing ? memoryShared(jumping.now) : undefined
    const policy = { rate: { perSecond: 10, burst: 1 }, breakAfter: 2, breakForMs: 1000 }
    const guard = openGuard({ partner: 'acme', policy, clock: jumping, shared })
    const call = async (verdict: 'answered' | 'failed') => {
      guard.judge(await guard.enter(stop(), far), verdict)
      guard.leave()
    }
    guard.hold(5000)
    await run(call('answered'))
    guard.begin()
    back = 3_600_000
    const since = clock.now()
    await run(call('failed'))
    await run(call('failed'))
    expect(guard.state()).toMatchObject({ circuit: 'open', openUntil: jumping.now() + 1000 })
    back = 2 * 3_600_000
    expect(refused(() => guard.enter(stop(), far))).toBe('circuit_open')
    await run(clock.sleep(1000))
    await run(call('answered'))
    expect(guard.state()).toMatchObject({ circuit: 'closed', calls: 0 })
    expect(clock.now() - since).toBeLessThan(2500)
  }
})

test.for([
  [{ rate: { perSecond: 0, burst: 1 } }, 'policy.rate.perSecond'],
  [{ rate: { perSecond: 1, burst: 0 } }, 'policy.rate.burst'],
  [{ concurrency: 0 }, 'policy.concurrency'],
  [{ concurrency: 1.5 }, 'policy.concurrency'],
  [{ queue: -1 }, 'policy.queue'],
  [{ attempts: NaN }, 'policy.attempts'],
  [{ deadlineMs: Infinity }, 'policy.deadlineMs'],
  [{ breakAt: '1' as never }, 'policy.breakAt'],
] as const)('a policy that makes no sense is refused by its field, and the old one stays: %s', ([policy, field]) => {
  const guard = open({ concurrency: 7 })
  let seen: unknown
  try {
    guard.setPolicy(policy)
  } catch (error) {
    seen = error
  }
  expect(seen).toMatchObject({ code: 'invalid_config', details: { field } })
  expect(guard.policy().concurrency).toBe(7)
})
