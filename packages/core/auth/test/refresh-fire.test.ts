import { expect, test } from 'vitest'
import { handOverCounts } from '../../../../tools/proofs/counts.ts'
import { issuer } from './oauth-support.ts'
import { app, logIn, openState, rounds, startCaller } from './refresh-support.ts'

const fireMs = Math.max(4000, Math.round(rounds * 600))

test(
  `fifty callers in each of two processes: one exchange for each expiry [${fireMs} ms]`,
  { timeout: fireMs + 60_000 },
  async () => {
    const { database, shared } = await openState()
    const { url, exchanges } = await issuer({ clients: [app] })
    await logIn('fire', url, shared)
    const callers = await Promise.all([startCaller(database), startCaller(database)])
    const task = { partner: 'fire', issuer: url, reuseWindowMs: 0, forMs: fireMs }
    const reports = await Promise.all(callers.map((caller) => caller.run(task)))
    const renewals = exchanges.filter(({ grant }) => grant === 'refresh_token')
    const used = new Set(reports.flatMap(({ tokens }) => tokens))
    const calls = reports.reduce((sum, report) => sum + report.calls, 0)
    const counts = {
      forMs: fireMs,
      calls,
      renewals: renewals.length,
      refused: renewals.filter((each) => each.refused !== undefined).length,
    }
    console.log('refresh under fire:', JSON.stringify(counts))
    handOverCounts({ underFire: counts })
    expect(reports.map(({ errors }) => errors)).toEqual([{}, {}])
    expect(counts.refused).toBe(0)
    // Each refresh token was sent once, and each exchange brought the one access token that all callers went on with.
    expect(new Set(renewals.map(({ refreshToken }) => refreshToken)).size).toBe(renewals.length)
    expect(Math.abs(used.size - renewals.length)).toBeLessThanOrEqual(1)
    // A token of three seconds is asked for again 2.4 seconds after its request at the earliest: two exchanges for one expiry would be twice as many.
    const [begun = 0, ended = 0] = [renewals[0]?.at, renewals.at(-1)?.at]
    expect(renewals.length - 2).toBeLessThanOrEqual((ended - begun) / 2400)
    expect(renewals.length).toBeGreaterThanOrEqual(Math.floor(fireMs / 6000))
  },
)
