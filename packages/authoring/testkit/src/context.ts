import { connectUnknown } from '@ecokit/connect'
import type { AnyConnection, AnyConnector } from '@ecokit/contracts'
import { resolveHosts } from '@ecokit/http'
import { startPlatform } from './platform.ts'
import { probesOf } from './probes.ts'
import { readAll } from './reading.ts'
import type { FullRead } from './reading.ts'
import type { ConformanceOptions, Rule, RuleContext, RuleResult } from './types.ts'

/** How a rule ends early; thrown by `fail` and `skip`, never seen outside. */
interface Verdict {
  readonly verdict: 'failed' | 'not_applicable'
  readonly message: string
}
const isVerdict = (value: unknown): value is Verdict =>
  typeof value === 'object' && value !== null && 'verdict' in value

const end = (verdict: Verdict['verdict'], message: string): never => {
  throw { verdict, message } satisfies Verdict
}

// The kit breaks connections and refuses calls on purpose: a circuit that opens, or a budget that is used up, would hide what a rule looks at.
const quick = { attempts: 2, backoffMs: 1, maxBackoffMs: 5, breakAt: 2, retryBudget: 1 }
const lookAgainMs = 5

const within = async <T>(what: string, work: Promise<T>, deadlineMs: number): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject({ verdict: 'failed', message: `${what} did not end` } satisfies Verdict)
    }, deadlineMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Carries rules out against one connector, one after the other. */
export const openSession = (connector: AnyConnector, options: ConformanceOptions) => {
  const { manifest } = connector
  const deadlineMs = options.deadlineMs ?? 10_000
  const reads = new Map<string, Promise<FullRead>>()
  const without = options.without ?? {}

  const upstream = (): string | undefined => {
    if (options.upstream !== undefined) return options.upstream
    const config = manifest.config.safeParse(options.config)
    return config.success ? resolveHosts(manifest.hosts, config.data)[0]?.origin : undefined
  }

  const openContext = (opened: (() => Promise<unknown>)[]): RuleContext => {
    const connect: RuleContext['connect'] = (as = {}) => {
      const connection: AnyConnection = connectUnknown(
        connector,
        {
          config: 'config' in as ? as.config : options.config,
          credentials: 'credentials' in as ? as.credentials : options.credentials,
        },
        { ...as.runtime, policy: quick },
      )
      opened.push(() => connection.close())
      return connection
    }
    const fail = (message: string) => end('failed', message)
    const skip = (reason: string) => end('not_applicable', reason)
    return {
      connector,
      manifest,
      options,
      deadlineMs,
      connect,
      platform: async (plan) => {
        if (manifest.hosts.length === 0) return skip('it talks to no host')
        if (options.at === undefined)
          return fail('the rule needs `at` in the options: the same config, pointed at the server of the kit')
        const platform = await startPlatform(plan, upstream())
        opened.push(() => platform.stop())
        return { ...platform, config: options.at(platform.url) }
      },
      probes: (kinds) => probesOf(manifest, options).filter(({ kind }) => kinds === undefined || kinds.includes(kind)),
      full: (stream) => {
        const running = reads.get(stream) ?? readAll(connect(), stream, { ...options.streams?.[stream]?.options })
        reads.set(stream, running)
        return within(`reading ${stream}`, running, deadlineMs * 6)
      },
      streams: () => Object.keys(manifest.streams ?? {}).filter((name) => !Object.hasOwn(without, name)),
      within: (what, work) => within(what, work, deadlineMs),
      until: async (what, condition) => {
        const last = Date.now() + deadlineMs
        while (!condition()) {
          if (Date.now() > last) return fail(what)
          await new Promise((resolve) => setTimeout(resolve, lookAgainMs))
        }
      },
      fail,
      skip,
    }
  }

  /** Carries one rule out and tidies up after it. */
  const run = async (rule: Rule): Promise<RuleResult> => {
    const about = { rule: rule.id, title: rule.title }
    const exception = options.exceptions?.[rule.id]
    if (exception !== undefined) return { ...about, status: 'not_applicable', message: exception }
    if (rule.applies?.(manifest) === false)
      return { ...about, status: 'not_applicable', message: 'the manifest has no such part' }
    const opened: (() => Promise<unknown>)[] = []
    try {
      await rule.run(openContext(opened))
      return { ...about, status: 'passed' }
    } catch (thrown) {
      if (isVerdict(thrown)) return { ...about, status: thrown.verdict, message: thrown.message }
      const message = thrown instanceof Error ? thrown.message : 'something was thrown that is no error'
      return { ...about, status: 'failed', message: `the rule could not be carried out: ${message}` }
    } finally {
      // Whether closing works is a rule of its own.
      await Promise.allSettled(opened.toReversed().map((close) => within('close', close(), deadlineMs)))
    }
  }
  return { run }
}
