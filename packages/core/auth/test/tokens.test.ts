import { expect, test } from 'vitest'
import { integrationError, isIntegrationError, type AuthContext, type Shared } from '@ecokit/contracts'
import { memoryShared } from '@ecokit/http'
import { openTokens, type TokenSet, type TokenSource, type TokenTiming } from '../src/index.ts'
import { failure } from './oauth-support.ts'

const minute = 60_000
/** Time that passes while everybody sleeps: the earliest sleeper wakes next, after all that can go on has gone on. */
const simulated = () => {
  let now = Date.UTC(2026, 0, 1)
  const sleepers: { readonly at: number; readonly wake: () => void }[] = []
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(new Error('aborted'))
        return
      }
      const sleeper = { at: now + ms, wake: resolve }
      sleepers.push(sleeper)
      signal?.addEventListener('abort', () => {
        sleepers.splice(sleepers.indexOf(sleeper) >>> 0, 1)
        reject(new Error('aborted'))
      })
    })
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    now: () => now,
    sleep,
    settle,
    pass: async (ms: number): Promise<void> => {
      const end = now + ms
      for (;;) {
        await settle()
        const next = sleepers.toSorted((a, b) => a.at - b.at)[0]
        if (next === undefined || next.at > end) break
        sleepers.splice(sleepers.indexOf(next), 1)
        now = Math.max(now, next.at)
        next.wake()
      }
      now = end
    },
    /** Lets time pass until the work is over. */
    run: async <T>(work: Promise<T>): Promise<T> => {
      const state = { over: false }
      const ended = work.finally(() => (state.over = true))
      ended.catch(() => {})
      for (;;) {
        await settle()
        if (state.over) return ended
        const next = sleepers.toSorted((a, b) => a.at - b.at)[0]
        if (next === undefined) continue
        sleepers.splice(sleepers.indexOf(next), 1)
        now = Math.max(now, next.at)
        next.wake()
      }
    },
  }
}
type Time = ReturnType<typeof simulated>

/** An issuer with single-use refresh tokens, as one function. */
const issuerOf = (time: Time, lifeMs = 10 * minute) => {
  const state = {
    exchanges: 0,
    current: 'r0',
    seen: [] as string[],
    /** What happens to the next requests, in order; undefined: they are answered. */
    faults: [] as ((answer: () => TokenSet) => Promise<TokenSet> | TokenSet)[],
    revoked: false,
  }
  const answer = (sent: string): TokenSet => {
    state.seen.push(sent)
    if (sent !== state.current || state.revoked) {
      state.revoked = true
      throw integrationError('reauthorization_required', {
        partner: 'acme',
        what: 'refused',
        details: { scheme: 'test', issuer: 'invalid_grant: refresh token already used' },
      })
    }
    state.exchanges++
    state.current = `r${state.exchanges}`
    return {
      accessToken: `a${state.exchanges}`,
      refreshToken: state.current,
      refreshedAt: time.now(),
      expiresAt: time.now() + lifeMs,
    }
  }
  const source = (more: Partial<TokenSource> = {}): TokenSource => ({
    scheme: 'test',
    key: 'k',
    rotating: true,
    needsLogin: true,
    fetch: async (current, { sending }) => {
      await sending()
      const fault = state.faults.shift()
      const give = () => answer(current?.refreshToken ?? '')
      return fault === undefined ? give() : fault(give)
    },
    ...more,
  })
  return { state, source }
}
const first = (time: Time, lifeMs = 10 * minute): TokenSet => ({
  accessToken: 'a0',
  refreshToken: 'r0',
  refreshedAt: time.now(),
  expiresAt: time.now() + lifeMs,
})
const contextOf = (time: Time, tokens: Shared, random = 0.5): AuthContext => ({
  partner: 'acme',
  config: {},
  http: () => {
    throw new Error('no network here')
  },
  tokens,
  now: time.now,
  sleep: time.sleep,
  random: () => random,
})
const set = async (options: { more?: Partial<TokenSource>; timing?: TokenTiming; login?: boolean } = {}) => {
  const time = simulated()
  const shared = memoryShared(time.now)
  const { state, source } = issuerOf(time)
  const open = (random?: number) => openTokens(contextOf(time, shared, random), source(options.more), options.timing)
  if (options.login !== false) await open().keep(first(time))
  const record = async () => JSON.parse((await shared.get('tokens/acme/k'))?.value ?? 'null') as { state: string }
  return { time, shared, state, open, record }
}
const unavailable = (details: { status?: number; cause?: string }) =>
  integrationError('unavailable', { partner: 'acme', what: 'the issuer is away', details })

test('renewed before it expires, in the background, while the old one serves', async () => {
  const { time, state, open } = await set()
  const tokens = open()
  expect((await tokens.token()).accessToken).toBe('a0')
  // The margin is a minute; half to all of it, by the process.
  await time.pass(9 * minute)
  expect((await tokens.token()).accessToken).toBe('a0')
  expect(state.exchanges).toBe(0)
  await time.pass(20_000)
  expect((await tokens.token()).accessToken).toBe('a0')
  await time.settle()
  expect((await tokens.token()).accessToken).toBe('a1')
  expect(state.exchanges).toBe(1)
})

test('processes do not wake at once', async () => {
  const { time, state, open } = await set()
  const [early, late] = [open(0.99), open(0)]
  await Promise.all([early.token(), late.token()])
  await time.pass(9 * minute + 5_000)
  await late.token()
  await time.settle()
  expect(state.exchanges).toBe(0)
  await early.token()
  await time.settle()
  expect(state.exchanges).toBe(1)
})

test('many callers in many processes: one exchange, and nobody keeps a token that is over', async () => {
  const { time, state, open } = await set()
  await time.pass(11 * minute)
  const processes = Array.from({ length: 5 }, () => open())
  const all = processes.flatMap((tokens) => Array.from({ length: 20 }, () => tokens.token()))
  const given = await time.run(Promise.all(all))
  expect(new Set(given.map(({ accessToken }) => accessToken))).toEqual(new Set(['a1']))
  expect(state.exchanges).toBe(1)
})

test('after a 401: once for all who were refused, and not again for a partner that refuses new tokens too', async () => {
  const { time, state, open } = await set()
  const [one, two] = [open(), open()]
  await Promise.all([one.token(), two.token()])
  const renewed = await time.run(Promise.all([one.refused('a0'), one.refused('a0'), two.refused('a0')]))
  expect(renewed).toEqual([true, true, true])
  expect(state.exchanges).toBe(1)
  // The one that was late learns that somebody renewed already.
  expect(await one.refused('a0')).toBe(true)
  expect(await one.refused('a1')).toBe(false)
  expect(state.exchanges).toBe(1)
  await time.pass(minute)
  expect(await time.run(one.refused('a1'))).toBe(true)
  expect(state.exchanges).toBe(2)
})

test('nobody logged in, a login from elsewhere, a logout', async () => {
  const { time, open } = await set({ login: false })
  const [host, console] = [open(), open()]
  const error = await failure(host.token(), 'reauthorization_required')
  expect(error.message).toBe('acme: test: nobody has logged in yet. Run: ecokit login acme')
  expect(await host.status()).toEqual({ state: 'missing' })
  const login = first(time)
  await console.keep(login)
  expect((await host.token()).accessToken).toBe('a0')
  expect(await host.status()).toEqual({ state: 'ready', refreshedAt: login.refreshedAt, expiresAt: login.expiresAt })
  await time.pass(11 * minute)
  expect(await host.status()).toMatchObject({ state: 'expired' })
  await host.forget()
  await failure(host.token(), 'reauthorization_required')
})

test('an issuer that fails for a while: the old token serves, and then the call waits for it', async () => {
  const { time, state, open, record } = await set()
  const tokens = open()
  await tokens.token()
  const away = () => Promise.reject(unavailable({ status: 503 }))
  state.faults.push(away)
  await time.pass(9 * minute + 20_000)
  expect((await tokens.token()).accessToken).toBe('a0')
  await time.settle()
  expect((await tokens.token()).accessToken).toBe('a0')
  expect(state.seen).toEqual([])
  expect(await record()).toMatchObject({ state: 'ready' })
  await time.pass(minute)
  state.faults.push(away, away)
  expect((await time.run(tokens.token())).accessToken).toBe('a1')
  await time.pass(11 * minute)
  state.faults.push(away, away, away, away)
  await failure(time.run(tokens.token()), 'unavailable')
  expect((await time.run(tokens.token())).accessToken).toBe('a2')
})

test('an issuer that refuses for good is told apart, once, for all', async () => {
  const { time, state, open, record, shared } = await set()
  state.revoked = true
  await time.pass(11 * minute)
  const processes = [open(), open(), open()]
  const errors = await time.run(
    Promise.all(processes.map((tokens) => failure(tokens.token(), 'reauthorization_required'))),
  )
  expect(new Set(errors.map(({ message }) => message))).toEqual(
    new Set([
      'acme: test: the issuer no longer accepts the login (invalid_grant: refresh token already used). Run: ecokit login acme',
    ]),
  )
  expect(errors[1]?.details).toEqual({ scheme: 'test', issuer: 'invalid_grant: refresh token already used' })
  expect(state.seen).toEqual(['r0'])
  expect(await record()).toMatchObject({ state: 'reauthorization_required' })
  const version = (await shared.get('tokens/acme/k'))?.version
  await failure(processes[0]?.token() ?? Promise.resolve(), 'reauthorization_required')
  expect((await shared.get('tokens/acme/k'))?.version).toBe(version)
  expect(await processes[0]?.status()).toMatchObject({
    state: 'reauthorization_required',
    reason: expect.stringContaining('invalid_grant') as string,
  })
})

const lostAnswer = (answer: () => TokenSet) => {
  answer()
  return Promise.reject(unavailable({ cause: 'ECONNRESET' }))
}
const lostRequest = () => Promise.reject(unavailable({ cause: 'ECONNRESET' }))

test.each([
  ['the request', lostRequest],
  ['the answer', lostAnswer],
])('%s is lost on the way, and nothing says whether the token was used up: it is not sent again', async (_, fault) => {
  const { time, state, open } = await set()
  await time.pass(11 * minute)
  state.faults.push(fault)
  const error = await failure(time.run(open().token()), 'reauthorization_required')
  expect(error.message).toContain('a renewal was interrupted after its request had left')
  expect(state.seen.length).toBe(fault === lostAnswer ? 1 : 0)
})

test('an issuer that says the refresh token is still active: it is sent again', async () => {
  const answers = [true, false]
  const { time, state, open } = await set({ more: { stillActive: () => Promise.resolve(answers.shift()) } })
  await time.pass(11 * minute)
  state.faults.push(lostRequest)
  expect((await time.run(open().token())).accessToken).toBe('a1')
  expect(state.seen).toEqual(['r0'])
  await time.pass(11 * minute)
  state.faults.push(lostAnswer)
  await failure(time.run(open().token()), 'reauthorization_required')
  expect(state.seen).toEqual(['r0', 'r1'])
})

test('a request that never left costs nothing', async () => {
  const { time, state, open, record } = await set()
  await time.pass(11 * minute)
  const refused = () => Promise.reject(unavailable({ cause: 'ECONNREFUSED' }))
  state.faults.push(refused, refused, refused, refused)
  await failure(time.run(open().token()), 'unavailable')
  expect(await record()).toMatchObject({ state: 'ready', tokens: { refreshToken: 'r0' } })
  expect((await time.run(open().token())).accessToken).toBe('a1')
})

test('a holder that was taken for dead and answers late: its tokens are welcome, but never over newer ones', async () => {
  const { time, shared, state, open, record } = await set({ timing: { leaseMs: 1000 } })
  await time.pass(11 * minute)
  let answer = (): void => {}
  state.faults.push((give) => new Promise((resolve) => (answer = () => resolve(give()))))
  const slow = open().token()
  await time.settle()
  // As if its process had stood still: nobody renewed the lease.
  await shared.lease('tokens/acme/k/exchange', 'nobody', 0)
  const holder = { ...shared, lease: () => Promise.resolve(true) }
  const other = openTokens(contextOf(time, holder), issuerOf(time).source())
  await failure(other.token(), 'reauthorization_required')
  expect(await record()).toMatchObject({ state: 'reauthorization_required' })
  answer()
  expect((await time.run(slow)).accessToken).toBe('a1')
  expect(await record()).toMatchObject({ state: 'ready', tokens: { accessToken: 'a1' } })

  // The same again, but somebody logs in before the late answer comes.
  await time.pass(11 * minute)
  state.faults.push((give) => new Promise((resolve) => (answer = () => resolve(give()))))
  const late = open().token()
  await time.settle()
  await open().keep({ ...first(time), accessToken: 'fresh', refreshToken: 'r9' })
  answer()
  expect((await time.run(late)).accessToken).toBe('fresh')
  expect(await record()).toMatchObject({ state: 'ready', tokens: { accessToken: 'fresh' } })
})

test('a caller that goes away does not end the exchange for the others', async () => {
  const { time, state, open } = await set()
  await time.pass(11 * minute)
  const tokens = open()
  let answer = (): void => {}
  state.faults.push((give) => new Promise((resolve) => (answer = () => resolve(give()))))
  const away = new AbortController()
  const [gone, stays] = [tokens.token({ signal: away.signal }), tokens.token()]
  await time.settle()
  away.abort()
  await failure(gone, 'cancelled')
  await failure(tokens.token({ signal: away.signal }), 'cancelled')
  answer()
  expect((await time.run(stays)).accessToken).toBe('a1')
  expect(state.seen).toEqual(['r0'])
})

test('one who waits for another process gives up after a while', async () => {
  const { time, shared, open } = await set()
  await time.pass(11 * minute)
  const held = { ...shared, lease: () => Promise.resolve(false) }
  const error = await failure(time.run(openTokens(contextOf(time, held), issuerOf(time).source()).token()), 'timeout')
  expect(error.message).toBe(
    'acme: test: another process that renews the token did not finish within 45000 ms. Try again later; if it stays, look for a process that hangs',
  )
  expect((await time.run(open().token())).accessToken).toBe('a1')
})

test('stored tokens that cannot be read are said to be so, without their text', async () => {
  const { shared, open } = await set()
  await shared.put('tokens/acme/k', '{"state":"ready","tokens":{"accessToken":"a-secret-token"')
  const error = await failure(open().token(), 'internal')
  expect(error.message).toContain('ecokit auth logout acme')
  expect(error.message).not.toContain('a-secret-token')
})

test('a holder that dies before or after any step of its own: nothing is lost, unless its request may have left', async () => {
  const steps: string[] = []
  const outcomes: Record<string, string> = {}
  for (let dies = 0; dies < 20; dies++) {
    const { time, shared, state, open, record } = await set({ timing: { leaseMs: 1000 } })
    await time.pass(11 * minute)
    let step = 0
    const forever = new Promise<never>(() => {})
    // Even numbers: dead before the step is done; odd ones: dead when it is.
    const mortal =
      <A extends unknown[], R>(name: string, work: (...given: A) => Promise<R>) =>
      async (...given: A): Promise<R> => {
        const at = step++ * 2
        steps[at / 2] ??= name
        if (dies <= at) return forever
        const result = await work(...given)
        return dies === at + 1 ? forever : result
      }
    const dying: Shared = {
      ...shared,
      get: mortal('get', shared.get),
      put: mortal('put', shared.put),
      lease: mortal('lease', shared.lease),
      release: mortal('release', shared.release),
    }
    const asking = mortal('exchange', (sent: string) => Promise.resolve(sent))
    const holder = openTokens(
      {
        ...contextOf(time, dying),
        sleep: (_, signal) => new Promise((__, reject) => signal?.addEventListener('abort', reject)),
      },
      {
        scheme: 'test',
        key: 'k',
        rotating: true,
        needsLogin: true,
        fetch: async (current, { sending }) => {
          await sending()
          await asking('')
          state.exchanges++
          state.seen.push(current?.refreshToken ?? '')
          state.current = `r${state.exchanges}`
          const expiresAt = time.now() + 10 * minute
          return { accessToken: `a${state.exchanges}`, refreshToken: state.current, refreshedAt: time.now(), expiresAt }
        },
      },
      { leaseMs: 1000 },
    )
    holder.token().catch(() => {})
    for (let turn = 0; turn < 30; turn++) await time.settle()
    const marked = JSON.stringify(await record()).includes('"since"')
    const next = await time.run(
      open()
        .token()
        .then(
          ({ accessToken }) => accessToken,
          (error: unknown) => (isIntegrationError(error) ? error.code : String(error)),
        ),
    )
    outcomes[`${marked ? 'marked as sent' : 'not marked'}, ${state.seen.length} seen`] = next
    // Never the same refresh token twice.
    expect(new Set(state.seen).size).toBe(state.seen.length)
    if (step * 2 <= dies) break
  }
  expect(steps).toEqual(['get', 'lease', 'get', 'put', 'put', 'exchange', 'put', 'release'])
  expect(outcomes).toEqual({
    'not marked, 1 seen': 'a1',
    'marked as sent, 0 seen': 'reauthorization_required',
    'marked as sent, 1 seen': 'reauthorization_required',
  })
})

test('a replay that was allowed when it began is not sent once the window is over', async () => {
  const { time, shared, state, open, record } = await set({ more: { reuseWindowMs: 10_000 } })
  await shared.put(
    'tokens/acme/k',
    JSON.stringify({ state: 'refreshing', tokens: first(time), exchange: 'of the dead', since: time.now() }),
  )
  state.current = 'r1'
  const { source } = issuerOf(time)
  const tokens = openTokens(
    contextOf(time, shared),
    {
      ...source({ reuseWindowMs: 10_000 }),
      fetch: async (current, { sending }) => {
        // The road to the issuer is long today.
        await time.sleep(20_000)
        await sending()
        state.seen.push(current?.refreshToken ?? '')
        throw unavailable({ status: 503 })
      },
    },
    {},
  )
  await time.run(failure(tokens.token(), 'reauthorization_required'))
  expect(state.seen).toEqual([])
  expect(await record()).toMatchObject({ state: 'reauthorization_required' })
  await failure(open().token(), 'reauthorization_required')
})

test('a replay that somebody else overtook before it left does not leave', async () => {
  const { time, shared, state } = await set()
  const spent = first(time)
  await shared.put(
    'tokens/acme/k',
    JSON.stringify({ state: 'refreshing', tokens: spent, exchange: 'of the dead', since: time.now() }),
  )
  const renewed: TokenSet = { ...spent, accessToken: 'a9', refreshToken: 'r9' }
  const tokens = openTokens(contextOf(time, shared), {
    scheme: 'test',
    key: 'k',
    rotating: true,
    stillActive: () => Promise.resolve(true),
    fetch: async (current, { sending }) => {
      // This process stood still; another one took the lease over and is done.
      await shared.put('tokens/acme/k', JSON.stringify({ state: 'ready', tokens: renewed }))
      await sending()
      state.seen.push(current?.refreshToken ?? '')
      throw unavailable({ status: 503 })
    },
  })
  expect((await time.run(tokens.token())).accessToken).toBe('a9')
  expect(state.seen).toEqual([])
})

test('a clock that was put back stops no renewal after a 401', async () => {
  const { time, state, shared } = await set()
  let back = 0
  const { source } = issuerOf(time)
  const tokens = openTokens(
    { ...contextOf(time, shared), now: () => time.now() - back },
    {
      ...source(),
      fetch: (_, { sending }) =>
        sending().then(() => ({
          accessToken: `b${++state.exchanges}`,
          refreshToken: 'r',
          refreshedAt: time.now() - back,
          expiresAt: time.now() - back + 10 * minute,
        })),
    },
  )
  expect((await tokens.token()).accessToken).toBe('a0')
  expect(await tokens.refused('a0')).toBe(true)
  back = 60 * minute
  expect(await tokens.refused('b1')).toBe(true)
  expect((await tokens.token()).accessToken).toBe('b2')
})

test('a refusal is not remembered longer because the clock was put back', async () => {
  const { time, shared } = await set({ login: false })
  let back = 0
  let asked = 0
  const tokens = openTokens(
    { ...contextOf(time, shared), now: () => time.now() - back },
    {
      scheme: 'test',
      key: 'k',
      fetch: () => {
        asked++
        return Promise.reject(
          integrationError('invalid_credentials', { partner: 'acme', what: 'no', details: { field: 'credentials.x' } }),
        )
      },
    },
  )
  await failure(tokens.token(), 'invalid_credentials')
  await failure(tokens.token(), 'invalid_credentials')
  expect(asked).toBe(1)
  back = 60 * minute
  await failure(tokens.token(), 'invalid_credentials')
  expect(asked).toBe(2)
})

test('a 401 of a call that is over already leaves no rejection without a listener', async () => {
  const { time, open } = await set({
    more: { fetch: () => Promise.reject(integrationError('rejected', { what: 'no', details: { status: 400 } })) },
  })
  const unheard: unknown[] = []
  const hear = (reason: unknown): void => void unheard.push(reason)
  process.prependListener('unhandledRejection', hear)
  const tokens = open()
  await tokens.token()
  await failure(tokens.refused('a0', { signal: AbortSignal.abort() }), 'cancelled')
  await time.pass(minute)
  await time.settle()
  process.off('unhandledRejection', hear)
  expect(unheard).toEqual([])
})

test('an exchange that outlives a logout and a new login does not put the old login back', async () => {
  const { time, open, record, shared } = await set({ more: { rotating: false } })
  let answer = (_: TokenSet): void => {}
  const tokens = openTokens(contextOf(time, shared), {
    scheme: 'test',
    key: 'k',
    needsLogin: true,
    fetch: () => new Promise((resolve) => (answer = resolve)),
  })
  expect((await tokens.token()).accessToken).toBe('a0')
  const renewing = tokens.refused('a0')
  await time.settle()
  await tokens.forget()
  await tokens.keep({ ...first(time), accessToken: 'of another account' })
  answer({ ...first(time), accessToken: 'of the old account' })
  await time.run(renewing)
  expect(await record()).toMatchObject({ tokens: { accessToken: 'of another account' } })
  expect((await tokens.token()).accessToken).toBe('of another account')
  expect((await open().token()).accessToken).toBe('of another account')
})
