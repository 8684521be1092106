import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { OidcOptions } from '@ecokit/peers'
import { handOverCounts } from '../../../../tools/proofs/counts.ts'
import { issuer } from './oauth-support.ts'
import { leaseMs } from './refresh-scheme.ts'
import { app, logIn, openState, rounds, startCaller, type Caller } from './refresh-support.ts'

const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
/** A small seeded generator (mulberry32): numbers below 1. */
const randomOf = (start: number) => {
  let state = start
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Class = 'not reached' | 'sent, not reached' | 'answered, not stored' | 'stored'

test(`the winner is killed, ${rounds} times [seed ${seed}]`, { timeout: 60_000 + rounds * 10_000 }, async () => {
  const random = randomOf(seed)
  const { database, shared, last } = await openState()
  // What happens to the round under way; the issuers wait for it.
  let onMoment: (moment: 'touched' | 'arrived' | 'answered') => void | Promise<void> = () => {}
  const options: OidcOptions = {
    clients: [app],
    accessTokenSeconds: 60,
    features: { introspection: { enabled: false } },
    onToken: (moment) => onMoment(moment),
  }
  const issuers = {
    strict: { ...(await issuer(options)), windowMs: 0 },
    window: { ...(await issuer({ ...options, reuseWindowMs: 20_000 })), windowMs: 20_000 },
  }
  const counts: Record<string, number> = {}
  let [first, second, spare] = await Promise.all([startCaller(database), startCaller(database), startCaller(database)])

  for (let round = 0; round < rounds; round++) {
    const kind = round % 2 === 0 ? 'strict' : 'window'
    const { url, exchanges, windowMs } = issuers[kind]
    await logIn(kind, url, shared)
    const { key } = last
    const before = JSON.parse((await shared.get(key))?.value ?? '') as { tokens: { refreshToken: string } }
    await shared.put(key, JSON.stringify({ ...before, tokens: { ...before.tokens, expiresAt: Date.now() - 1 } }))

    // The seeded moment: while the issuer has only been greeted, while its answer is on its way, or anywhere in between.
    const phase = (['greeted', 'answering', 'anywhere'] as const)[Math.floor(round / 2) % 3]
    const delay = random() * (phase === 'anywhere' ? 40 : 12)
    let arrived = 0
    let winner: Caller | undefined
    let kill: Promise<void> | undefined
    const renewing = new Promise<void>((resolve) => {
      for (const caller of [first, second])
        caller.onRenewing = () => {
          winner ??= caller
          resolve()
        }
    })
    const strike = (): Promise<void> =>
      (kill ??= (async () => {
        await renewing
        await sleep(delay)
        await winner?.kill()
      })())
    onMoment = (moment) => {
      if (moment === 'arrived') arrived++
      if (moment === 'touched' && phase === 'greeted') return strike()
      if (moment === 'touched' && phase === 'anywhere') void strike()
      if (moment === 'answered' && phase === 'answering') return strike()
      return undefined
    }
    const task = { partner: kind, issuer: url, reuseWindowMs: windowMs, forMs: 0 }
    const running = [first, second].map((caller) => ({ caller, done: caller.run(task) }))
    await renewing
    while (kill === undefined) await sleep(1)
    const next = startCaller(database)
    await kill
    const survivor = running.find(({ caller }) => caller !== winner)
    if (survivor === undefined) throw new Error('both were killed')
    const atKill = JSON.parse((await shared.get(key))?.value ?? '') as { state: string; since?: number }
    const report = await survivor.done
    onMoment = () => {}

    const byWinner = arrived - report.posts
    const granted = exchanges.filter((each) => each.refreshToken === before.tokens.refreshToken)
    const seen: Class =
      atKill.state === 'ready'
        ? 'stored'
        : byWinner > 0
          ? 'answered, not stored'
          : atKill.since === undefined
            ? 'not reached'
            : 'sent, not reached'
    const name = `${kind}: ${seen}`
    counts[name] = (counts[name] ?? 0) + 1

    const uncertain = seen === 'answered, not stored' || seen === 'sent, not reached'
    const given = await shared.get(key)
    const again = uncertain && kind === 'strict' ? await survivor.caller.run(task) : undefined
    const outcome = {
      calls: report.calls,
      errors: report.errors,
      tokens: report.tokens.length,
      grants: granted.length,
      refused: granted.filter((each) => each.refused !== undefined).length,
      sentBySurvivor: report.posts,
      state: (JSON.parse(given?.value ?? '') as { state: string }).state,
      ...(again === undefined
        ? {}
        : {
            words: report.words,
            again: again.errors,
            writesMeanwhile: ((await shared.get(key))?.version ?? 0) - (given?.version ?? 0),
          }),
    }
    const lostNothing = {
      calls: 50,
      errors: {},
      tokens: 1,
      grants: seen === 'answered, not stored' ? 2 : 1,
      refused: 0,
      sentBySurvivor: seen === 'stored' ? 0 : 1,
      state: 'ready',
    }
    // Nobody knows whether the token was used up, so it is not sent again, and each caller is told at once what to do.
    const toldOnce = {
      calls: 50,
      errors: { reauthorization_required: 50 },
      tokens: 0,
      grants: seen === 'answered, not stored' ? 1 : 0,
      refused: 0,
      sentBySurvivor: 0,
      state: 'reauthorization_required',
      words: expect.stringMatching(/^strict: oauth_authorization_code: .* Run: ecokit login strict$/) as string,
      again: { reauthorization_required: 50 },
      writesMeanwhile: 0,
    }
    expect(outcome, `round ${round}, ${name}`).toEqual(again === undefined ? lostNothing : toldOnce)
    ;[first, second, spare] = [survivor.caller, spare, await next]
  }
  console.log(`killed winners [seed ${seed}, lease ${leaseMs} ms]:`, JSON.stringify(counts))
  handOverCounts({ killed: counts })
  const total = (seen: Class): number =>
    Object.entries(counts).reduce((sum, [name, count]) => sum + (name.endsWith(`: ${seen}`) ? count : 0), 0)
  expect(total('not reached')).toBeGreaterThan(0)
  expect(counts['window: answered, not stored'] ?? 0).toBeGreaterThan(0)
  expect(counts['strict: answered, not stored'] ?? 0).toBeGreaterThan(0)
})
