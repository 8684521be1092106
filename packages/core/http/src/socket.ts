import { connect, isIPv6 } from 'node:net'
import {
  integrationError,
  isIntegrationError,
  type ErrorCode,
  type OpenedSocket,
  type SocketOptions,
} from '@ecokit/contracts'
import { systemClock } from './clock.ts'
import type { Host } from './hosts.ts'
import { reachOf } from './reach.ts'
import { guardedLookup } from './transport.ts'
import type { NetworkRuntime } from './types.ts'

/** What all sockets of one connection share. */
export interface SocketSettings {
  readonly partner: string
  readonly hosts: readonly Host[]
  readonly runtime: NetworkRuntime
  readonly connectTimeoutMs: number
  /** Each is aborted when nothing may be opened any more. */
  readonly closed: readonly (AbortSignal | undefined)[]
}

/** What a timer of the machine can wait for at most. */
const longestMs = 2 ** 31 - 1
const machineAfter = (ms: number, work: () => void): (() => void) => {
  const timer = setTimeout(work, Math.min(ms, longestMs))
  return () => clearTimeout(timer)
}

/** The address as a URL has it, so that what is compared is what is dialled; undefined for a host that would be something else in a URL. */
const addressOf = (host: string, port: number): URL | undefined => {
  const name = isIPv6(host) ? `[${host}]` : host
  if (/[\s/?#@\\]/.test(name) || (name.includes(':') && !name.startsWith('['))) return undefined
  return URL.parse(`https://${name}:${port}`) ?? undefined
}

/** Opens a socket to a declared host for a protocol that is not HTTP; the address is checked before and after it is made, as those of requests are. */
export const openSocket = async (
  { partner, hosts, runtime, connectTimeoutMs, closed }: SocketSettings,
  { host, port }: { readonly host: string; readonly port: number },
  options: SocketOptions = {},
): Promise<OpenedSocket> => {
  const url = addressOf(host, port)
  const origin = url?.origin
  const place = `${host}:${port}`
  if (url === undefined || origin === undefined || !hosts.some((each) => each.origin === origin))
    throw integrationError('host_not_allowed', {
      partner,
      what: `${place} is not among the hosts that the connector declares`,
      next: 'Report it to the maker of the connector',
      details: { host: place },
    })
  const reach = reachOf(partner, origin, hosts, runtime.privateNetworks)
  const refusal = reach.refusal()
  if (refusal !== undefined) throw refusal
  const { now, after = machineAfter } = runtime.clock ?? systemClock
  const startedAt = now()
  const tell = (code?: ErrorCode): void => {
    try {
      runtime.observe?.({
        ...{ partner, method: 'CONNECT', host: place, path: '', attempt: 1, startedAt },
        ...{ durationMs: now() - startedAt, requestBytes: 0, replyBytes: 0 },
        ...(code !== undefined && { code }),
      })
    } catch {
      // An observer's fault is not the connection's.
    }
  }
  const cancelled = () =>
    integrationError('cancelled', { partner, what: `connecting to ${place} was cancelled`, details: {} })
  const signals = [options.signal, ...closed].filter((signal) => signal !== undefined)
  if (signals.some(({ aborted }) => aborted)) throw cancelled()
  const timeoutMs = options.timeoutMs ?? connectTimeoutMs
  const name = url.hostname.replace(/^\[|\]$/g, '')
  const socket = connect({ host: name, port, lookup: guardedLookup(reach, runtime.lookup) })
  socket.setNoDelay(true)
  try {
    await new Promise<void>((resolve, reject) => {
      const end = (done: () => void) => {
        disarm()
        for (const signal of signals) signal.removeEventListener('abort', cancel)
        done()
      }
      const cancel = () => end(() => reject(cancelled()))
      const late = () =>
        end(() =>
          reject(
            integrationError('timeout', {
              partner,
              what: `${place} did not answer within ${timeoutMs} ms`,
              next: 'See whether the host and the port are right, and whether a firewall is in the way',
              details: { timeoutMs },
            }),
          ),
        )
      const disarm = after(timeoutMs, late)
      socket.once('connect', () => end(resolve))
      socket.once('error', (error) => end(() => reject(error)))
      for (const signal of signals) signal.addEventListener('abort', cancel)
    })
    // Node asks no lookup for a host that is an address.
    const address = socket.remoteAddress
    if (address === undefined || !reach.allows(address))
      throw reach.refusal(address) ?? Object.assign(new Error('closed at once'), { code: 'ECONNRESET' })
  } catch (thrown) {
    socket.on('error', () => {}).destroy()
    tell(isIntegrationError(thrown) ? thrown.code : 'unavailable')
    if (isIntegrationError(thrown)) throw thrown
    const { code, errors } = thrown as { code?: unknown; errors?: readonly { code?: unknown }[] }
    const cause = [code, ...(errors ?? []).map((each) => each.code)].find((each) => typeof each === 'string')
    throw integrationError('unavailable', {
      partner,
      what: `${place} cannot be reached${cause === undefined ? '' : ` (${cause})`}`,
      next: 'See whether the host and the port are right and the server runs',
      details: cause === undefined ? {} : { cause },
    })
  }
  tell()
  const { minVersion = 'TLSv1.3', ca } = runtime.tls ?? {}
  return { socket, tls: { minVersion, ...(ca !== undefined && { ca }) } }
}
