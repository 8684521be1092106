import type { CallOptions } from '@ecokit/contracts'
import { caller, checkTag, fromPages, tagList, viewTypes, type Page, type Search, type Wire } from './calls.ts'
import { batchBodies, checkLength, limits, type BatchToLog, type MetricToLog } from './limits.ts'
import * as wire from './wire.ts'

export interface RunSearch extends Search {
  readonly experimentIds: readonly string[]
}

export const openExperiments = (base: Wire) => {
  const { http, get, post, search, repeatable } = caller(base)
  const { partner } = base
  const page = (asked: Search, options?: CallOptions): Promise<Page<wire.MlflowExperiment>> =>
    http.json(
      search('experiments/search', {
        max_results: asked.pageSize,
        view_type: viewTypes[asked.view ?? 'active'],
        filter: asked.filter,
        order_by: asked.orderBy,
        page_token: asked.pageToken,
      }),
      wire.experimentsPage,
      options,
    )
  return {
    page,
    search: fromPages(partner, 'experiments', page),
    get: async (id: string, options?: CallOptions) =>
      (await http.json(get('experiments/get', { experiment_id: id }), wire.experimentReply, options)).experiment,
    /** Deleted experiments are found too: a name is free again only once the experiment is gone for good. */
    getByName: async (name: string, options?: CallOptions) =>
      (await http.json(get('experiments/get-by-name', { experiment_name: name }), wire.experimentReply, options))
        .experiment,
    create: async (
      made: {
        name: string
        artifactLocation?: string | undefined
        tags?: Readonly<Record<string, string>> | undefined
      },
      options?: CallOptions,
    ) => {
      checkLength(partner, 'name', made.name, limits.experimentName, 1)
      const tags = tagList(made.tags)
      for (const { key, value } of tags) checkTag(partner, key, value, limits.experimentTagValue)
      const body = { name: made.name, artifact_location: made.artifactLocation, tags }
      return (await http.json(post('experiments/create', body), wire.experimentId, options)).experiment_id
    },
    rename: async (id: string, name: string, options?: CallOptions): Promise<void> => {
      checkLength(partner, 'name', name, limits.experimentName, 1)
      await http.json(repeatable('experiments/update', { experiment_id: id, new_name: name }), wire.anything, options)
    },
    /** Its runs are deleted with it. */
    delete: async (id: string, options?: CallOptions): Promise<void> => {
      await http.json(post('experiments/delete', { experiment_id: id }), wire.anything, options)
    },
    /** All its runs are restored with it, those too that were deleted before it. */
    restore: async (id: string, options?: CallOptions): Promise<void> => {
      await http.json(post('experiments/restore', { experiment_id: id }), wire.anything, options)
    },
    setTag: async (id: string, key: string, value: string, options?: CallOptions): Promise<void> => {
      checkTag(partner, key, value, limits.experimentTagValue)
      const body = { experiment_id: id, key, value }
      await http.json(repeatable('experiments/set-experiment-tag', body), wire.anything, options)
    },
    deleteTag: async (id: string, key: string, options?: CallOptions): Promise<void> => {
      await http.json(post('experiments/delete-experiment-tag', { experiment_id: id, key }), wire.anything, options)
    },
  }
}

export const openRuns = (base: Wire) => {
  const { http, get, post, search, repeatable } = caller(base)
  const { partner } = base
  const page = (asked: RunSearch, options?: CallOptions): Promise<Page<wire.MlflowRun>> =>
    http.json(
      search('runs/search', {
        experiment_ids: asked.experimentIds,
        filter: asked.filter,
        order_by: asked.orderBy,
        run_view_type: viewTypes[asked.view ?? 'active'],
        max_results: asked.pageSize,
        page_token: asked.pageToken,
      }),
      wire.runsPage,
      options,
    )
  const one = async (id: string, options?: CallOptions) =>
    (await http.json(get('runs/get', { run_id: id }), wire.runReply, options)).run
  return {
    page,
    search: fromPages(partner, 'runs', page),
    get: one,
    create: async (
      made: {
        experimentId: string
        name?: string | undefined
        user?: string | undefined
        /** Epoch milliseconds. */
        startedAt: number
        tags?: Readonly<Record<string, string>> | undefined
      },
      options?: CallOptions,
    ) => {
      const tags = tagList(made.tags)
      for (const { key, value } of tags) checkTag(partner, key, value, limits.tagValue)
      const { experimentId, name, user, startedAt } = made
      const body = { experiment_id: experimentId, run_name: name, user_id: user, start_time: startedAt, tags }
      return (await http.json(post('runs/create', body), wire.runReply, options)).run
    },
    /** What is left out stays as it is; `endedAt` in epoch milliseconds. */
    update: async (
      id: string,
      change: { status?: string | undefined; endedAt?: number | undefined; name?: string | undefined },
      options?: CallOptions,
    ): Promise<void> => {
      const body = { run_id: id, status: change.status, end_time: change.endedAt, run_name: change.name }
      await http.json(repeatable('runs/update', body), wire.anything, options)
    },
    delete: async (id: string, options?: CallOptions): Promise<void> => {
      await http.json(repeatable('runs/delete', { run_id: id }), wire.anything, options)
    },
    restore: async (id: string, options?: CallOptions): Promise<void> => {
      await http.json(repeatable('runs/restore', { run_id: id }), wire.anything, options)
    },
    setTag: async (id: string, key: string, value: string, options?: CallOptions): Promise<void> => {
      checkTag(partner, key, value, limits.tagValue)
      await http.json(repeatable('runs/set-tag', { run_id: id, key, value }), wire.anything, options)
    },
    deleteTag: async (id: string, key: string, options?: CallOptions): Promise<void> => {
      await http.json(post('runs/delete-tag', { run_id: id, key }), wire.anything, options)
    },
    /** A param is written once: another value for it is `rejected`. */
    logParam: async (id: string, key: string, value: string, options?: CallOptions): Promise<void> => {
      checkLength(partner, 'key', key, limits.key, 1)
      checkLength(partner, 'value', value, limits.paramValue)
      await http.json(repeatable('runs/log-parameter', { run_id: id, key, value }), wire.anything, options)
    },
    /** Any number of params, tags and metrics, in as many requests as MLflow's limits ask for. After an error some of them may be stored: sending all again is right. */
    logBatch: async (id: string, batch: BatchToLog, options?: CallOptions): Promise<void> => {
      for (const body of batchBodies(partner, id, batch))
        await http.json(repeatable('runs/log-batch', body), wire.anything, options)
    },
  }
}

export const openMetrics = (base: Wire) => {
  const { http, get, repeatable } = caller(base)
  type Asked = { runId: string; key: string; pageSize: number; pageToken?: string | undefined }
  const page = (asked: Asked, options?: CallOptions): Promise<Page<wire.MlflowMetric>> =>
    http.json(
      get('metrics/get-history', {
        run_id: asked.runId,
        metric_key: asked.key,
        max_results: String(asked.pageSize),
        page_token: asked.pageToken,
      }),
      wire.historyPage,
      options,
    )
  return {
    /** In the order of timestamp, step and value. (`get-history-bulk-interval` is for charts: it leaves rows out.) */
    page,
    history: fromPages(base.partner, 'metrics', page),
    /** The same value at the same time and step is stored once, however often it is sent. */
    log: async (runId: string, metric: MetricToLog, options?: CallOptions): Promise<void> => {
      checkLength(base.partner, 'key', metric.key, limits.key, 1)
      const { key, value, timestamp, step } = metric
      await http.json(
        repeatable('runs/log-metric', { run_id: runId, key, value, timestamp, step }),
        wire.anything,
        options,
      )
    },
  }
}
