import type { Agent, Dispatcher } from 'undici'
import type { Authorizer, OpenHttp } from '@ecokit/contracts'
import { systemClock } from './clock.ts'
import { resolveHosts } from './hosts.ts'
import { openBase } from './http.ts'
import { redactor } from './redact.ts'
import type { Wire } from './send.ts'
import type { Network, NetworkOptions, NetworkRuntime } from './types.ts'

const connectTimeoutMs = 10_000
const socketsPerHost = 64

const openAgent = async (tls: NetworkRuntime['tls'], certificate: Authorizer['certificate']): Promise<Agent> => {
  const { Agent } = await import('undici')
  const trusted = tls?.ca === undefined ? undefined : [...(await import('node:tls')).getCACertificates('default'), tls.ca]
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

/** Opens the only door to the network for one connection. Does no I/O; throws `invalid_config` when a host cannot be made of the config. */
export const openNetwork = (options: NetworkOptions): Network => {
  const { partner, runtime = {}, secrets = [] } = options
  const agents = new Map<Authorizer['certificate'], Promise<Agent>>()
  const ready = new Map<Authorizer['certificate'], Agent>()
  let certificate: Authorizer['certificate']
  const dispatcher = (credentials: boolean): Dispatcher | Promise<Dispatcher> => {
    if (runtime.dispatcher !== undefined) return runtime.dispatcher
    const shown = credentials ? certificate : undefined
    const open = ready.get(shown)
    if (open !== undefined) return open
    const opening =
      agents.get(shown) ??
      openAgent(runtime.tls, shown).then((agent) => {
        ready.set(shown, agent)
        return agent
      })
    agents.set(shown, opening)
    return opening
  }
  const wire: Wire = {
    partner,
    hosts: resolveHosts(options.hosts, options.config, partner),
    secrets,
    redact: redactor(secrets),
    clock: runtime.clock ?? systemClock,
    random: runtime.random ?? Math.random,
    attempts: runtime.retry?.attempts ?? 4,
    baseMs: runtime.retry?.baseMs ?? 200,
    maxMs: runtime.retry?.maxMs ?? 10_000,
    observe: runtime.observe,
    dispatcher,
    stops: new Set(),
    closing: new AbortController(),
    requests: 0,
  }
  const anonymous: OpenHttp = (baseUrl, settings) => openBase(wire, undefined, baseUrl, settings)
  const authorizer = typeof options.authorizer === 'function' ? options.authorizer(anonymous) : options.authorizer
  certificate = authorizer?.certificate
  return {
    http: (baseUrl, settings) => openBase(wire, authorizer, baseUrl, settings),
    requests: () => wire.requests,
    close: async () => {
      wire.closing.abort()
      for (const stop of [...wire.stops]) stop.halt('closed')
      await Promise.all([...agents.values()].map(async (opening) => (await opening).destroy()))
    },
  }
}
