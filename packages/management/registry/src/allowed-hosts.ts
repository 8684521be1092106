import { integrationError } from '@ecokit/contracts'
import type { AnyConnector } from '@ecokit/contracts'
import { resolveHosts } from '@ecokit/http'
import { findConnector } from './check-partner.ts'
import type { Ecosystem, PartnerEntry } from './ecosystem.ts'
import { listOf, quote } from './suggest.ts'

type Sender = Pick<PartnerEntry, 'name' | 'connector' | 'config' | 'credentials'>

/** Every place that a partner's credentials may go to: the connector's hosts, and those that its tokens come from. */
const destinations = ({ name, config }: Sender, { manifest }: AnyConnector, scheme: string): readonly string[] => {
  const parsed = manifest.config.safeParse(config)
  const auth = manifest.auth ?? {}
  const own = Object.hasOwn(auth, scheme) ? (auth[scheme]?.hosts ?? []) : []
  const hosts = resolveHosts([...manifest.hosts, ...own], parsed.success ? parsed.data : config, name)
  return [...new Set(hosts.map(({ origin }) => origin))]
}

/** True where an entry of `hosts` names this origin; one without `http://` means https, `*.` stands for any names before it. */
const covers = (entry: string, origin: string): boolean => {
  const full = /^https?:\/\//i.test(entry) ? entry : `https://${entry}`
  const allowed = URL.parse(full.replace('://*.', '://'))
  const wanted = new URL(origin)
  if (allowed?.protocol !== wanted.protocol || allowed.port !== wanted.port) return false
  return full.includes('://*.') ? wanted.hostname.endsWith(`.${allowed.hostname}`) : wanted.host === allowed.host
}

/**
 * Throws `invalid_config` where a partner that the API registers would send named credentials elsewhere than their owner, the file, allows: to the
 * entry's `hosts`, or, without them, to where the file's own partners send it.
 */
export const checkAllowedHosts = (
  partner: Sender,
  connectors: readonly AnyConnector[],
  ecosystem: Ecosystem | undefined,
): void => {
  const named = ecosystem?.credentials.find(({ name }) => name === partner.credentials)
  const connector = findConnector(connectors, partner.connector)
  if (named === undefined || connector === undefined || ecosystem === undefined) return
  const field = `partners.${partner.name}.credentials`
  const { scheme } = named.reference
  if (connector.manifest.auth?.[scheme]?.kind === 'none') return
  const refuse = (why: string, next: string) =>
    integrationError('invalid_config', { what: `${field}: ${why}`, next, details: { field } })
  if (connector.manifest.auth?.[scheme]?.exposed === true)
    throw refuse(
      `scheme ${quote(scheme)} hands the secret to the connector itself, so only partners of ${ecosystem.filename} may use ${quote(named.name)}`,
      `Add the partner to ${ecosystem.filename}`,
    )
  const others = ecosystem.partners.filter(({ credentials }) => credentials === named.name)
  const allowed =
    named.hosts ??
    others.flatMap((other) => {
      const its = findConnector(connectors, other.connector)
      return its === undefined ? [] : destinations(other, its, scheme)
    })
  const foreign = destinations(partner, connector, scheme).find((origin) => !allowed.some((one) => covers(one, origin)))
  if (foreign === undefined) return
  throw refuse(
    `the credentials ${quote(named.name)} may not be sent to ${foreign}; ${allowed.length === 0 ? 'no host is allowed' : `allowed: ${listOf([...new Set(allowed)])}`}`,
    `Whoever owns ${ecosystem.filename} can add it to credentials.${named.name}.hosts`,
  )
}
