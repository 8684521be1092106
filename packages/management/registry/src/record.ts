import type { AnyConnector, Policy } from '@ecokit/contracts'
import type { NewRow, Row } from '@ecokit/store'
import { findConnector } from './check-partner.ts'
import type { CredentialsReference, Ecosystem, PartnerEntry } from './ecosystem.ts'
import { tiers } from './shape.ts'

/** A partner as the registry lists it. It holds no secret: credentials appear by name only. */
export interface PartnerRecord extends Omit<PartnerEntry, 'credentials' | 'network'> {
  /** The connector's title; its id where it is not installed. */
  readonly title: string
  /** The name of an entry of the file's `credentials`; absent where the partner has none or has its own in the file. */
  readonly credentials?: string
  /** The auth scheme that is used; absent where there is none. */
  readonly scheme?: string
  /** Who wrote it: the file (it can be changed there only) or the API. */
  readonly origin: 'file' | 'api'
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601. */
  readonly updatedAt: string
}

/** The entry as a row without its times. */
export const toColumns = (entry: PartnerEntry, origin: 'file' | 'api') =>
  ({
    name: entry.name,
    connector: entry.connector,
    config: JSON.stringify(entry.config),
    credentials: typeof entry.credentials === 'string' ? entry.credentials : null,
    tier: entry.tier,
    owner: entry.owner ?? null,
    tags: JSON.stringify(entry.tags),
    contract_start: entry.contract.start ?? null,
    contract_end: entry.contract.end ?? null,
    check_every_ms: entry.check.everyMs,
    check_timeout_ms: entry.check.timeoutMs,
    policy: entry.policy === undefined ? null : JSON.stringify(entry.policy),
    origin,
  }) satisfies Partial<NewRow<'partners'>>

/** The references of a file, by the name of the partner that owns them and by their own name. */
export interface References {
  readonly own: ReadonlyMap<string, CredentialsReference>
  readonly named: ReadonlyMap<string, CredentialsReference>
}
export const referencesOf = (ecosystem: Ecosystem | undefined): References => ({
  own: new Map(
    ecosystem?.partners.flatMap(({ name, credentials }) =>
      typeof credentials === 'object' ? [[name, credentials] as const] : [],
    ),
  ),
  named: new Map(ecosystem?.credentials.map(({ name, reference }) => [name, reference])),
})

/** The reference that a partner logs in with: its own in the file, or the named one. */
export const referenceOf = (row: Row<'partners'>, { own, named }: References): CredentialsReference | undefined =>
  (row.origin === 'file' ? own.get(row.name) : undefined) ??
  (row.credentials === null ? undefined : named.get(row.credentials))

export const toRecord = (
  row: Row<'partners'>,
  connectors: readonly AnyConnector[],
  references: References,
  policy: Policy | undefined,
): PartnerRecord => {
  const scheme = referenceOf(row, references)?.scheme
  return {
    name: row.name,
    connector: row.connector,
    title: findConnector(connectors, row.connector)?.manifest.title ?? row.connector,
    config: JSON.parse(row.config) as Record<string, unknown>,
    ...(row.credentials === null ? {} : { credentials: row.credentials }),
    ...(scheme === undefined ? {} : { scheme }),
    tier: tiers.find((tier) => tier === row.tier) ?? 'community',
    ...(row.owner === null ? {} : { owner: row.owner }),
    tags: JSON.parse(row.tags) as string[],
    contract: {
      ...(row.contract_start === null ? {} : { start: row.contract_start }),
      ...(row.contract_end === null ? {} : { end: row.contract_end }),
    },
    check: { everyMs: row.check_every_ms, timeoutMs: row.check_timeout_ms },
    ...(policy === undefined ? {} : { policy }),
    origin: row.origin,
    createdAt: new Date(row.created_at).toISOString(),
    updatedAt: new Date(row.updated_at).toISOString(),
  }
}
