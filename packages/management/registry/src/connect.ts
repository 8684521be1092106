import { connectUnknown } from '@ecokit/connect'
import type { Runtime } from '@ecokit/connect'
import { integrationError } from '@ecokit/contracts'
import type { AnyConnection, AnyConnector } from '@ecokit/contracts'
import type { Row } from '@ecokit/store'
import { checkAllowedHosts } from './allowed-hosts.ts'
import { findConnector } from './check-partner.ts'
import type { Ecosystem, PartnerEntry } from './ecosystem.ts'
import { networkRuntime } from './network-runtime.ts'
import { lineageCollector } from './lineage-collector.ts'
import { resolveCredentials, resolveLineage, resolveNamed } from './resolve.ts'
import type { ValueSources } from './resolve.ts'
import { listOf, quote } from './suggest.ts'

interface Around {
  /** The partner's entry where the file has it: only the file says where secrets are and how the network is used. */
  readonly own: PartnerEntry | undefined
  readonly connectors: readonly AnyConnector[]
  readonly ecosystem: Ecosystem | undefined
  readonly sources: ValueSources
}

/** Opens a connection to the partner of a row, with credentials and `network` of the file; what `runtime` says wins. */
export const connectPartner = async (
  row: Row<'partners'>,
  { own, connectors, ecosystem, sources }: Around,
  runtime: Runtime | undefined,
): Promise<AnyConnection> => {
  const { name } = row
  const connector = findConnector(connectors, row.connector)
  if (connector === undefined)
    throw integrationError('unsupported', {
      partner: name,
      what: `its connector ${quote(row.connector)} is not installed`,
      next: `Install it, or register the partner with one of: ${listOf(connectors.map(({ manifest }) => manifest.id))}`,
      details: { what: row.connector },
    })
  const config = JSON.parse(row.config) as Record<string, unknown>
  if (own === undefined && row.credentials !== null)
    checkAllowedHosts({ name, connector: row.connector, config, credentials: row.credentials }, connectors, ecosystem)
  const resolve = () =>
    own !== undefined && ecosystem !== undefined
      ? resolveCredentials(ecosystem, name, sources)
      : row.credentials === null
        ? Promise.resolve(undefined)
        : resolveNamed(ecosystem, name, row.credentials, sources)
  const credentials = await resolve()
  const filename = ecosystem?.filename ?? 'ecosystem.yaml'
  const network =
    own?.network === undefined ? {} : await networkRuntime(own.network, { partner: name, filename }, sources)
  const as = { name, config, ...(credentials === undefined ? {} : { credentials }) }
  return connectUnknown(connector, as, {
    checkTimeoutMs: row.check_timeout_ms,
    renewCredentials: resolve,
    ...network,
    ...runtime,
  })
}

/** Opens the way to the collector that the file's `lineage.url` names; undefined where it names none. */
export const connectCollector = async (
  ecosystem: Ecosystem | undefined,
  sources: ValueSources,
  runtime: Runtime | undefined,
): Promise<AnyConnection | undefined> => {
  const url = ecosystem?.lineage.url
  if (ecosystem === undefined || url === undefined) return undefined
  const resolve = () => resolveLineage(ecosystem, sources)
  const credentials = await resolve()
  const as = { name: 'lineage', config: { url }, ...(credentials === undefined ? {} : { credentials }) }
  return connectUnknown(lineageCollector, as, { renewCredentials: resolve, ...runtime })
}
