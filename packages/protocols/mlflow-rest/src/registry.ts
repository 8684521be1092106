import type { CallOptions } from '@ecokit/contracts'
import { checkLength, limits } from './limits.ts'
import { caller, checkTag, fromPages, tagList, type Page, type Search, type Wire } from './calls.ts'
import * as wire from './wire.ts'

type Tags = Readonly<Record<string, string>> | undefined
const query = (asked: Search) => ({
  filter: asked.filter,
  order_by: asked.orderBy,
  max_results: String(asked.pageSize),
  page_token: asked.pageToken,
})

/** Registered models, their tags and their aliases. */
export const openModels = (base: Wire) => {
  const { http, get, post, patch, remove, repeatable } = caller(base)
  const { partner } = base
  const page = (asked: Search, options?: CallOptions): Promise<Page<wire.MlflowRegisteredModel>> =>
    http.json(get('registered-models/search', query(asked)), wire.registeredModelsPage, options)
  return {
    page,
    search: fromPages(partner, 'registered models', page),
    get: async (name: string, options?: CallOptions) =>
      (await http.json(get('registered-models/get', { name }), wire.registeredModelReply, options)).registered_model,
    create: async (made: { name: string; description?: string | undefined; tags?: Tags }, options?: CallOptions) => {
      checkLength(partner, 'name', made.name, limits.modelName, 1)
      const tags = tagList(made.tags)
      for (const { key, value } of tags) checkTag(partner, key, value, limits.modelTagValue)
      const body = { name: made.name, description: made.description, tags }
      return (await http.json(post('registered-models/create', body), wire.registeredModelReply, options))
        .registered_model
    },
    describe: async (name: string, description: string, options?: CallOptions) =>
      (
        await http.json(
          patch('registered-models/update', { name, description }, { idempotent: true }),
          wire.registeredModelReply,
          options,
        )
      ).registered_model,
    rename: async (name: string, newName: string, options?: CallOptions) => {
      checkLength(partner, 'newName', newName, limits.modelName, 1)
      const body = { name, new_name: newName }
      return (await http.json(post('registered-models/rename', body), wire.registeredModelReply, options))
        .registered_model
    },
    /** For good, with all its versions. */
    delete: async (name: string, options?: CallOptions): Promise<void> => {
      await http.json(remove('registered-models/delete', { name }), wire.anything, options)
    },
    setTag: async (name: string, key: string, value: string, options?: CallOptions): Promise<void> => {
      checkTag(partner, key, value, limits.modelTagValue)
      await http.json(repeatable('registered-models/set-tag', { name, key, value }), wire.anything, options)
    },
    deleteTag: async (name: string, key: string, options?: CallOptions): Promise<void> => {
      await http.json(remove('registered-models/delete-tag', { name, key }), wire.anything, options)
    },
    /** Moves the alias when it stands at another version. */
    setAlias: async (name: string, alias: string, version: string, options?: CallOptions): Promise<void> => {
      checkLength(partner, 'alias', alias, limits.alias, 1)
      await http.json(repeatable('registered-models/alias', { name, alias, version }), wire.anything, options)
    },
    deleteAlias: async (name: string, alias: string, options?: CallOptions): Promise<void> => {
      await http.json(remove('registered-models/alias', { name, alias }), wire.anything, options)
    },
  }
}

/** Versions of registered models. */
export const openVersions = (base: Wire) => {
  const { http, get, post, patch, remove, repeatable } = caller(base)
  const { partner } = base
  const page = (asked: Search, options?: CallOptions): Promise<Page<wire.MlflowModelVersion>> =>
    http.json(get('model-versions/search', query(asked)), wire.modelVersionsPage, options)
  return {
    page,
    search: fromPages(base.partner, 'model versions', page),
    get: async (name: string, version: string, options?: CallOptions) =>
      (await http.json(get('model-versions/get', { name, version }), wire.modelVersionReply, options)).model_version,
    getByAlias: async (name: string, alias: string, options?: CallOptions) =>
      (await http.json(get('registered-models/alias', { name, alias }), wire.modelVersionReply, options)).model_version,
    create: async (
      made: {
        name: string
        source: string
        runId?: string | undefined
        description?: string | undefined
        tags?: Tags
      },
      options?: CallOptions,
    ) => {
      const tags = tagList(made.tags)
      for (const { key, value } of tags) checkTag(partner, key, value, limits.modelTagValue)
      const { name, source, runId, description } = made
      const body = { name, source, run_id: runId, description, tags }
      return (await http.json(post('model-versions/create', body), wire.modelVersionReply, options)).model_version
    },
    describe: async (name: string, version: string, description: string, options?: CallOptions) =>
      (
        await http.json(
          patch('model-versions/update', { name, version, description }, { idempotent: true }),
          wire.modelVersionReply,
          options,
        )
      ).model_version,
    delete: async (name: string, version: string, options?: CallOptions): Promise<void> => {
      await http.json(remove('model-versions/delete', { name, version }), wire.anything, options)
    },
    setTag: async (name: string, version: string, key: string, value: string, options?: CallOptions): Promise<void> => {
      checkTag(partner, key, value, limits.modelTagValue)
      await http.json(repeatable('model-versions/set-tag', { name, version, key, value }), wire.anything, options)
    },
    deleteTag: async (name: string, version: string, key: string, options?: CallOptions): Promise<void> => {
      await http.json(remove('model-versions/delete-tag', { name, version, key }), wire.anything, options)
    },
  }
}
