// Loaded by the first request, and undici, node:net and node:tls with it.
import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import { buildConnector, EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici'
import type { Certificate } from '@ecokit/contracts'
import type { Proxy } from './proxy.ts'
import type { Reach } from './reach.ts'
import type { NetworkRuntime } from './types.ts'

export { reachOf } from './reach.ts'

const socketsPerHost = 64

/** What all pools of one connection share. */
export interface TransportSettings {
  readonly runtime: NetworkRuntime
  readonly connectTimeoutMs: () => number
}

type Found = (error: NodeJS.ErrnoException | null, addresses: readonly { readonly address: string }[]) => void

const failed = (code: string, message: string): NodeJS.ErrnoException => Object.assign(new Error(message), { code })

/** Resolves a name and hands over only addresses that the origin may lead to. */
export const guardedLookup =
  (reach: Reach, lookup: NetworkRuntime['lookup']): LookupFunction =>
  (name, options, callback) => {
    const found: Found = (error, addresses) => {
      const wanted = options.family === 4 || options.family === 6 ? options.family : undefined
      const usable = addresses.flatMap(({ address }): LookupAddress[] => {
        const family = isIP(address)
        return family === 0 || (wanted ?? family) !== family ? [] : [{ address, family }]
      })
      const allowed = usable.filter(({ address }) => reach.allows(address))
      const [first] = allowed
      const refusal = usable[0] === undefined ? undefined : reach.refusal(usable[0].address)
      if (first === undefined) callback(error ?? refusal ?? failed('ENOTFOUND', 'no address for the host'), '', 0)
      else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    }
    if (lookup === undefined)
      systemLookup(name, { ...options, all: true }, (error, all) => found(error, error === null ? all : []))
    else
      lookup(name).then(
        (addresses) => setImmediate(found, null, addresses),
        (error: unknown) => setImmediate(found, error instanceof Error ? error : new Error('the lookup failed'), []),
      )
  }

/** Its types do not say that it gives the socket at once. */
type Connect = (...args: Parameters<buildConnector.connector>) => Socket

/** undici's connector, with the address of every socket checked before anything is sent through it. */
const guardedConnector = (
  reach: Reach,
  { runtime, connectTimeoutMs }: TransportSettings,
  tls: buildConnector.BuildOptions,
  connecting: Set<Socket>,
): buildConnector.connector => {
  const lookup = guardedLookup(reach, runtime.lookup)
  const build = (timeout: number) => buildConnector({ ...tls, timeout, lookup }) as unknown as Connect
  let timeout = connectTimeoutMs()
  let connect = build(timeout)
  return (options, callback) => {
    if (timeout !== connectTimeoutMs()) {
      timeout = connectTimeoutMs()
      connect = build(timeout)
    }
    // Node asks no lookup for a host that is an address, so that one was checked when the pool was opened.
    const connected = (made: Socket): void => {
      const address = made.remoteAddress
      if (address !== undefined && reach.allows(address)) {
        callback(null, made)
        return
      }
      made.on('error', () => {}).destroy()
      callback(reach.refusal(address) ?? failed('ECONNRESET', 'closed at once'), null)
    }
    const socket = connect(options, (...[error, made]) => {
      connecting.delete(socket)
      if (error === null) connected(made)
      else callback(error, null)
    })
    connecting.add(socket)
  }
}

/** A pool and the way to end it with everything that is still being connected. */
export interface Transport {
  readonly dispatcher: Dispatcher
  readonly destroy: () => Promise<void>
}

/** Opens the pool of one origin: sockets of our own, or undici's agent where a proxy is in the way. Throws the refusal of an origin that may not be reached at all. */
export const openTransport = (
  origin: string,
  reach: Reach,
  certificate: Certificate | undefined,
  proxy: Proxy | undefined,
  settings: TransportSettings,
): Transport => {
  const refusal = reach.refusal()
  if (refusal !== undefined) throw refusal
  const { tls = {}, http2 = false } = settings.runtime
  const connecting = new Set<Socket>()
  // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment cannot switch it off.
  const trusted = {
    rejectUnauthorized: true,
    ...(tls.ca !== undefined && { ca: [...getCACertificates('default'), tls.ca] }),
  }
  const secure = {
    ...trusted,
    minVersion: tls.minVersion ?? ('TLSv1.3' as const),
    allowH2: http2,
    preferH2: http2,
  }
  const connect = guardedConnector(reach, settings, { ...secure, ...certificate }, connecting)
  const shared = { connections: socketsPerHost, allowH2: http2, connect }
  const dispatcher =
    proxy === undefined || reach.here
      ? new Pool(origin, shared)
      : new EnvHttpProxyAgent({
          ...shared,
          httpProxy: proxy.url,
          httpsProxy: proxy.url,
          noProxy: proxy.except,
          connectTimeout: settings.connectTimeoutMs(),
          requestTls: { ...secure, ...certificate },
          proxyTls: trusted,
        })
  return {
    dispatcher,
    destroy: async () => {
      // undici waits for a socket that is still being connected.
      for (const socket of connecting) socket.on('error', () => {}).destroy()
      await dispatcher.destroy()
    },
  }
}
