import { each, pageFor } from '@ecokit/connect/reading'
import type { ApiImplementation } from '@ecokit/contracts'
import type { MlflowRest } from '@ecokit/protocol-mlflow-rest'
import type { models as capability } from '@ecokit/template-mlops'
import { foundVersionOf, modelOf, versionOf } from '../entities.ts'

/** A text in MLflow's search syntax: mlflow/utils/search_utils.py takes it in either quote, without escapes. */
const quoted = (text: string): string => (text.includes("'") ? `"${text}"` : `'${text}'`)

export const models = (api: MlflowRest): ApiImplementation<typeof capability> => ({
  search: ({ filter, orderBy, limit }, options) =>
    each(api.models.search({ filter, orderBy, pageSize: pageFor(limit, 1_000) }, options), limit, modelOf),
  get: async ({ name }, options) => modelOf(await api.models.get(name, options)),
  create: async (made, options) => modelOf(await api.models.create(made, options)),
  update: async ({ name, description }, options) => modelOf(await api.models.describe(name, description, options)),
  rename: async ({ name, newName }, options) => modelOf(await api.models.rename(name, newName, options)),
  delete: ({ name }, options) => api.models.delete(name, options),
  setTag: ({ name, key, value }, options) => api.models.setTag(name, key, value, options),
  deleteTag: ({ name, key }, options) => api.models.deleteTag(name, key, options),
  setAlias: ({ name, alias, version }, options) => api.models.setAlias(name, alias, version, options),
  deleteAlias: ({ name, alias }, options) => api.models.deleteAlias(name, alias, options),
  searchVersions: ({ name, runId, filter, orderBy, limit }, options) => {
    const conditions = [
      ...(name === undefined ? [] : [`name = ${quoted(name)}`]),
      ...(runId === undefined ? [] : [`run_id = ${quoted(runId)}`]),
      ...(filter === undefined ? [] : [filter]),
    ]
    const asked = { filter: conditions.join(' and '), orderBy, pageSize: pageFor(limit, 1_000) }
    return each(api.versions.search(asked, options), limit, foundVersionOf)
  },
  getVersion: async ({ name, version }, options) => versionOf(await api.versions.get(name, version, options)),
  getVersionByAlias: async ({ name, alias }, options) => versionOf(await api.versions.getByAlias(name, alias, options)),
  createVersion: async (made, options) => versionOf(await api.versions.create(made, options)),
  updateVersion: async ({ name, version, description }, options) =>
    versionOf(await api.versions.describe(name, version, description, options)),
  deleteVersion: ({ name, version }, options) => api.versions.delete(name, version, options),
  setVersionTag: ({ name, version, key, value }, options) => api.versions.setTag(name, version, key, value, options),
  deleteVersionTag: ({ name, version, key }, options) => api.versions.deleteTag(name, version, key, options),
})
