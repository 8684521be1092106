import { defineConnector, integrationError } from '@ecokit/contracts'
import { z } from 'zod'
import {
  artifacts,
  experiments,
  metrics,
  models,
  runs,
  type Experiment,
  type MetricPoint,
  type ModelVersion,
  type RegisteredModel,
  type Run,
} from '../src/index.ts'
import { bytesOf } from '../src/rules/support.ts'

type Tags = Record<string, string>
interface Stored {
  readonly run: Run
  readonly history: MetricPoint[]
  readonly files: Map<string, Uint8Array>
}

const missing = (what: string) => integrationError('not_found', { what: `there is no ${what}`, details: {} })
const taken = (what: string) => integrationError('conflict', { what: `${what} exists`, details: {} })
const found = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw missing(what)
  return value
}
const without = (tags: Tags, key: string): Tags =>
  Object.fromEntries(Object.entries(tags).filter(([name]) => name !== key))
async function* upTo<T>(items: Iterable<T>, limit = Infinity) {
  let count = 0
  for (const item of items) {
    if (count >= limit) return
    count += 1
    yield item
  }
}
const at = (time = new Date().toISOString()) => new Date(time).toISOString()

const manifest = {
  id: 'memory',
  title: 'A platform in memory',
  config: z.strictObject({ name: z.string() }),
  hosts: [],
  provides: { experiments, runs, metrics, models, artifacts },
} as const

const openPlatform = () => {
  const allExperiments = new Map<string, Experiment>()
  const allRuns = new Map<string, Stored>()
  const allModels = new Map<string, RegisteredModel>()
  const allVersions = new Map<string, ModelVersion>()
  let count = 100
  const next = () => String((count += 1))
  const change = <T>(map: Map<string, T>, key: string, patch: (value: T) => T): T => {
    const changed = patch(found(map.get(key), key))
    map.set(key, changed)
    return changed
  }
  const inView = (view: string, lifecycle: string) => view === 'all' || view === lifecycle
  const runOf = (id: string) => found(allRuns.get(id), `run ${id}`)
  const changeRun = (id: string, patch: (run: Run) => Run): Run =>
    change(allRuns, id, (stored) => ({ ...stored, run: patch(stored.run) })).run
  const log = (
    id: string,
    point: { key: string; value: number; step?: bigint | undefined; timestamp?: string | undefined },
  ) => {
    const { key, value, step = 0n, timestamp } = point
    runOf(id).history.push({ key, value, step, timestamp: at(timestamp) })
    changeRun(id, (run) => ({ ...run, metrics: { ...run.metrics, [key]: value } }))
  }
  const versionKey = (name: string, version: string) => `${name}/${version}`
  const aliasesOf = (name: string, version: string) =>
    Object.entries(allModels.get(name)?.aliases ?? {}).flatMap(([alias, target]) => (target === version ? [alias] : []))
  const versionOf = (name: string, version: string): ModelVersion => ({
    ...found(allVersions.get(versionKey(name, version)), `version ${version}`),
    aliases: aliasesOf(name, version),
  })

  return {
    experiments: {
      search: ({ view, limit }: { view: string; limit?: number | undefined }) =>
        upTo(
          [...allExperiments.values()].filter((one) => inView(view, one.lifecycle)),
          limit,
        ),
      get: async ({ id }: { id: string }) => found(allExperiments.get(id), `experiment ${id}`),
      getByName: async ({ name }: { name: string }) =>
        found(
          [...allExperiments.values()].find((one) => one.name === name),
          name,
        ),
      create: async ({ name, tags = {} }: { name: string; tags?: Tags | undefined }): Promise<Experiment> => {
        if ([...allExperiments.values()].some((one) => one.name === name)) throw taken(name)
        const made: Experiment = { id: next(), name, lifecycle: 'active', tags, createdAt: at() }
        allExperiments.set(made.id, made)
        return made
      },
      rename: async ({ id, name }: { id: string; name: string }) =>
        void change(allExperiments, id, (one) => ({ ...one, name })),
      delete: async ({ id }: { id: string }) =>
        void change(allExperiments, id, (one): Experiment => ({ ...one, lifecycle: 'deleted' })),
      restore: async ({ id }: { id: string }) =>
        void change(allExperiments, id, (one): Experiment => ({ ...one, lifecycle: 'active' })),
      setTag: async ({ id, key, value }: { id: string; key: string; value: string }) =>
        void change(allExperiments, id, (one) => ({ ...one, tags: { ...one.tags, [key]: value } })),
      deleteTag: async ({ id, key }: { id: string; key: string }) =>
        void change(allExperiments, id, (one) => ({ ...one, tags: without(one.tags, key) })),
    },
    runs: {
      search: (asked: {
        experimentId?: string | undefined
        experimentIds?: string[] | undefined
        view: string
        limit?: number | undefined
      }) => {
        const ids = asked.experimentIds ?? (asked.experimentId === undefined ? undefined : [asked.experimentId])
        const all = [...allRuns.values()].map(({ run }) => run)
        const matching = all.filter(
          (run) => inView(asked.view, run.lifecycle) && (ids?.includes(run.experimentId) ?? true),
        )
        return upTo(matching, asked.limit)
      },
      get: async ({ id }: { id: string }) => runOf(id).run,
      create: async (input: {
        experimentId: string
        name?: string | undefined
        startedAt?: string | undefined
        tags?: Tags | undefined
      }) => {
        const { experimentId, tags = {} } = input
        const run: Run = {
          id: `run-${next()}`,
          experimentId,
          status: 'running',
          lifecycle: 'active',
          startedAt: at(input.startedAt),
          params: {},
          metrics: {},
          tags,
        }
        allRuns.set(run.id, { run, history: [], files: new Map() })
        return run
      },
      update: async ({
        id,
        status,
        endedAt,
      }: {
        id: string
        status?: Run['status'] | undefined
        endedAt?: string | undefined
      }) =>
        changeRun(id, (run) => ({
          ...run,
          status: status ?? run.status,
          ...(endedAt === undefined ? {} : { endedAt: at(endedAt) }),
        })),
      delete: async ({ id }: { id: string }) => void changeRun(id, (run): Run => ({ ...run, lifecycle: 'deleted' })),
      restore: async ({ id }: { id: string }) => void changeRun(id, (run) => ({ ...run, lifecycle: 'active' })),
      setTag: async ({ id, key, value }: { id: string; key: string; value: string }) =>
        void changeRun(id, (run) => ({ ...run, tags: { ...run.tags, [key]: value } })),
      deleteTag: async ({ id, key }: { id: string; key: string }) =>
        void changeRun(id, (run) => ({ ...run, tags: without(run.tags, key) })),
      logParam: async ({ id, key, value }: { id: string; key: string; value: string }) =>
        void changeRun(id, (run) => ({ ...run, params: { ...run.params, [key]: value } })),
      logBatch: async (input: {
        id: string
        params?: Tags | undefined
        tags?: Tags | undefined
        metrics?: Parameters<typeof log>[1][] | undefined
      }) => {
        changeRun(input.id, (run) => ({
          ...run,
          params: { ...run.params, ...input.params },
          tags: { ...run.tags, ...input.tags },
        }))
        for (const point of input.metrics ?? []) log(input.id, point)
      },
    },
    metrics: {
      history: ({ runId, key, limit }: { runId: string; key: string; limit?: number | undefined }) =>
        upTo(
          runOf(runId).history.filter((point) => point.key === key),
          limit,
        ),
      log: async ({ runId, ...point }: { runId: string } & Parameters<typeof log>[1]) => log(runId, point),
    },
    models: {
      search: ({ limit }: { limit?: number | undefined }) => upTo(allModels.values(), limit),
      get: async ({ name }: { name: string }) => found(allModels.get(name), name),
      create: async ({
        name,
        description,
        tags = {},
      }: {
        name: string
        description?: string | undefined
        tags?: Tags | undefined
      }) => {
        if (allModels.has(name)) throw taken(name)
        const made: RegisteredModel = { name, description, tags, aliases: {} }
        allModels.set(name, made)
        return made
      },
      update: async ({ name, description }: { name: string; description: string }) =>
        change(allModels, name, (one) => ({ ...one, description })),
      rename: async ({ name, newName }: { name: string; newName: string }) => {
        const renamed = { ...found(allModels.get(name), name), name: newName }
        allModels.delete(name)
        allModels.set(newName, renamed)
        return renamed
      },
      delete: async ({ name }: { name: string }) => void allModels.delete(name),
      setTag: async ({ name, key, value }: { name: string; key: string; value: string }) =>
        void change(allModels, name, (one) => ({ ...one, tags: { ...one.tags, [key]: value } })),
      deleteTag: async ({ name, key }: { name: string; key: string }) =>
        void change(allModels, name, (one) => ({ ...one, tags: without(one.tags, key) })),
      setAlias: async ({ name, alias, version }: { name: string; alias: string; version: string }) =>
        void change(allModels, name, (one) => ({ ...one, aliases: { ...one.aliases, [alias]: version } })),
      deleteAlias: async ({ name, alias }: { name: string; alias: string }) =>
        void change(allModels, name, (one) => ({ ...one, aliases: without(one.aliases, alias) })),
      searchVersions: ({ name, limit }: { name?: string | undefined; limit?: number | undefined }) =>
        upTo(
          [...allVersions.values()].filter((one) => name === undefined || one.name === name),
          limit,
        ),
      getVersion: async ({ name, version }: { name: string; version: string }) => versionOf(name, version),
      getVersionByAlias: async ({ name, alias }: { name: string; alias: string }) =>
        versionOf(name, found(allModels.get(name)?.aliases[alias], `alias ${alias}`)),
      createVersion: async (input: {
        name: string
        source: string
        runId?: string | undefined
        description?: string | undefined
        tags?: Tags | undefined
      }) => {
        const { name, source, runId, description, tags = {} } = input
        const made: ModelVersion = {
          name,
          version: next(),
          source,
          runId,
          description,
          tags,
          status: 'ready',
          aliases: [],
        }
        allVersions.set(versionKey(name, made.version), made)
        return made
      },
      updateVersion: async ({ name, version, description }: { name: string; version: string; description: string }) =>
        change(allVersions, versionKey(name, version), (one) => ({ ...one, description })),
      deleteVersion: async ({ name, version }: { name: string; version: string }) =>
        void allVersions.delete(versionKey(name, version)),
      setVersionTag: async (input: { name: string; version: string; key: string; value: string }) =>
        void change(allVersions, versionKey(input.name, input.version), (one) => ({
          ...one,
          tags: { ...one.tags, [input.key]: input.value },
        })),
      deleteVersionTag: async ({ name, version, key }: { name: string; version: string; key: string }) =>
        void change(allVersions, versionKey(name, version), (one) => ({ ...one, tags: without(one.tags, key) })),
    },
    artifacts: {
      list: ({ runId, path, limit }: { runId: string; path?: string | undefined; limit?: number | undefined }) =>
        upTo(
          [...runOf(runId).files]
            .filter(([name]) => path === undefined || name.startsWith(`${path}/`))
            .map(([name, bytes]) => ({ path: name, directory: false, size: bytes.length })),
          limit,
        ),
      download: async ({
        runId,
        path,
      }: {
        runId: string
        path: string
      }): Promise<{ body: Uint8Array | ReadableStream<Uint8Array> }> => ({
        body: found(runOf(runId).files.get(path), path),
      }),
      upload: async ({
        runId,
        path,
        body,
      }: {
        runId: string
        path: string
        body: Uint8Array | ReadableStream<Uint8Array>
      }) => {
        runOf(runId).files.set(path, await bytesOf(body))
      },
    },
  }
}
export type Platform = ReturnType<typeof openPlatform>

/** A connector for a platform in memory that all its connections share; `change` replaces parts of it, to break it. */
export const memoryConnector = (change: (platform: Platform) => Partial<Platform> = () => ({})) => {
  const platform = openPlatform()
  const provides = { ...platform, ...change(platform) }
  return {
    platform,
    connector: defineConnector(manifest, () => ({ check: async () => ({}), provides })),
  }
}
