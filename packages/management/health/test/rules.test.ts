import type { ErrorCode, HealthStatus } from '@ecokit/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defaultRules, nextStanding } from '../src/index.ts'
import type { Standing } from '../src/index.ts'
import { health } from './support.ts'

const follow = (checks: readonly [HealthStatus, ErrorCode?][], rules = defaultRules): readonly HealthStatus[] => {
  let standing: Standing | undefined
  return checks.map(([status, code], index) => {
    standing = nextStanding(standing, health(status, code), index, rules)
    return standing.status
  })
}

test('the first check is believed, whatever it says', () => {
  expect(follow([['unhealthy', 'timeout']])).toEqual(['unhealthy'])
  expect(follow([['healthy']])).toEqual(['healthy'])
})

test('a refused connection and bad credentials turn a partner red at once', () => {
  for (const code of ['unavailable', 'unauthenticated', 'invalid_credentials', 'internal'] as const)
    expect(follow([['healthy'], ['unhealthy', code]])).toEqual(['healthy', 'unhealthy'])
})

test('a timeout, a rate limit or a lock needs a second one in a row', () => {
  for (const code of ['timeout', 'rate_limited', 'conflict'] as const) {
    expect(follow([['healthy'], ['unhealthy', code], ['unhealthy', code]])).toEqual(['healthy', 'healthy', 'unhealthy'])
    expect(follow([['healthy'], ['unhealthy', code], ['healthy'], ['unhealthy', code]])).not.toContain('unhealthy')
  }
})

test('one good check turns a partner green again', () => {
  expect(follow([['unhealthy', 'unavailable'], ['healthy']])).toEqual(['unhealthy', 'healthy'])
  expect(follow([['unhealthy', 'unavailable'], ['degraded', 'forbidden'], ['healthy']])).toEqual([
    'unhealthy',
    'degraded',
    'healthy',
  ])
})

test('the rules are data: patience in both directions, counted apart', () => {
  const rules = { unhealthyAfter: 2, healthyAfter: 3, patience: ['timeout'] as const }
  expect(
    follow([['degraded'], ['unhealthy', 'timeout'], ['healthy'], ['unhealthy', 'timeout'], ['healthy']], rules),
  ).toEqual(['degraded', 'degraded', 'degraded', 'degraded', 'degraded'])
  const better: [HealthStatus][] = [['healthy'], ['healthy'], ['healthy']]
  expect(follow([['unhealthy', 'unavailable'], ...better], rules).at(-1)).toBe('healthy')
  expect(follow([['degraded'], ['unhealthy', 'timeout'], ...better], rules).at(-1)).toBe('healthy')
})

const status = fc.constantFrom<HealthStatus>('healthy', 'degraded', 'unhealthy')
const code = fc.constantFrom<ErrorCode | undefined>('timeout', 'unavailable', undefined)
const checks = fc.array(
  fc.tuple(status, code).map(([is, why]): [HealthStatus, ErrorCode?] => (why ? [is, why] : [is])),
  {
    minLength: 1,
    maxLength: 30,
  },
)

test('a state never shows what no check has said, and enough equal checks always win', () => {
  fc.assert(
    fc.property(checks, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), (given, worse, better) => {
      const rules = { unhealthyAfter: worse, healthyAfter: better, patience: ['timeout'] as const }
      const states = follow(given, rules)
      states.forEach((state, index) => {
        // A state is the last one or what the newest check says.
        expect([states[index - 1], given[index]?.[0]]).toContain(state)
        const recent = given.slice(Math.max(0, index + 1 - Math.max(worse, better)), index + 1)
        const agreed = recent.length === Math.max(worse, better) && new Set(recent.map(([is]) => is)).size === 1
        expect(!agreed || state === given[index]?.[0]).toBe(true)
      })
    }),
  )
})

test('with no patience the state is the last check', () => {
  fc.assert(
    fc.property(checks, (given) => {
      const rules = { unhealthyAfter: 1, healthyAfter: 1, patience: [] }
      expect(follow(given, rules)).toEqual(given.map(([is]) => is))
    }),
  )
})

test('since is when the status was entered', () => {
  const first = nextStanding(undefined, health('healthy'), 1000, defaultRules)
  const same = nextStanding(first, health('healthy'), 2000, defaultRules)
  const pending = nextStanding(same, health('unhealthy', 'timeout'), 3000, defaultRules)
  const changed = nextStanding(pending, health('unhealthy', 'timeout'), 4000, defaultRules)
  expect([first, same, pending, changed].map(({ since }) => since)).toEqual([1000, 1000, 1000, 4000])
})
