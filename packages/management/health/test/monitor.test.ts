import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { integrationError } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import type { Store } from '@ecokit/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openHealthMonitor } from '../src/index.ts'
import type { HealthChange, HealthMonitor, HealthMonitorOptions, Watched } from '../src/index.ts'
import { fakeClock, platform } from './support.ts'
import type { Platform } from './support.ts'

let store: Store
let monitors: HealthMonitor[] = []
beforeEach(async () => {
  store = await openStore(':memory:')
})
afterEach(async () => {
  for (const monitor of monitors) await monitor.close()
  monitors = []
  await store.close()
})

const watch = (platforms: readonly Platform[], more: Partial<HealthMonitorOptions> & { everyMs?: number } = {}) => {
  const { everyMs = 10_000, ...options } = more
  const clock = fakeClock()
  const partners: Watched[] = platforms.map(({ name }) => ({ name, everyMs, timeoutMs: 5000 }))
  const errors: unknown[] = []
  const changes: HealthChange[] = []
  const monitor = openHealthMonitor({
    store,
    clock,
    random: () => 0.5,
    partners: () => Promise.resolve([...partners]),
    connect: (name) => platforms.find((item) => item.name === name)!.connect(),
    onError: (error) => errors.push(error),
    ...options,
  })
  monitors.push(monitor)
  monitor.onChange((change) => changes.push(change))
  return { clock, partners, monitor, errors, changes }
}
/** Checks now, and lets the time pass in which checks are grouped before they are stored. */
const checkNow = async ({ monitor, clock }: Pick<ReturnType<typeof watch>, 'monitor' | 'clock'>, name: string) => {
  const checked = monitor.checkNow(name)
  checked.catch(() => undefined)
  await clock.advance(200)
  return checked
}
const told = (changes: readonly HealthChange[]) => changes.map(({ partner, from, to }) => [partner, from, to])

test('checks come within the interval, jittered, the first ones within a second', async () => {
  const one = platform('one')
  let next = 0
  const { clock, monitor } = watch([one], { random: () => (next = (next * 16807 + 12345) % 2147483647) / 2147483647 })
  const at: number[] = []
  monitor.onCheck(({ health }) => at.push(Date.parse(health.checkedAt)))
  const began = clock.now()
  monitor.start()
  await clock.advance(200_000)
  const gaps = at.slice(1).map((time, index) => time - at[index]!)
  expect(at[0]! - began).toBeLessThanOrEqual(1000)
  expect(gaps.length).toBeGreaterThanOrEqual(19)
  expect(Math.max(...gaps)).toBeLessThanOrEqual(10_000)
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(9000)
  expect(new Set(gaps).size).toBeGreaterThan(5)
  expect(one.seen.opened).toBe(1)
})

test('partners that hang delay no other, time out and are red', async () => {
  const hung = Array.from({ length: 40 }, (_, index) => platform(`hung-${index}`))
  for (const item of hung) item.hangs()
  const good = platform('good')
  const { clock, monitor, changes } = watch([...hung, good], { concurrency: 2 })
  monitor.start()
  // 40 partners park after a second each, two at a time; from then on the good one is never late.
  await clock.advance(30_000)
  const before = good.seen.checks
  expect(before).toBeGreaterThanOrEqual(1)
  await clock.advance(100_000)
  expect(good.seen.checks - before).toBeGreaterThanOrEqual(4)
  expect(changes.filter(({ to }) => to === 'unhealthy')).toHaveLength(40)
  expect(await monitor.state('hung-7')).toMatchObject({
    status: 'unhealthy',
    code: 'timeout',
    latencyMs: 5000,
    message: expect.stringContaining('hung-7: no answer to the check within 5000 ms') as string,
  })
  expect(await monitor.summary()).toEqual({ total: 41, healthy: 1, degraded: 0, unhealthy: 40, unknown: 0 })
})

test('a clock that is set back stops nothing', async () => {
  const one = platform('one')
  const { clock, monitor } = watch([one])
  monitor.start()
  await clock.advance(15_000)
  const before = one.seen.checks
  clock.setBack(3_600_000)
  await clock.advance(30_000)
  expect(one.seen.checks - before).toBeGreaterThanOrEqual(2)
})

test('a change is told once, with where it came from', async () => {
  const one = platform('one')
  const { clock, monitor, changes } = watch([one])
  monitor.start()
  await clock.advance(25_000)
  one.fails('timeout')
  await clock.advance(10_000)
  expect(told(changes)).toEqual([['one', 'unknown', 'healthy']])
  expect(await monitor.state('one')).not.toHaveProperty('code')
  await clock.advance(20_000)
  one.works()
  await clock.advance(10_000)
  one.fails('unavailable')
  await clock.advance(10_000)
  expect(told(changes)).toEqual([
    ['one', 'unknown', 'healthy'],
    ['one', 'healthy', 'unhealthy'],
    ['one', 'unhealthy', 'healthy'],
    ['one', 'healthy', 'unhealthy'],
  ])
  expect(changes.at(-1)?.health).toMatchObject({ code: 'unavailable', message: 'one: answers unavailable' })
})

test('a partner that needs a new login is red once, with the command that helps, however often it is checked', async () => {
  const one = platform('one')
  const { clock, monitor, changes } = watch([one])
  monitor.start()
  await clock.advance(5000)
  one.answers(() =>
    Promise.reject(
      integrationError('reauthorization_required', {
        partner: 'one',
        what: 'the login has expired',
        next: 'Log in again: ecokit login one',
        details: { scheme: 'authorization_code', issuer: 'invalid_grant' },
      }),
    ),
  )
  const before = one.seen.checks
  await clock.advance(200_000)
  expect(one.seen.checks - before).toBeGreaterThan(15)
  expect(told(changes)).toEqual([
    ['one', 'unknown', 'healthy'],
    ['one', 'healthy', 'unhealthy'],
  ])
  expect(changes.at(-1)?.health).toMatchObject({
    code: 'reauthorization_required',
    message: 'one: the login has expired. Log in again: ecokit login one',
  })
  one.works()
  await clock.advance(11_000)
  expect(told(changes).at(-1)).toEqual(['one', 'unhealthy', 'healthy'])
})

test('the circuit and an old TLS are kept with the check and the state', async () => {
  const one = platform('one')
  const { clock, monitor } = watch([one], {
    connect: async () => {
      const connection = await one.connect()
      const check = async () => ({ ...(await connection.check()), circuit: 'half_open' as const, oldTls: true })
      return { ...connection, check }
    },
  })
  await checkNow({ monitor, clock }, 'one')
  const seen = { status: 'healthy', circuit: 'half_open', oldTls: true }
  expect(await monitor.state('one')).toMatchObject(seen)
  expect(await monitor.history('one')).toMatchObject([seen])
})

test('a part that is denied makes a partner degraded, with the part named', async () => {
  const one = platform('one')
  one.answers(() => Promise.resolve({ account: 'ada', version: '3.1', parts: { runs: 'ok', models: 'denied' } }))
  const { clock, monitor } = watch([one])
  await checkNow({ monitor, clock }, 'one')
  expect(await monitor.state('one')).toMatchObject({
    status: 'degraded',
    code: 'forbidden',
    account: 'ada',
    version: '3.1',
    parts: { runs: 'ok', models: 'denied' },
  })
})

test('callbacks that throw, reject or hang harm nobody', async () => {
  const one = platform('one')
  const { clock, monitor, errors, changes } = watch([one])
  let ended = 0
  monitor.onCheck(() => {
    throw new Error('thrown')
  })
  monitor.onCheck(() => Promise.reject(new Error('rejected')))
  monitor.onCheck(() => new Promise(() => undefined))
  const end = monitor.onCheck(() => (ended += 1))
  monitor.start()
  await clock.advance(15_000)
  end()
  await clock.advance(20_000)
  expect(one.seen.checks).toBeGreaterThanOrEqual(3)
  expect(ended).toBeLessThan(one.seen.checks)
  expect(ended).toBeGreaterThan(0)
  expect(told(changes)).toEqual([['one', 'unknown', 'healthy']])
  expect(new Set(errors.map(String))).toEqual(new Set(['Error: thrown', 'Error: rejected']))
})

test('checkNow joins the check that is running, and a caller who leaves does not end it', async () => {
  const one = platform('one')
  let answer: (seen: { version: string }) => void = () => undefined
  one.answers(() => new Promise((resolve) => (answer = resolve)))
  const { clock, monitor } = watch([one])
  const leaving = new AbortController()
  const [first, second, left] = [
    monitor.checkNow('one'),
    monitor.checkNow('one'),
    monitor.checkNow('one', { signal: leaving.signal }),
  ]
  const refused = left.catch((error: unknown) => error)
  await clock.settle()
  leaving.abort()
  expect(await refused).toMatchObject({ code: 'cancelled' })
  monitor.start()
  await clock.advance(2000)
  answer({ version: '2' })
  expect(await first).toEqual(await second)
  expect(await first).toMatchObject({ status: 'healthy', version: '2' })
  expect(one.seen.checks).toBe(1)
  expect(await monitor.history('one')).toHaveLength(1)
})

test('checkNow on a partner that nobody knows says so', async () => {
  const { monitor } = watch([platform('one')])
  await expect(monitor.checkNow('two')).rejects.toMatchObject({ code: 'not_found' })
})

test('partners come, go and change while it runs', async () => {
  const [one, two] = [platform('one'), platform('two')]
  const { clock, partners, monitor } = watch([one, two])
  partners.pop()
  monitor.start()
  await clock.advance(15_000)
  expect(two.seen.opened).toBe(0)

  partners.push({ name: 'two', everyMs: 10_000, timeoutMs: 5000, revision: 'a' })
  await clock.advance(4000)
  expect(two.seen).toMatchObject({ opened: 1, closed: 0, checks: 1 })

  partners[1] = { name: 'two', everyMs: 10_000, timeoutMs: 5000, revision: 'b' }
  await clock.advance(4000)
  expect(two.seen).toMatchObject({ opened: 2, closed: 1, checks: 2 })

  partners[1] = { name: 'two', everyMs: 1000, timeoutMs: 5000, revision: 'b' }
  await clock.advance(10_000)
  expect(two.seen.checks).toBeGreaterThanOrEqual(8)
  expect(two.seen.opened).toBe(2)

  partners.pop()
  await clock.advance(4000)
  const after = two.seen.checks
  await clock.advance(30_000)
  expect(two.seen).toMatchObject({ checks: after, closed: 2 })
  expect(one.seen.opened).toBe(1)
})

test('a partner that goes while it is checked leaves nothing behind', async () => {
  const one = platform('one')
  one.hangs()
  const { clock, partners, monitor, errors } = watch([one])
  monitor.start()
  await clock.advance(2000)
  partners.pop()
  await clock.advance(20_000)
  expect(one.seen).toMatchObject({ checks: 1, closed: 1 })
  expect(await monitor.states()).toEqual([])
  expect(errors).toEqual([])
})

test('a connection that is closed under the check is opened again', async () => {
  const one = platform('one')
  const open: { close(): Promise<void> }[] = []
  const { clock, monitor } = watch([one], {
    connect: async () => {
      const connection = await one.connect()
      open.push(connection)
      return connection
    },
  })
  await checkNow({ monitor, clock }, 'one')
  await open[0]!.close()
  expect(await checkNow({ monitor, clock }, 'one')).toMatchObject({ status: 'healthy' })
  expect(one.seen.opened).toBe(2)
})

test('a partner that cannot be connected to is red with the reason, and tried anew', async () => {
  const one = platform('one')
  let attempts = 0
  const { clock, monitor } = watch([one], {
    connect: () => {
      attempts += 1
      return attempts > 2
        ? one.connect()
        : Promise.reject(
            integrationError('invalid_credentials', {
              partner: 'one',
              what: 'TOKEN is not set',
              details: { field: 'credentials' },
            }),
          )
    },
  })
  monitor.start()
  await clock.advance(1000)
  expect(await monitor.state('one')).toMatchObject({
    status: 'unhealthy',
    code: 'invalid_credentials',
    message: 'one: TOKEN is not set',
  })
  await clock.advance(20_000)
  expect(await monitor.state('one')).toMatchObject({ status: 'healthy' })
  expect(attempts).toBe(3)
})

test('history is kept for a time and up to a number, and given oldest first', async () => {
  const one = platform('one')
  const { clock, monitor } = watch([one], { everyMs: 1000, keep: { perPartner: 100 } })
  monitor.start()
  await clock.advance(300_000)
  const kept = await monitor.history('one', { limit: 10_000 })
  expect(kept.length).toBeGreaterThanOrEqual(100)
  expect(kept.length).toBeLessThanOrEqual(150)
  const times = kept.map(({ checkedAt }) => checkedAt)
  expect(times).toEqual(times.toSorted())
  expect(await monitor.history('one', { limit: 5 })).toEqual(kept.slice(-5))

  const young = watch([platform('young')], { everyMs: 1000, keep: { forMs: 60_000 } })
  young.monitor.start()
  await young.clock.advance(300_000)
  const recent = await young.monitor.history('young', { limit: 10_000 })
  expect(recent.length).toBeLessThanOrEqual(60 * 1.2 + 51)
  expect(recent.length).toBeGreaterThanOrEqual(60)
})

test('two processes share one store: the last check wins, and both tell the change', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'health-'))
  const path = join(folder, 'state.db')
  const [here, there] = [await openStore(path), await openStore(path)]
  const one = platform('one')
  const server = watch([one], { store: here })
  const command = watch([one], { store: there })
  await checkNow(server, 'one')
  one.fails('unavailable')
  await checkNow(command, 'one')
  expect(await server.monitor.state('one')).toMatchObject({ status: 'unhealthy', code: 'unavailable' })
  await checkNow(server, 'one')
  await server.clock.settle()
  expect(told(server.changes)).toEqual([
    ['one', 'unknown', 'healthy'],
    ['one', 'healthy', 'unhealthy'],
  ])
  expect(told(command.changes)).toEqual([['one', 'healthy', 'unhealthy']])
  expect(await command.monitor.history('one')).toHaveLength(3)
  for (const { monitor } of [server, command]) await monitor.close()
  await Promise.all([here.close(), there.close()])

  const later = await openStore(path)
  const restarted = watch([one], { store: later })
  await checkNow(restarted, 'one')
  await restarted.clock.settle()
  expect(restarted.changes).toEqual([])
  expect(await restarted.monitor.history('one')).toHaveLength(4)
  await restarted.monitor.close()
  await later.close()
  await rm(folder, { recursive: true })
})

test('close cancels what runs, closes connections and writes nothing more', async () => {
  const [good, hung] = [platform('good'), platform('hung')]
  hung.hangs()
  const { clock, monitor, errors } = watch([good, hung])
  monitor.start()
  await clock.advance(2000)
  const waiting = monitor.checkNow('hung').catch((error: unknown) => error)
  await clock.settle()
  await monitor.close()
  expect(await waiting).toMatchObject({ code: 'cancelled' })
  expect([good.seen.closed, hung.seen.closed]).toEqual([1, 1])
  expect(await monitor.states()).toHaveLength(1)
  await expect(monitor.checkNow('good')).rejects.toMatchObject({ code: 'cancelled' })
  const checks = good.seen.checks
  await clock.advance(60_000)
  expect(good.seen.checks).toBe(checks)
  expect(errors).toEqual([])
})

test('close stores the checks that wait for their group', async () => {
  const { clock, monitor } = watch([platform('one'), platform('two')])
  await monitor.checkNow('one')
  const second = monitor.checkNow('two')
  await clock.settle()
  expect(await monitor.states()).toHaveLength(1)
  await monitor.close()
  expect(await second).toMatchObject({ status: 'healthy' })
  expect(await monitor.states()).toHaveLength(2)
})

test('a connector whose close hangs does not hold up the monitor', async () => {
  const one = platform('one')
  const { clock, monitor } = watch([one], {
    connect: async () => Object.assign(await one.connect(), { close: () => new Promise<void>(() => undefined) }),
  })
  await checkNow({ monitor, clock }, 'one')
  const closing = monitor.close()
  await clock.advance(5000)
  await closing
  expect(one.seen.checks).toBe(1)
})

test('a list of partners that fails, and a store that fails, are told and got over', async () => {
  const one = platform('one')
  let broken = false
  const { clock, partners, monitor, errors } = watch([one], {
    partners: () => (broken ? Promise.reject(new Error('no list')) : Promise.resolve([...partners])),
  })
  monitor.start()
  await clock.advance(12_000)
  broken = true
  const before = one.seen.checks
  await clock.advance(30_000)
  expect(one.seen.checks).toBeGreaterThan(before)
  expect(String(errors[0])).toBe('Error: no list')
  broken = false

  await store.db.schema.alterTable('health_checks').renameTo('elsewhere').execute()
  await expect(checkNow({ monitor, clock }, 'one')).rejects.toThrow('health_checks')
  await clock.advance(30_000)
  expect(errors.map(String).join()).toContain('health_checks')
  await store.db.schema.alterTable('elsewhere').renameTo('health_checks').execute()
  const healthy = await checkNow({ monitor, clock }, 'one')
  expect(healthy.status).toBe('healthy')
})

test('a thousand partners are all checked, never more than the limit at a time', async () => {
  let [running, most] = [0, 0]
  const platforms = Array.from({ length: 1000 }, (_, index) => platform(`partner-${index}`))
  const { clock, monitor } = watch(platforms, { concurrency: 8, everyMs: 60_000 })
  for (const item of platforms)
    item.answers(async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      return {}
    })
  monitor.start()
  for (let turn = 0; turn < 500 && (await monitor.summary()).healthy < 1000; turn += 1) await clock.advance(100)
  expect(await monitor.summary()).toMatchObject({ total: 1000, healthy: 1000 })
  expect(most).toBe(8)
})
