import { mkdir } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { integrationError } from '@ecokit/contracts'
import type { AnyConnection, AnyConnector } from '@ecokit/contracts'
import { recoverRuns, sync } from '@ecokit/flow'
import type { Progress, RunResult, Trigger } from '@ecokit/flow'
import { openHealthMonitor } from '@ecokit/health'
import type { HealthMonitor } from '@ecokit/health'
import { loadEcosystem, openRegistry } from '@ecokit/registry'
import type { Ecosystem, Registry } from '@ecokit/registry'
import { openStore } from '@ecokit/store'
import type { Store } from '@ecokit/store'

/** How one run of a pipeline is wanted, and who is told of it. */
export interface SyncRequest {
  /** Reads everything, whatever the checkpoints say. */
  readonly full?: boolean | undefined
  readonly trigger?: Trigger | undefined
  readonly signal?: AbortSignal | undefined
  readonly onStart?: ((run: { readonly id: string }) => void) | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** An `ecosystem.yaml` with everything behind it: what the server and the command line share. */
export interface EcosystemRuntime {
  readonly ecosystem: Ecosystem
  readonly connectors: readonly AnyConnector[]
  readonly store: Store
  readonly registry: Registry
  readonly health: HealthMonitor
  /** Opens a connection of its own, which the caller closes. */
  connect(partner: string): Promise<AnyConnection>
  /** Runs a pipeline to its end; throws `not_found` for a name that the file does not have, `conflict` while it runs already. */
  sync(pipeline: string, request?: SyncRequest): Promise<RunResult>
  /** Marks runs as failed whose process is gone; gives their ids. */
  readonly recover: () => Promise<readonly string[]>
  close(): Promise<void>
}

export interface OpenEcosystem {
  /** The path of `ecosystem.yaml` or `.json`. */
  readonly file: string
  readonly connectors: readonly AnyConnector[]
  /** Default: `.ecokit` beside the file. */
  readonly stateFolder?: string
  /** Where `${env:NAME}` is looked up. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Told of faults of the health checks that have no caller, such as a full disk. */
  readonly onError?: (error: unknown) => void
}

/** The state folder of an `ecosystem.yaml`: `.ecokit` beside it, and a folder of its own in there for a file of another name. */
export const stateFolderOf = (file: string): string => {
  const folder = join(dirname(resolve(file)), '.ecokit')
  const name = basename(file, extname(file))
  return name === 'ecosystem' ? folder : join(folder, `of-${name}`)
}

const makeStateFolder = async (folder: string): Promise<void> => {
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

/** What a partner's data comes from: the parts of its config that name its hosts, or all of it where there are none. */
const originOf = ({ manifest }: AnyConnection, config: unknown): string => {
  const fields = (config ?? {}) as Readonly<Record<string, unknown>>
  const hosts = manifest.hosts.map((host) => host.replaceAll(/\{(\w+)\}/g, (_, field: string) => String(fields[field])))
  return `${manifest.id} ${hosts.length === 0 ? JSON.stringify(fields) : hosts.join(' ')}`
}

const unknownPipeline = (name: string, { pipelines, filename }: Ecosystem) =>
  integrationError('not_found', {
    what: `there is no pipeline ${name} in ${filename}`,
    next: pipelines.length === 0 ? 'Add one' : `Choose from: ${pipelines.map((pipeline) => pipeline.name).join(', ')}`,
    details: {},
  })

/** Reads the file and opens the store, the registry and the health monitor over it; nothing runs by itself. Throws `invalid_config` for a file that is wrong. */
export const openEcosystem = async (options: OpenEcosystem): Promise<EcosystemRuntime> => {
  const { file, connectors, stateFolder = stateFolderOf(file), env = process.env } = options
  const ecosystem = await loadEcosystem(file, connectors)
  await makeStateFolder(stateFolder)
  const store = await openStore(join(stateFolder, 'state.db'))
  try {
    const registry = await openRegistry({ store, connectors, ecosystem, env })
    const health = openHealthMonitor({
      store,
      partners: () => registry.checks(),
      connect: (name) => registry.connect(name),
      ...(options.onError === undefined ? {} : { onError: options.onError }),
    })
    const lineage = { file: resolve(dirname(file), ecosystem.lineage.file) }
    return {
      ecosystem,
      connectors,
      store,
      registry,
      health,
      connect: (partner) => registry.connect(partner),
      sync: async (name, request = {}) => {
        const entry = ecosystem.pipelines.find((pipeline) => pipeline.name === name)
        if (entry === undefined) throw unknownPipeline(name, ecosystem)
        let requests = 0
        const source = await registry.connect(entry.source, { observe: () => void (requests += 1) })
        try {
          const sink = await registry.connect(entry.sink)
          try {
            const { sinkName, streams, reconcileEveryMs } = entry
            const partner = await registry.get(entry.source)
            const origin = originOf(source, partner.config)
            const pipeline = {
              name,
              source,
              origin,
              sink,
              sinkName,
              streams,
              reconcileEveryMs,
              requests: () => requests,
            }
            return await sync({ ...request, pipeline, store, lineage, namespace: ecosystem.lineage.namespace })
          } finally {
            await sink.close()
          }
        } finally {
          await source.close()
        }
      },
      recover: () => recoverRuns(store, { lineage, namespace: ecosystem.lineage.namespace }),
      close: async () => {
        await health.close()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

export { bytesOf, readRecords } from './records.ts'
export { connectorView } from './views.ts'
export type { ConnectorView } from './views.ts'
