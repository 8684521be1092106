import { nowhere } from '../platform.ts'
import type { Rule } from '../types.ts'

const loginPage = '<!doctype html><html><head><title>Sign in</title></head><body><form></form></body></html>'

export const checkRules: readonly Rule[] = [
  {
    id: 'check.healthy',
    title: 'The sample partner is healthy, with latency and time',
    run: async ({ connect, within, fail }) => {
      const health = await within('the check', connect().check())
      if (health.status !== 'healthy') fail(`the check says ${health.status}: ${String(health.message)}`)
      if (health.latencyMs === undefined || Number.isNaN(Date.parse(health.checkedAt)))
        fail('latency or time are missing')
    },
  },
  {
    id: 'check.cheap',
    title: 'A check costs few requests',
    run: async ({ connect, options, within, fail }) => {
      let requests = 0
      const connection = connect({ runtime: { observe: () => (requests += 1) } })
      await within('the check', connection.check())
      const most = options.checkRequests ?? 3
      if (requests > most) fail(`it sends ${requests} requests; at most ${most} are allowed (checkRequests)`)
    },
  },
  {
    id: 'check.unreachable',
    title: 'A partner that cannot be reached is unhealthy with unavailable',
    run: async ({ connect, options, manifest, within, fail, skip }) => {
      if (manifest.hosts.length === 0) skip('it talks to no host')
      if (options.at === undefined) return fail('the rule needs `at` in the options')
      const health = await within('the check', connect({ config: options.at(await nowhere()) }).check())
      if (health.status !== 'unhealthy') fail(`the check says ${health.status}`)
      if (health.code !== 'unavailable') fail(`the check says ${String(health.code)}: ${String(health.message)}`)
    },
  },
  {
    id: 'check.hanging',
    title: 'A partner that never answers is unhealthy with timeout, and the request is given up',
    run: async ({ connect, platform, within, until, fail }) => {
      const hanging = await platform(() => ({ kind: 'hang' }))
      const connection = connect({ config: hanging.config, runtime: { checkTimeoutMs: 200 } })
      const health = await within('the check', connection.check())
      if (health.status !== 'unhealthy' || health.code !== 'timeout')
        fail(`the check says ${health.status} ${String(health.code)}: ${String(health.message)}`)
      await until('the request goes on after the check has ended', () => hanging.waiting() === 0)
    },
  },
  {
    id: 'check.stranger',
    title: 'A page that anybody could have sent does not pass for a healthy partner',
    run: async ({ connect, platform, within, fail }) => {
      const stranger = await platform(() => ({
        kind: 'reply',
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: loginPage,
      }))
      const health = await within('the check', connect({ config: stranger.config }).check())
      if (health.status === 'healthy') fail('a sign-in page passes for a healthy partner')
    },
  },
]
