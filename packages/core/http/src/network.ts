import type { Dispatcher, Pool } from 'undici'
import type { Authorizer, OpenHttp } from '@ecokit/contracts'
import { systemClock } from './clock.ts'
import { resolveHosts } from './hosts.ts'
import { openBase } from './http.ts'
import { redactor, type Redact } from './redact.ts'
import type { Wire } from './wire.ts'
import type { Network, NetworkOptions, NetworkRuntime } from './types.ts'

const connectTimeoutMs = 10_000
const socketsPerHost = 64

const openPool = async (
  origin: string,
  tls: NetworkRuntime['tls'],
  certificate: Authorizer['certificate'],
): Promise<Pool> => {
  const { Pool } = await import('undici')
  const trusted =
    tls?.ca === undefined ? undefined : [...(await import('node:tls')).getCACertificates('default'), tls.ca]
  return new Pool(origin, {
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

/** The pools of one connection, one for each origin; calls without credentials have their own where a certificate is shown with the others. */
const openPools = (runtime: NetworkRuntime, certificate: () => Authorizer['certificate']) => {
  const opening = new Map<string, Promise<Pool>>()
  const open = new Map<string, Pool>()
  return {
    get: (origin: string, credentials: boolean): Dispatcher | Promise<Dispatcher> => {
      if (runtime.dispatcher !== undefined) return runtime.dispatcher
      const shown = credentials ? certificate() : undefined
      const key = shown === undefined ? origin : `${origin} with certificate`
      const pool = open.get(key) ?? opening.get(key)
      if (pool !== undefined) return pool
      const coming = openPool(origin, runtime.tls, shown).then((made) => {
        open.set(key, made)
        return made
      })
      opening.set(key, coming)
      return coming
    },
    close: async (): Promise<void> => {
      await Promise.all([...opening.values()].map(async (pool) => (await pool).destroy()))
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
