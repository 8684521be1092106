import type { Runtime } from '@ecokit/connect'
import { integrationError } from '@ecokit/contracts'
import type { AnyConnection, AnyConnector, Policy } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import { findConnector } from './check-partner.ts'
import { checkAllowedHosts } from './allowed-hosts.ts'
import { connectCollector, connectPartner } from './connect.ts'
import type { Ecosystem, PartnerEntry } from './ecosystem.ts'
import { removePartners, syncPartners } from './follow-file.ts'
import type { FileChanges } from './follow-file.ts'
import { judgeChange, judgeNew, judgePolicy } from './input.ts'
import type { PartnerInput } from './input.ts'
import { referenceOf, referencesOf, toColumns, toRecord } from './record.ts'
import type { PartnerRecord } from './record.ts'
import type { ValueSources } from './resolve.ts'
import type { Tier } from './shape.ts'
import { listOf, nearest, quote } from './suggest.ts'

export interface RegistryOptions {
  readonly store: Store
  /** The installed connectors. */
  readonly connectors: readonly AnyConnector[]
  /** The checked file; its partners are written into the store. Absent: only what the API registered, and no credentials. */
  readonly ecosystem?: Ecosystem | undefined
  /** Where `${env:NAME}` is looked up. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** What the paths of `${file:path}` are relative to: the folder of the file. Default: the working folder. */
  readonly folder?: string | undefined
  /** Gives what `${secret:name}` stands for; throws what names the secret where there is none. Absent: such references are refused. */
  readonly secrets?: ValueSources['secrets'] | undefined
  /** Epoch milliseconds; default the machine's clock. */
  readonly now?: () => number
}

/** What partners are looked for by; all that is given must fit. */
export interface PartnerFilter {
  /** A capability's id (`mlops.runs`) or its key on the connection (`runs`). */
  readonly capability?: string
  readonly tier?: Tier
  /** A template's name (`mlops`): the first part of a capability's id. */
  readonly template?: string
  readonly tag?: string
}

export interface RegistrySummary {
  readonly total: number
  readonly byTier: Readonly<Record<string, number>>
  readonly byConnector: Readonly<Record<string, number>>
  readonly byOrigin: Readonly<Record<string, number>>
}

/** Who the partners are and how they are reached. Everything is read from the store, so that several processes agree. */
export interface Registry {
  /** Makes the store follow the file; throws `conflict`, and changes nothing, when a name is taken by a partner of the API. */
  syncFile(ecosystem: Ecosystem): Promise<FileChanges>
  /** Throws `invalid_config` naming the field, `conflict` when the name is taken. */
  register(name: string, input: PartnerInput): Promise<PartnerRecord>
  /** Changes the fields that are given; throws `invalid_config`, `not_found`, or `conflict` for a partner of the file, of which only `policy` can be changed, and only until the file is read again. */
  update(name: string, changes: Partial<PartnerInput>): Promise<PartnerRecord>
  /** Removes the partner with its health history; throws `not_found`, or `conflict` for a partner of the file. */
  remove(name: string): Promise<void>
  /** Throws `not_found` with the nearest name. */
  get(name: string): Promise<PartnerRecord>
  /** By name. */
  list(): Promise<readonly PartnerRecord[]>
  find(filter: PartnerFilter): Promise<readonly PartnerRecord[]>
  /** Partners whose contract ends within so many days or has ended, the nearest end first; `daysLeft` is negative after the end. */
  expiring(days: number): Promise<readonly (PartnerRecord & { readonly daysLeft: number })[]>
  /** Opens a connection; throws `not_found`, `unsupported` (no such connector here), `invalid_config` or `invalid_credentials`. */
  connect(name: string, runtime?: Runtime): Promise<AnyConnection>
  /** Opens the way to the collector that the file's `lineage.url` names, whose base URL is the manifest's host; undefined where it names none. */
  connectLineage(runtime?: Runtime): Promise<AnyConnection | undefined>
  /** What the health monitor watches: `revision` changes with everything that a connection is made of. */
  checks(): Promise<
    readonly {
      readonly name: string
      readonly everyMs: number
      readonly timeoutMs: number
      readonly revision: string
    }[]
  >
  summary(): Promise<RegistrySummary>
}

const day = 86_400_000
const isOwn = (name: string, ecosystem: Ecosystem | undefined) =>
  integrationError('conflict', {
    partner: name,
    what: `this partner stands in ${ecosystem?.filename ?? 'ecosystem.yaml'}`,
    next: 'Change it there; the API changes only partners that it registered',
    details: {},
  })

const unknownPartner = (name: string, names: readonly string[]) => {
  const meant = nearest(name, names)
  const there = names.length === 0 ? 'There are no partners yet' : `Partners: ${listOf(names)}`
  return integrationError('not_found', {
    what: `there is no partner ${quote(name)}`,
    next: meant === undefined ? there : `Did you mean ${quote(meant)}?`,
    details: {},
  })
}

const count = (words: readonly string[]): Readonly<Record<string, number>> => {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return Object.fromEntries(counts)
}

/** Opens the registry over a store and makes it follow the file. */
export const openRegistry = async (options: RegistryOptions): Promise<Registry> => {
  const { store, connectors, env = process.env, now = Date.now } = options
  const sources: ValueSources = {
    env,
    ...(options.folder === undefined ? {} : { folder: options.folder }),
    ...(options.secrets === undefined ? {} : { secrets: options.secrets }),
  }
  let ecosystem = options.ecosystem
  let references = referencesOf(ecosystem)
  /** Policies of the file's partners that were changed since it was read. */
  const changedPolicies = new Map<string, Policy>()
  const surroundings = () => ({ connectors, credentials: references.named })
  const ownEntry = ({ name, origin }: Row<'partners'>) =>
    origin === 'file' ? ecosystem?.partners.find((partner) => partner.name === name) : undefined
  const policyOf = (row: Row<'partners'>): Policy | undefined =>
    row.origin === 'api'
      ? row.policy === null
        ? undefined
        : (JSON.parse(row.policy) as Policy)
      : (changedPolicies.get(row.name) ?? ownEntry(row)?.policy)
  const record = (row: Row<'partners'>): PartnerRecord => toRecord(row, connectors, references, policyOf(row))
  const rows = () => store.db.selectFrom('partners').selectAll().orderBy('name').execute()

  const find = async (name: string): Promise<Row<'partners'>> => {
    const row = await store.db.selectFrom('partners').selectAll().where('name', '=', name).executeTakeFirst()
    if (row !== undefined) return row
    throw unknownPartner(
      name,
      (await rows()).map((other) => other.name),
    )
  }
  /** A partner of the API uses a named reference only where the file lets it. */
  const allowed = (entry: PartnerEntry): PartnerEntry => {
    checkAllowedHosts(entry, connectors, ecosystem)
    return entry
  }
  const save = async (entry: PartnerEntry, fresh: boolean): Promise<PartnerRecord> => {
    const at = now()
    const columns = toColumns(entry, 'api')
    if (fresh) {
      const added = await store.db
        .insertInto('partners')
        .values({ ...columns, created_at: at, updated_at: at })
        .onConflict((conflict) => conflict.column('name').doNothing())
        .returning('name')
        .executeTakeFirst()
      if (added === undefined)
        throw integrationError('conflict', {
          partner: entry.name,
          what: 'a partner of this name exists already',
          next: 'Choose another name, or update that one',
          details: {},
        })
    } else
      await store.db
        .updateTable('partners')
        .set({ ...columns, updated_at: at })
        .where('name', '=', entry.name)
        .where('origin', '=', 'api')
        .execute()
    return record(await find(entry.name))
  }

  const registry: Registry = {
    syncFile: async (next) => {
      const changes = await syncPartners(store, next, now())
      ecosystem = next
      references = referencesOf(next)
      changedPolicies.clear()
      return changes
    },
    register: async (name, input) => {
      if (ecosystem?.partners.some((partner) => partner.name === name)) throw isOwn(name, ecosystem)
      return save(allowed(judgeNew(name, input, surroundings())), true)
    },
    update: async (name, changes) => {
      const row = await find(name)
      if (row.origin === 'api') return save(allowed(judgeChange(record(row), changes, surroundings())), false)
      if (Object.keys(changes).join() !== 'policy') throw isOwn(name, ecosystem)
      changedPolicies.set(name, judgePolicy(name, policyOf(row), changes.policy))
      return record(row)
    },
    remove: async (name) => {
      const row = await find(name)
      if (row.origin === 'file') throw isOwn(name, ecosystem)
      await store.db.transaction().execute((transaction) => removePartners(transaction, [name]))
    },
    get: async (name) => record(await find(name)),
    list: async () => (await rows()).map(record),
    find: async ({ capability, tier, template, tag }) =>
      (await registry.list()).filter((partner) => {
        const provided = Object.entries(findConnector(connectors, partner.connector)?.manifest.provides ?? {})
        return (
          (capability === undefined || provided.some(([key, { id }]) => key === capability || id === capability)) &&
          (template === undefined || provided.some(([, { id }]) => id.startsWith(`${template}.`))) &&
          (tier === undefined || partner.tier === tier) &&
          (tag === undefined || partner.tags.includes(tag))
        )
      }),
    expiring: async (days) => {
      const today = Math.floor(now() / day)
      return (await registry.list())
        .flatMap((partner) => {
          const { end } = partner.contract
          const daysLeft = end === undefined ? Infinity : Date.parse(end) / day - today
          return daysLeft <= days ? [{ ...partner, daysLeft }] : []
        })
        .sort((left, right) => left.daysLeft - right.daysLeft)
    },
    connect: async (name, runtime) => {
      const row = await find(name)
      return connectPartner(row, { own: ownEntry(row), connectors, ecosystem, sources }, runtime)
    },
    connectLineage: (runtime) => connectCollector(ecosystem, sources, runtime),
    checks: async () =>
      (await rows()).map((row) => ({
        name: row.name,
        everyMs: row.check_every_ms,
        timeoutMs: row.check_timeout_ms,
        revision: JSON.stringify([
          ...[row.connector, row.config, row.check_timeout_ms],
          ...[referenceOf(row, references), ownEntry(row)?.network],
        ]),
      })),
    summary: async () => {
      const partners = await registry.list()
      return {
        total: partners.length,
        byTier: count(partners.map(({ tier }) => tier)),
        byConnector: count(partners.map(({ connector }) => connector)),
        byOrigin: count(partners.map(({ origin }) => origin)),
      }
    },
  }
  if (ecosystem !== undefined) await registry.syncFile(ecosystem)
  return registry
}
