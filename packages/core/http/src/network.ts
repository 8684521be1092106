import type { OpenHttp } from '@ecokit/contracts'
import { openCache } from './cache.ts'
import { systemClock } from './clock.ts'
import { resolveHosts } from './hosts.ts'
import { openBase } from './http.ts'
import { openPools } from './pools.ts'
import { proxySecrets } from './proxy.ts'
import { redactor, type Redact } from './redact.ts'
import type { Wire } from './wire.ts'
import type { Network, NetworkOptions } from './types.ts'

const connectTimeoutMs = 10_000

/** Opens the only door to the network for one connection. Does no I/O; throws `invalid_config` when the config gives no host. */
export const openNetwork = (options: NetworkOptions): Network => {
  const { partner, runtime = {} } = options
  const secrets = [...(options.secrets ?? []), ...proxySecrets(runtime)]
  const hosts = resolveHosts(options.hosts, options.config, partner)
  const tokenHosts = [...hosts, ...resolveHosts(options.tokenHosts ?? [], options.config, partner)]
  const pools = openPools(partner, tokenHosts, { runtime, connectTimeoutMs: () => connectTimeoutMs })
  const clock = runtime.clock ?? systemClock
  let redact: Redact | undefined
  const wire: Wire = {
    partner,
    hosts,
    secrets,
    redact: (text) => (redact ??= redactor(secrets))(text),
    clock,
    random: runtime.random ?? Math.random,
    attempts: runtime.retry?.attempts ?? 4,
    baseMs: runtime.retry?.baseMs ?? 200,
    maxMs: runtime.retry?.maxMs ?? 10_000,
    observe: runtime.observe,
    dispatcher: pools.get,
    stops: new Set(),
    closing: new AbortController(),
    counts: { requests: 0 },
    cache: openCache(partner, runtime, clock),
  }
  const outer: Wire = { ...wire, hosts: tokenHosts, cache: undefined }
  const anonymous: OpenHttp = (baseUrl, settings) => openBase(outer, undefined, baseUrl, settings)
  const authorizer = typeof options.authorizer === 'function' ? options.authorizer(anonymous) : options.authorizer
  return {
    http: (baseUrl, settings) => openBase(wire, authorizer, baseUrl, settings),
    requests: () => wire.counts.requests,
    oldTls: runtime.tls?.minVersion === 'TLSv1.2',
    close: async () => {
      wire.closing.abort()
      for (const stop of wire.stops) stop.halt('closed')
      await pools.close()
    },
  }
}
