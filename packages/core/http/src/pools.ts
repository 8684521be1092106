import type { Dispatcher } from 'undici'
import type { Certificate } from '@ecokit/contracts'
import type { Host } from './hosts.ts'
import { proxyFor } from './proxy.ts'
import type { Transport, TransportSettings } from './transport.ts'
import type { Wire } from './wire.ts'

/** Tells certificates apart, whether they are the same object or not. */
const numbering = (): ((certificate: Certificate | undefined) => number) => {
  const seen = new WeakMap<Certificate, number>()
  const texts = new Map<string, number>()
  return (certificate) => {
    if (certificate === undefined) return 0
    const known = seen.get(certificate)
    if (known !== undefined) return known
    const text = `${certificate.cert}\n${certificate.key}`
    const number = texts.get(text) ?? texts.size + 1
    texts.set(text, number)
    seen.set(certificate, number)
    return number
  }
}

/** The pools of one connection: one for each origin, and for each certificate that is shown there. */
export const openPools = (
  partner: string,
  hosts: readonly Host[],
  settings: TransportSettings,
): { readonly get: Wire['dispatcher']; readonly close: () => Promise<void> } => {
  const { runtime } = settings
  const numberOf = numbering()
  const opening = new Map<string, Promise<Transport>>()
  const open = new Map<string, Dispatcher>()
  const make = async (key: string, origin: string, certificate: Certificate | undefined): Promise<Transport> => {
    const { openTransport, reachOf } = await import('./transport.ts')
    const reach = reachOf(partner, origin, hosts, runtime.privateNetworks)
    const transport = openTransport(origin, reach, certificate, proxyFor(partner, origin, runtime), settings)
    open.set(key, transport.dispatcher)
    return transport
  }
  // A dispatcher of the host's own has its own sockets; what the name of the origin says is checked all the same.
  const given = async (dispatcher: Dispatcher, key: string, origin: string): Promise<Dispatcher> => {
    const { reachOf } = await import('./transport.ts')
    const refusal = reachOf(partner, origin, hosts, runtime.privateNetworks).refusal()
    if (refusal !== undefined) throw refusal
    open.set(key, dispatcher)
    return dispatcher
  }
  return {
    get: (origin, certificate) => {
      const number = numberOf(certificate)
      const key = number === 0 ? origin : `${origin} ${number}`
      const ready = open.get(key)
      if (ready !== undefined) return ready
      if (runtime.dispatcher !== undefined) return given(runtime.dispatcher, key, origin)
      const coming = opening.get(key) ?? make(key, origin, certificate)
      opening.set(key, coming)
      return coming.then(({ dispatcher }) => dispatcher)
    },
    close: async () => {
      for (const each of await Promise.allSettled(opening.values()))
        if (each.status === 'fulfilled') await each.value.destroy()
    },
  }
}
