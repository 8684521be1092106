import { BlockList, isIP, SocketAddress } from 'node:net'
import { integrationError, type IntegrationError } from '@ecokit/contracts'
import type { Host } from './hosts.ts'
import type { NetworkRuntime } from './types.ts'

/** `special` is what no partner can have: link-local, metadata services, multicast, documentation, reserved, forms that carry another address. */
export type Kind = 'public' | 'loopback' | 'private' | 'special'

const list = (...subnets: readonly string[]): BlockList => {
  const made = new BlockList()
  for (const subnet of subnets) {
    const [address = '', bits] = subnet.split('/')
    made.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4')
  }
  return made
}
// https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry
const loopback = list('127.0.0.0/8', '::1/128')
const own = list('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')
const special4 = list(
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
)
/** Metadata and platform services that stand at addresses that look ordinary: Alibaba; Azure; AWS; Google; Scaleway. */
const services = list('100.100.100.200/32', '168.63.129.16/32', 'fd00:ec2::/32', 'fd20:ce::254/128', 'fd00:42::42/128')
const global6 = list('2000::/3')
/** Of the global ones: protocol assignments with Teredo and ORCHID, documentation, 6to4. */
const special6 = list('2001::/23', '2001:db8::/32', '3fff::/20', '2002::/16')

const kind4 = (address: string): Kind => {
  if (services.check(address) || special4.check(address)) return 'special'
  if (loopback.check(address)) return 'loopback'
  return own.check(address) ? 'private' : 'public'
}
const kind6 = (address: string): Kind => {
  const plain = new SocketAddress({ address, family: 'ipv6' }).address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1]
  if (mapped !== undefined) return kind4(mapped)
  // NAT64 (RFC 6052) is how a network of IPv6 only reaches an IPv4 address, so it is what that address is.
  const [, high, low] = /^64:ff9b::([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain) ?? []
  if (high !== undefined && low !== undefined) {
    const bits = [parseInt(high, 16), parseInt(low, 16)].flatMap((word) => [word >> 8, word & 255])
    const kind = kind4(bits.join('.'))
    return kind === 'public' ? 'public' : 'special'
  }
  if (services.check(plain, 'ipv6')) return 'special'
  if (loopback.check(plain, 'ipv6')) return 'loopback'
  if (own.check(plain, 'ipv6')) return 'private'
  return global6.check(plain, 'ipv6') && !special6.check(plain, 'ipv6') ? 'public' : 'special'
}

/** What an IP address is; `special` for anything that is none, and for one with a zone. */
export const kindOf = (address: string): Kind => {
  const version = isIP(address)
  if (version === 4) return kind4(address)
  return version === 6 && !address.includes('%') ? kind6(address) : 'special'
}

/** Names that clouds give to their metadata service, whatever they resolve to. */
const metadataNames = new Set([
  'metadata',
  'metadata.goog',
  'metadata.google.internal',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
  'metadata.packet.net',
  'metadata.platformequinix.com',
])
/** Top-level names that the public DNS does not delegate, so that no stranger can say what is below them: RFC 6761, 6762 (appendix G), 8375, and ICANN on .internal. */
const localOnly = /(?:^[^.]+|\.(?:internal|intranet|private|corp|home|lan|local|localdomain|svc|home\.arpa|test))$/
const isLocalhost = (name: string): boolean => name === 'localhost' || name.endsWith('.localhost')

/** The host of an origin without brackets and the dot at its end. */
const nameOf = (origin: string): string => new URL(origin).hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')

/** Where the sockets of one origin may lead. */
export interface Reach {
  /** Whether the address is this machine by the origin's own name: it never goes through a proxy. */
  readonly here: boolean
  allows(address: string): boolean
  /** The error for an address that is not allowed; without one, for the origin itself where its name alone decides. */
  refusal(address?: string): IntegrationError | undefined
}

const listed = (names: readonly string[], name: string): boolean =>
  names.some((each) => {
    const wanted = each.toLowerCase().replace(/\.$/, '')
    return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : wanted === name
  })

const kindsFor = (
  name: string,
  named: boolean,
  rule: NonNullable<NetworkRuntime['privateNetworks']>,
): readonly Kind[] => {
  const literal = isIP(name) !== 0
  if (rule === 'refuse') return ['public']
  if (named && literal) {
    // On Linux, 0.0.0.0 and :: lead to this machine.
    if (name === '0.0.0.0' || name === '::') return ['special', 'loopback']
    return [kindOf(name)]
  }
  if (named && isLocalhost(name)) return ['loopback']
  const own = rule === 'allow' || (typeof rule !== 'string' && listed(rule, name)) || (named && localOnly.test(name))
  return own ? ['public', 'private', 'loopback'] : ['public']
}

/** Decides where an origin's sockets may lead: `hosts` are those that the manifest declares, each with who gave its name. */
export const reachOf = (
  partner: string,
  origin: string,
  hosts: readonly Host[],
  rule: NonNullable<NetworkRuntime['privateNetworks']> = 'configured',
): Reach => {
  const name = nameOf(origin)
  const named = hosts.some((host) => host.origin === origin && host.named)
  const kinds = kindsFor(name, named, rule)
  const literal = isIP(name) !== 0
  const allows = (address: string): boolean => kinds.includes(kindOf(address))
  const refuse = (what: string, next: string): IntegrationError =>
    integrationError('host_not_allowed', { partner, what, next, details: { host: new URL(origin).host } })
  return {
    here: isLocalhost(name) || (literal && kindOf(name) === 'loopback'),
    allows,
    refusal: (address = literal ? name : undefined) => {
      if (metadataNames.has(name))
        return refuse(`${origin} is a metadata service of a cloud`, 'Correct the address in the config')
      if (address === undefined || allows(address)) return undefined
      const kind = kindOf(address)
      const leads = address === name ? origin : `${origin} leads to ${address}, which`
      if (kind === 'special')
        return refuse(
          `${leads} is no address of a partner (link-local, metadata or reserved)`,
          'Correct the address in the config, or its entry in the DNS',
        )
      return refuse(
        kind === 'public'
          ? `${leads} is not this machine`
          : `${leads} is an address of ${kind === 'loopback' ? 'this machine' : 'a private network'}`,
        kind === 'public' || rule === 'refuse'
          ? 'Correct the address in the config, or its entry in the DNS'
          : `If that is a server of your own, allow it: privateNetworks: ['${name}'] in the runtime, or network: { privateNetworks: ['${name}'] } of the partner in ecosystem.yaml`,
      )
    },
  }
}
