import { each, pageFor } from '@ecokit/connect/reading'
import type { ApiImplementation, CallOptions } from '@ecokit/contracts'
import type { MetricToLog, MlflowRest, View } from '@ecokit/protocol-mlflow-rest'
import type { MetricInput, metrics as metricsCapability, runs as capability } from '@ecokit/template-mlops'
import { pointOf, runOf, upper } from '../entities.ts'
import { epoch } from '../times.ts'

const runsPerPage = 200
const experimentsPerSearch = 1_000
const final = ['finished', 'failed', 'killed']

/** Experiment ids, so many at a time as one search takes. */
async function* experimentIds(
  api: MlflowRest,
  given: readonly string[] | undefined,
  view: View,
  options: CallOptions,
): AsyncGenerator<readonly string[]> {
  if (given !== undefined) {
    for (let at = 0; at < given.length; at += experimentsPerSearch) yield given.slice(at, at + experimentsPerSearch)
    return
  }
  // Runs of a deleted experiment are deleted too.
  const asked = { view: view === 'active' ? 'active' : 'all', pageSize: experimentsPerSearch } as const
  for await (const page of api.experiments.search(asked, options)) yield page.map(({ id }) => id)
}

const toLog = ({ key, value, step, timestamp }: Omit<MetricInput, 'runId'>, now: number): MetricToLog => ({
  key,
  value,
  step: step ?? 0n,
  timestamp: timestamp === undefined ? now : epoch(timestamp),
})

export const runs = (api: MlflowRest): ApiImplementation<typeof capability> => ({
  search: async function* ({ experimentId, experimentIds: several, filter, orderBy, view, limit }, options) {
    const given = experimentId === undefined ? several : [...new Set([experimentId, ...(several ?? [])])]
    let left = limit ?? Infinity
    for await (const ids of experimentIds(api, given, view, options)) {
      const pageSize = pageFor(limit, runsPerPage)
      const pages = api.runs.search({ experimentIds: ids, filter, orderBy, view, pageSize }, options)
      for await (const run of each(pages, left, runOf)) {
        yield run
        left -= 1
      }
      if (left <= 0) return
    }
  },
  get: async ({ id }, options) => runOf(await api.runs.get(id, options)),
  create: async ({ startedAt, ...made }, options) =>
    runOf(
      await api.runs.create({ ...made, startedAt: startedAt === undefined ? Date.now() : epoch(startedAt) }, options),
    ),
  update: async ({ id, name, status, endedAt }, options) => {
    const ends = status !== undefined && final.includes(status)
    const end = endedAt !== undefined ? epoch(endedAt) : ends ? Date.now() : undefined
    await api.runs.update(id, { name, status: status && upper(status), endedAt: end }, options)
    return runOf(await api.runs.get(id, options))
  },
  delete: ({ id }, options) => api.runs.delete(id, options),
  restore: ({ id }, options) => api.runs.restore(id, options),
  setTag: ({ id, key, value }, options) => api.runs.setTag(id, key, value, options),
  deleteTag: ({ id, key }, options) => api.runs.deleteTag(id, key, options),
  logParam: ({ id, key, value }, options) => api.runs.logParam(id, key, value, options),
  logBatch: ({ id, params, tags, metrics }, options) => {
    const now = Date.now()
    const batch = { params, tags, metrics: metrics?.map((metric) => toLog(metric, now)) }
    return api.runs.logBatch(id, batch, options)
  },
})

export const metrics = (api: MlflowRest): ApiImplementation<typeof metricsCapability> => ({
  history: ({ runId, key, limit }, options) =>
    each(api.metrics.history({ runId, key, pageSize: pageFor(limit, 10_000) }, options), limit, pointOf),
  log: ({ runId, ...metric }, options) => api.metrics.log(runId, toLog(metric, Date.now()), options),
})
