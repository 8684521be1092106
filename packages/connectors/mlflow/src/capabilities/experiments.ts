import { each, pageFor } from '@ecokit/connect/reading'
import type { ApiImplementation } from '@ecokit/contracts'
import type { MlflowRest } from '@ecokit/protocol-mlflow-rest'
import type { experiments as capability } from '@ecokit/template-mlops'
import { experimentOf } from '../entities.ts'

export const experiments = (api: MlflowRest): ApiImplementation<typeof capability> => ({
  search: ({ filter, orderBy, view, limit }, options) =>
    each(
      api.experiments.search({ filter, orderBy, view, pageSize: pageFor(limit, 1_000) }, options),
      limit,
      experimentOf,
    ),
  get: async ({ id }, options) => experimentOf(await api.experiments.get(id, options)),
  getByName: async ({ name }, options) => experimentOf(await api.experiments.getByName(name, options)),
  create: async (made, options) =>
    experimentOf(await api.experiments.get(await api.experiments.create(made, options), options)),
  rename: ({ id, name }, options) => api.experiments.rename(id, name, options),
  delete: ({ id }, options) => api.experiments.delete(id, options),
  restore: ({ id }, options) => api.experiments.restore(id, options),
  setTag: ({ id, key, value }, options) => api.experiments.setTag(id, key, value, options),
  deleteTag: ({ id, key }, options) => api.experiments.deleteTag(id, key, options),
})
