import type { CircuitState, OpenHttp } from '@ecokit/contracts'
import { openCache } from './cache.ts'
import { systemClock } from './clock.ts'
import { openGuard, type GuardState } from './guard.ts'
import { resolveHosts } from './hosts.ts'
import { openBase } from './http.ts'
import { openPools } from './pools.ts'
import { proxySecrets } from './proxy.ts'
import { redactor, type Redact } from './redact.ts'
import { openTimer, type Stop } from './stop.ts'
import type { Clock, Network, NetworkOptions, NetworkRuntime } from './types.ts'
import type { Wire } from './wire.ts'

/** A UUID of version 4 out of these random numbers. */
const uuidOf = (random: () => number) => (): string =>
  'xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx'.replace(/[xy]/g, (place) => {
    const digit = Math.floor(random() * 16)
    return (place === 'x' ? digit : (digit & 3) | 8).toString(16)
  })

/** Writes a line where the circuit changes; not for a guard that is given, whose owner sees its changes. */
const circuitLog = (partner: string, { log }: NetworkRuntime, clock: Clock) => {
  let before: CircuitState = 'closed'
  return ({ circuit, requests, failed }: GuardState): void => {
    if (circuit === before) return
    before = circuit
    const message =
      circuit === 'open'
        ? `the circuit opened: ${failed} of ${requests} requests failed`
        : `the circuit is ${circuit.replace('_', ' ')}`
    log?.({
      time: clock.now(),
      level: circuit === 'open' ? 'warn' : 'info',
      event: 'circuit',
      partner,
      message,
      circuit,
    })
  }
}

/** Opens the only door to the network for one connection. Does no I/O; throws `invalid_config` when the config gives no host. */
export const openNetwork = (options: NetworkOptions): Network => {
  const { partner, runtime = {} } = options
  const secrets = [...(options.secrets ?? []), ...proxySecrets(runtime)]
  const hosts = resolveHosts(options.hosts, options.config, partner)
  const tokenHosts = [...hosts, ...resolveHosts(options.tokenHosts ?? [], options.config, partner)]
  const pools = openPools(partner, tokenHosts, { runtime, connectTimeoutMs: () => guard.policy().connectTimeoutMs })
  const clock = runtime.clock ?? systemClock
  let redact: Redact | undefined
  const stops = new Set<Stop>()
  const settings = { ...options.policy, ...runtime.policy }
  const guard =
    runtime.guard ??
    openGuard({
      partner,
      policy: settings,
      shared: runtime.shared,
      clock,
      random: runtime.random,
      onChange: circuitLog(partner, runtime, clock),
    })
  const replace: Wire['replace'] = async (refused, call) => {
    if (authorizer !== refused) return authorizer
    const next = await options.replaceAuthorizer?.(refused, call)
    if (next !== undefined) authorizer = next
    return next
  }
  const wire: Wire = {
    partner,
    hosts,
    secrets,
    redact: (text) => (redact ??= redactor(secrets))(text),
    clock,
    uuid: runtime.random === undefined ? () => crypto.randomUUID() : uuidOf(runtime.random),
    guard,
    timer: openTimer(stops, clock),
    observe: runtime.observe,
    log: runtime.log,
    traced: hosts,
    replace: options.replaceAuthorizer && replace,
    dispatcher: pools.get,
    stops,
    closed: options.closed,
    closing: new AbortController(),
    counts: { requests: 0 },
    cache: openCache(partner, runtime, clock),
  }
  // Issuers of tokens are other services: a partner that is paced or sick must not keep a token from being renewed, nor a renewal wait for the slot of the call that needs it.
  const { rate: _rate, ...unpaced } = settings
  const issuers = openGuard({ partner, policy: unpaced, clock, random: runtime.random })
  // They outlive the partner's calls for a moment: to cut an exchange in two could lose a single-use refresh token.
  const asking = { stops: new Set<Stop>(), closing: new AbortController() }
  const outer: Wire = {
    ...wire,
    ...asking,
    timer: openTimer(asking.stops, clock),
    closed: undefined,
    hosts: tokenHosts,
    cache: undefined,
    guard: issuers,
    replace: undefined,
  }
  const anonymous: OpenHttp = (baseUrl, settings) => openBase(outer, () => undefined, baseUrl, settings)
  let authorizer = typeof options.authorizer === 'function' ? options.authorizer(anonymous) : options.authorizer
  const end = (): void => {
    wire.closing.abort()
    for (const stop of stops) stop.halt('closed')
  }
  options.closed?.addEventListener('abort', end, { once: true })
  return {
    http: (baseUrl, settings) => openBase(wire, () => authorizer, baseUrl, settings),
    socket: async (address, call) => {
      const { openSocket } = await import('./socket.ts')
      const { connectTimeoutMs } = guard.policy()
      const closed = [options.closed, wire.closing.signal]
      return openSocket({ partner, hosts, runtime, connectTimeoutMs, closed }, address, call)
    },
    requests: () => wire.counts.requests,
    oldTls: runtime.tls?.minVersion === 'TLSv1.2',
    guard,
    hide: (more) => {
      secrets.push(...more)
      redact = undefined
    },
    close: async () => {
      end()
      await authorizer?.close?.().catch(() => {})
      asking.closing.abort()
      for (const stop of asking.stops) stop.halt('closed')
      await pools.close()
    },
  }
}
