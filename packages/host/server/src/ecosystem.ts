import { mkdir } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { integrationError } from '@ecokit/contracts'
import type { AnyConnection, AnyConnector, CircuitState } from '@ecokit/contracts'
import { openHealthMonitor } from '@ecokit/health'
import type { HealthMonitor } from '@ecokit/health'
import { loadEcosystem, openRegistry } from '@ecokit/registry'
import type { Ecosystem, PartnerInput, PartnerRecord, Registry } from '@ecokit/registry'
import { openStore } from '@ecokit/store'
import type { Store } from '@ecokit/store'
import { openCollector } from './collector.ts'
import { openGuards } from './guards.ts'
import { openPipelines } from './pipelines.ts'
import type { Pipelines } from './pipelines.ts'
import { keyPlace, openSafe } from './safe.ts'
import type { Access, Safe } from './safe.ts'

/** An `ecosystem.yaml` with everything behind it: what the server and the command line share. */
export interface EcosystemRuntime extends Pipelines {
  readonly ecosystem: Ecosystem
  readonly connectors: readonly AnyConnector[]
  readonly store: Store
  readonly registry: Registry
  readonly health: HealthMonitor
  /** The vault and the audit log; both open when they are first needed. */
  readonly safe: Safe
  /** Partners of the API, and the policies of all of them; each change stands in the audit log. */
  readonly partners: {
    register(name: string, input: PartnerInput, by?: Access): Promise<PartnerRecord>
    update(name: string, changes: Partial<PartnerInput>, by?: Access): Promise<PartnerRecord>
    remove(name: string, by?: Access): Promise<void>
  }
  /** Of the calls of this process to a partner; undefined before the first connection. */
  circuit(partner: string): CircuitState | undefined
  /** Called with a partner's name when its circuit or its policy changes. Gives the function that ends it. */
  onGuard(callback: (partner: string) => void): () => void
  /** Opens a connection of its own, which the caller closes. */
  connect(partner: string): Promise<AnyConnection>
  close(): Promise<void>
}

export interface OpenEcosystem {
  /** The path of `ecosystem.yaml` or `.json`. */
  readonly file: string
  readonly connectors: readonly AnyConnector[]
  /** Default: `.ecokit` beside the file. */
  readonly stateFolder?: string
  /** Where `${env:NAME}`, and the vault's key, are looked up. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Told of faults of the health checks that have no caller, such as a full disk. */
  readonly onError?: (error: unknown) => void
  /** Who uses this, and why, for the audit log. Default: `openEcosystem`. */
  readonly access?: Access
}

/** The state folder of an `ecosystem.yaml`: `.ecokit` beside it, and a folder of its own in there for a file of another name. */
export const stateFolderOf = (file: string): string => {
  const folder = join(dirname(resolve(file)), '.ecokit')
  const name = basename(file, extname(file))
  return name === 'ecosystem' ? folder : join(folder, `of-${name}`)
}

/** Makes the folder, for its owner only. */
export const makeStateFolder = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw integrationError('invalid_config', {
      what: `the state folder ${folder} cannot be made (${code})`,
      next: 'Give this user the right to write there, or move the file to a folder of yours',
      details: { field: '' },
    })
  }
}

/** Reads the file and opens the store, the registry and the health monitor over it; nothing runs by itself. Throws `invalid_config` for a file that is wrong. */
export const openEcosystem = async (options: OpenEcosystem): Promise<EcosystemRuntime> => {
  const { file, connectors, stateFolder = stateFolderOf(file), env = process.env } = options
  const ecosystem = await loadEcosystem(file, connectors)
  await makeStateFolder(stateFolder)
  const store = await openStore(join(stateFolder, 'state.db'))
  const access = options.access ?? { actor: 'openEcosystem', reason: 'a program opened the ecosystem' }
  // The collector of lineage is no partner, and has a secret as one has.
  const names = async () => ['lineage', ...((await registry?.list())?.map(({ name }) => name) ?? [])]
  const safe = openSafe({ store, stateFolder, env, access, purpose: 'use', partners: names })
  let registry: Registry | undefined
  try {
    const known = await openRegistry({
      store,
      connectors,
      ecosystem,
      env,
      folder: dirname(resolve(file)),
      secrets: async (partner, name) => (await safe.vault()).get({ partner, name }, access),
    })
    registry = known
    const guards = openGuards(known, connectors, safe.shared)
    const connect = async (name: string, observe?: () => void): Promise<AnyConnection> =>
      known.connect(name, {
        guard: await guards.of(name),
        shared: safe.shared,
        tokens: safe.tokens,
        ...(observe === undefined ? {} : { observe }),
      })
    const health = openHealthMonitor({
      store,
      partners: () => known.checks(),
      connect,
      ...(options.onError === undefined ? {} : { onError: options.onError }),
    })
    const { url } = ecosystem.lineage
    const collector = url === undefined ? undefined : openCollector(url, known, safe.shared)
    const lineage = { file: resolve(dirname(file), ecosystem.lineage.file), send: collector?.send }
    const pipelines = openPipelines({ ecosystem, store, registry: known, safe, access, lineage, connect })
    const changed = <T>(action: string, name: string, by: Access | undefined, fields: object, work: () => Promise<T>) =>
      safe.recorded(
        {
          action,
          target: `partner/${name}`,
          details: { fields: Object.keys(fields) },
          ...(by === undefined ? {} : { by }),
        },
        work,
      )
    return {
      ecosystem,
      connectors,
      store,
      registry: known,
      health,
      safe,
      partners: {
        register: (name, input, by) => changed('partner.add', name, by, input, () => known.register(name, input)),
        update: (name, changes, by) =>
          changed('partner.change', name, by, changes, async () => {
            const record = await known.update(name, changes)
            if (changes.policy !== undefined) await guards.renew(name)
            return record
          }),
        remove: (name, by) =>
          changed('partner.remove', name, by, {}, async () => {
            await known.remove(name)
            guards.forget(name)
          }),
      },
      circuit: (partner) => guards.circuit(partner),
      onGuard: (callback) => guards.onChange(callback),
      connect: (partner) => connect(partner),
      ...pipelines,
      close: async () => {
        await health.close()
        await collector?.close()
        await safe.close()
        await store.close()
      },
    }
  } catch (error) {
    await safe.close()
    await store.close()
    throw error
  }
}

/** The vault and the audit log of an `ecosystem.yaml`, whose own content is not read: it may be wrong, or hold the secret that is to be moved. */
export const openVaultOf = async (options: {
  readonly file: string
  readonly access: Access
  readonly env?: Readonly<Record<string, string | undefined>>
}): Promise<Safe> => {
  const { file, access, env = process.env } = options
  const stateFolder = stateFolderOf(file)
  await makeStateFolder(stateFolder)
  const store = await openStore(join(stateFolder, 'state.db'))
  const safe = openSafe({ store, stateFolder, env, access, purpose: 'manage' })
  return {
    ...safe,
    close: async () => {
      await safe.close()
      await store.close()
    },
  }
}

/** Makes the vault's key in the state folder, readable by its owner only, where none is there and none comes from the environment. */
export const makeVaultKey = async (
  file: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<{ readonly kind: 'environment' | 'mounted' | 'file'; readonly where: string; readonly made: boolean }> => {
  const stateFolder = stateFolderOf(file)
  const { kind, where, there } = keyPlace(stateFolder, env)
  if (!there) {
    await makeStateFolder(stateFolder)
    const { makeKeyFile } = await import('@ecokit/vault')
    await makeKeyFile(where)
  }
  return { kind, where, made: !there }
}

export type { Pipelines, SyncRequest } from './pipelines.ts'
export { catalogOf } from './catalog.ts'
export { schedulesOf } from './schedules.ts'
export type { ScheduleView } from './schedules.ts'
export type { StreamView } from './schemas.ts'
export { bytesOf, readRecords } from './records.ts'
export { verifyExport } from '@ecokit/audit'
export { keyPlace } from './safe.ts'
export type { Access, Act, Safe } from './safe.ts'
export { connectorView } from './views.ts'
export type { ConnectorView } from './views.ts'
