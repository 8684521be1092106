import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { isIntegrationError, type Policy } from '@ecokit/contracts'
import { memoryShared, openNetwork, type NetworkRuntime } from '../src/index.ts'
import { excess, fakePartner, seeded, simulation, systemTime, type FakeReply } from './simulation.ts'

const url = 'https://api.example.com'
const anything = z.unknown()
/** What is loaded by the first request is loaded, before time is simulated. */
beforeAll(async () => {
  const { dispatcher } = fakePartner(systemTime, () => ({ status: 200, after: 0 }))
  const network = openNetwork({ partner: 'acme', hosts: [url], config: {}, runtime: { dispatcher } })
  await network.http(url).json({ method: 'GET', path: 'x' }, anything)
  await network.close()
})
const minutes = 60_000

/** Ten minutes of a partner that is sick by turns, as a seed says, and what our calls made of it. */
const storm = async (seed: number, policy: Policy, processes = 1, callsPerSecond = 6) => {
  const { clock, run } = simulation()
  const random = seeded(seed)
  const start = clock.now()
  let sickUntil = 0
  let failing = 503
  const answer = (): FakeReply => {
    const now = clock.now()
    if (now > sickUntil && random() < 0.002) {
      sickUntil = now + random() * minutes
      failing = random() < 0.5 ? 429 : 503
    }
    const after = 5 + Math.floor(random() * 200)
    if (now > sickUntil || random() < 0.2) return { status: 200, after }
    const retryAfter = random()
    const headers: Record<string, string> =
      retryAfter < 0.3
        ? { 'retry-after': String(1 + Math.floor(random() * 20)) }
        : retryAfter < 0.4
          ? { 'retry-after': new Date(now + 5000).toUTCString() }
          : {}
    if (random() < 0.02) return { status: 200, after: undefined }
    return { status: failing, headers, after, body: '{"message":"no"}' }
  }
  const partner = fakePartner(clock, answer)
  const shared = processes > 1 ? memoryShared(clock.now) : undefined
  const runtime: NetworkRuntime = { dispatcher: partner.dispatcher, clock, random, policy, ...(shared && { shared }) }
  const networks = Array.from({ length: processes }, () =>
    openNetwork({ partner: 'acme', hosts: [url], config: {}, runtime }),
  )
  const ways = networks.map((network) => network.http(url, { timeoutMs: 10_000 }))
  const outcomes = new Map<string, number>()
  const tooLate: number[] = []
  const calls: Promise<void>[] = []
  const call = async (at: number): Promise<void> => {
    await clock.sleep(random() * 10 * minutes)
    const since = clock.now()
    const outcome = await ways[at % processes]!.json({ method: 'GET', path: 'x' }, anything).then(
      () => 'answered',
      (error: unknown) => (isIntegrationError(error) ? error.code : String(error)),
    )
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    if (clock.now() - since > (policy.deadlineMs ?? 120_000) + 1) tooLate.push(clock.now() - since)
  }
  const count = callsPerSecond * 600
  for (let at = 0; at < count; at++) calls.push(call(at))
  await run(Promise.all(calls))
  const requests = networks.reduce((sum, network) => sum + network.requests(), 0)
  const states = networks.map((network) => network.guard.state())
  return { sentAt: partner.sentAt, outcomes, count, requests, states, tooLate, took: clock.now() - start }
}

const rate = { perSecond: 8, burst: 10 }
test('ten minutes of 429 and 503: never more requests than rate, burst and retry budget allow, and every call ends', async () => {
  const seen = await storm(20261122, { rate, retryBudget: 0.2, deadlineMs: 60_000 })
  expect(seen.sentAt).toHaveLength(seen.requests)
  expect([...seen.outcomes.values()].reduce((sum, each) => sum + each)).toBe(seen.count)
  expect(seen.tooLate).toEqual([])
  expect(excess(seen.sentAt, rate)).toBeLessThanOrEqual(0.5)
  // Each call once, a fifth of them again, and ten repeats in each minute that are always allowed.
  expect(seen.requests).toBeLessThanOrEqual(seen.count * 1.2 + 11 * 10)
  // All of it happened: answers, refusals of the partner, and calls that were held back.
  expect([...seen.outcomes.keys()].sort()).toEqual(
    expect.arrayContaining(['answered', 'circuit_open', 'rate_limited', 'unavailable']),
  )
  expect(seen.states).toMatchObject([{ underWay: 0, waiting: 0 }])
})
test('the same seed is the same run', async () => {
  const policy = { rate, deadlineMs: 60_000 }
  const [first, second] = [await storm(7, policy, 1, 3), await storm(7, policy, 1, 3)]
  expect(second.sentAt).toEqual(first.sentAt)
  expect([...second.outcomes]).toEqual([...first.outcomes])
})
test('whatever the policy: the budget holds, also over several processes, and nothing hangs', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.integer(),
        processes: fc.constantFrom(1, 4),
        perSecond: fc.integer({ min: 1, max: 50 }),
        burst: fc.integer({ min: 1, max: 50 }),
        concurrency: fc.integer({ min: 1, max: 20 }),
        queue: fc.integer({ min: 0, max: 200 }),
        attempts: fc.integer({ min: 1, max: 6 }),
        retryBudget: fc.constantFrom(0, 0.1, 0.5),
        breakAt: fc.constantFrom(0.3, 0.5, 2),
        deadlineMs: fc.integer({ min: 100, max: 120_000 }),
      }),
      async ({ seed, processes, perSecond, burst, ...policy }) => {
        const pace = { perSecond, burst }
        const seen = await storm(seed, { ...policy, rate: pace }, processes, 1)
        expect(seen.tooLate).toEqual([])
        expect(excess(seen.sentAt, pace)).toBeLessThanOrEqual(
          processes === 1 ? 0.5 : 1 + Math.ceil(Math.max(0, perSecond * 0.1 - (burst - 1))),
        )
        expect(seen.requests).toBeLessThanOrEqual(seen.count * (1 + policy.retryBudget) + processes * 11 * 10)
        for (const state of seen.states) expect(state).toMatchObject({ underWay: 0, waiting: 0 })
      },
    ),
    { numRuns: 15, endOnFailure: true },
  )
})
