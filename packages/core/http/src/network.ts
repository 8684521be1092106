import type { Agent, Dispatcher } from 'undici'
import type { Authorizer, OpenHttp } from '@ecokit/contracts'
import { systemClock } from './clock.ts'
import { resolveHosts } from './hosts.ts'
import { openBase } from './http.ts'
import { redactor, type Redact } from './redact.ts'
import type { Wire } from './wire.ts'
import type { Network, NetworkOptions, NetworkRuntime } from './types.ts'

const connectTimeoutMs = 10_000
const socketsPerHost = 64

const openAgent = async (tls: NetworkRuntime['tls'], certificate: Authorizer['certificate']): Promise<Agent> => {
  const { Agent } = await import('undici')
  const trusted =
    tls?.ca === undefined ? undefined : [...(await import('node:tls')).getCACertificates('default'), tls.ca]
  return new Agent({
    connections: socketsPerHost,
    allowH2: false,
    connect: {
      timeout: connectTimeoutMs,
      minVersion: tls?.minVersion ?? 'TLSv1.3',
      ...(trusted === undefined ? {} : { ca: trusted }),
      ...certificate,
    },
  })
}

/** The pools of one connection: one that shows the certificate of mutual TLS, and one for calls without credentials. */
const openPools = (runtime: NetworkRuntime, certificate: () => Authorizer['certificate']) => {
  const opening = new Map<Authorizer['certificate'], Promise<Agent>>()
  const open = new Map<Authorizer['certificate'], Agent>()
  return {
    get: (credentials: boolean): Dispatcher | Promise<Dispatcher> => {
      if (runtime.dispatcher !== undefined) return runtime.dispatcher
      const shown = credentials ? certificate() : undefined
      const agent = open.get(shown) ?? opening.get(shown)
      if (agent !== undefined) return agent
      const coming = openAgent(runtime.tls, shown).then((made) => {
        open.set(shown, made)
        return made
      })
      opening.set(shown, coming)
      return coming
    },
    close: async (): Promise<void> => {
      await Promise.all([...opening.values()].map(async (agent) => (await agent).destroy()))
    },
  }
}

/** Opens the only door to the network for one connection. Does no I/O; throws `invalid_config` when the config gives no host. */
export const openNetwork = (options: NetworkOptions): Network => {
  const { partner, runtime = {}, secrets = [] } = options
  const pools = openPools(runtime, () => authorizer?.certificate)
  let redact: Redact | undefined
  const wire: Wire = {
    partner,
    hosts: resolveHosts(options.hosts, options.config, partner),
    secrets,
    redact: (text) => (redact ??= redactor(secrets))(text),
    clock: runtime.clock ?? systemClock,
    random: runtime.random ?? Math.random,
    attempts: runtime.retry?.attempts ?? 4,
    baseMs: runtime.retry?.baseMs ?? 200,
    maxMs: runtime.retry?.maxMs ?? 10_000,
    observe: runtime.observe,
    dispatcher: pools.get,
    stops: new Set(),
    closing: new AbortController(),
    requests: 0,
  }
  const anonymous: OpenHttp = (baseUrl, settings) => openBase(wire, undefined, baseUrl, settings)
  const authorizer = typeof options.authorizer === 'function' ? options.authorizer(anonymous) : options.authorizer
  return {
    http: (baseUrl, settings) => openBase(wire, authorizer, baseUrl, settings),
    requests: () => wire.requests,
    close: async () => {
      wire.closing.abort()
      for (const stop of wire.stops) stop.halt('closed')
      await pools.close()
    },
  }
}
