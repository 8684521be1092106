import { integrationError } from '@ecokit/contracts'
import type { AnyConnection } from '@ecokit/contracts'
import { acceptChanges, recoverRuns, sync } from '@ecokit/flow'
import type { LineageTarget, PipelineStream, Progress, RunResult, Trigger } from '@ecokit/flow'
import type { Ecosystem, PipelineEntry, Registry } from '@ecokit/registry'
import type { Store } from '@ecokit/store'
import type { Access, Safe } from './safe.ts'

/** How one run of a pipeline is wanted, and who is told of it. */
export interface SyncRequest {
  /** Reads everything, whatever the checkpoints say. */
  readonly full?: boolean | undefined
  /** Only these streams. Default: all of the pipeline. */
  readonly streams?: readonly string[] | undefined
  /** Reads this window of the cursor again and leaves the checkpoints as they are; `since` inclusive, `until` exclusive. */
  readonly backfill?: { readonly since?: string | undefined; readonly until?: string | undefined } | undefined
  readonly trigger?: Trigger | undefined
  readonly signal?: AbortSignal | undefined
  /** Who asked for it, where it is not whoever opened this. */
  readonly by?: Access | undefined
  readonly onStart?: ((run: { readonly id: string }) => void) | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** The pipelines of an ecosystem, ready to run. */
export interface Pipelines {
  /** Runs a pipeline to its end; throws `not_found` for a name that the file does not have, `conflict` while it runs already. */
  sync(pipeline: string, request?: SyncRequest): Promise<RunResult>
  /** Lets streams go on that wait because their schema has changed; all of them where none is named. Gives how many there were. */
  accept(pipeline: string, stream?: string, by?: Access): Promise<number>
  /** Marks runs as failed whose process is gone; gives their ids. */
  readonly recover: () => Promise<readonly string[]>
}

export interface PipelinesOptions {
  readonly ecosystem: Ecosystem
  readonly store: Store
  readonly registry: Pick<Registry, 'get'>
  readonly safe: Safe
  readonly access: Access
  readonly lineage: LineageTarget
  readonly connect: (partner: string, observe?: () => void) => Promise<AnyConnection>
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

/** The entry of this name; throws `not_found` with those that there are. */
export const findPipeline = (ecosystem: Ecosystem, name: string): PipelineEntry => {
  const entry = ecosystem.pipelines.find((pipeline) => pipeline.name === name)
  if (entry === undefined) throw unknownPipeline(name, ecosystem)
  return entry
}

/** The streams that are wanted this time; where the file names none, the engine knows which there are. */
const choose = (
  { name, streams }: PipelineEntry,
  wanted: readonly string[] | undefined,
): readonly (string | PipelineStream)[] | undefined => {
  if (wanted === undefined || wanted.length === 0) return streams
  if (streams === undefined) return [...new Set(wanted)]
  const missing = wanted.find((one) => !streams.some(({ stream }) => stream === one))
  if (missing !== undefined)
    throw integrationError('invalid_input', {
      what: `pipeline ${name} has no stream ${missing}`,
      next: `Choose from: ${streams.map(({ stream }) => stream).join(', ')}`,
      details: { field: 'streams' },
    })
  return streams.filter(({ stream }) => wanted.includes(stream))
}

/** Opens the pipelines; nothing runs by itself. */
export const openPipelines = (options: PipelinesOptions): Pipelines => {
  const { ecosystem, store, registry, safe, access, lineage, connect } = options
  const { namespace } = ecosystem.lineage
  return {
    sync: async (name, request = {}) => {
      const entry = findPipeline(ecosystem, name)
      const { by, streams: wanted, backfill, ...about } = request
      const chosen = choose(entry, wanted)
      const scheduled = request.trigger === 'schedule'
      const log = await safe.audit()
      await log.append({
        ...(by ?? (scheduled ? { actor: 'schedule', reason: 'its time has come' } : access)),
        action: backfill === undefined ? 'pipeline.sync' : 'pipeline.backfill',
        target: `pipeline/${name}`,
        outcome: 'allowed',
        details: { full: request.full ?? false, ...backfill, ...(wanted === undefined ? {} : { streams: wanted }) },
      })
      let requests = 0
      const source = await connect(entry.source, () => void (requests += 1))
      try {
        const sink = await connect(entry.sink)
        try {
          const { sinkName, reconcileEveryMs, parallel, contract, commitBytes } = entry
          const partner = await registry.get(entry.source)
          const pipeline = {
            ...{ name, source, sink, sinkName, reconcileEveryMs, parallel, contract },
            streams: backfill === undefined ? chosen : entry.streams,
            origin: originOf(source, partner.config),
            requests: () => requests,
          }
          const window = backfill && { ...backfill, streams: wanted }
          return await sync({ ...about, backfill: window, pipeline, store, lineage, namespace, commitBytes })
        } finally {
          await sink.close()
        }
      } finally {
        await source.close()
      }
    },
    accept: (name, stream, by) => {
      findPipeline(ecosystem, name)
      const details = stream === undefined ? {} : { stream }
      const act = {
        action: 'contract.accept',
        target: `pipeline/${name}`,
        details,
        ...(by === undefined ? {} : { by }),
      }
      return safe.recorded(act, () => acceptChanges(store, name, stream))
    },
    recover: () => recoverRuns(store, { lineage, namespace }),
  }
}
