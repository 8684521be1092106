import { capability, many, one } from '@ecokit/contracts'
import { z } from 'zod'
import { filter, id, limit, nothing, orderBy, tags, time } from './shared.ts'

/** A model in the registry, which has versions. */
export const RegisteredModel = z.object({
  name: z.string().min(1),
  description: z.string().optional(),
  createdAt: time().optional(),
  updatedAt: time().optional(),
  tags: tags(),
  /** The version at which each alias stands. */
  aliases: z.record(z.string(), z.string()),
})
export type RegisteredModel = z.output<typeof RegisteredModel>

/** One version of a registered model. */
export const ModelVersion = z.object({
  name: z.string().min(1),
  version: z.string().min(1),
  description: z.string().optional(),
  /** Whether its files are there. */
  status: z.enum(['pending', 'ready', 'failed']),
  /** Where its files are kept, as a URI. */
  source: z.string().optional(),
  /** The run that made it. */
  runId: z.string().optional(),
  /** A step of release, where the platform has such; aliases have taken their place. */
  stage: z.string().optional(),
  createdAt: time().optional(),
  updatedAt: time().optional(),
  tags: tags(),
  /** Absent where a search does not tell; an answer about one version does. */
  aliases: z.array(z.string()).optional(),
})
export type ModelVersion = z.output<typeof ModelVersion>

const name = () => z.string().min(1)
const byName = z.strictObject({ name: name() })
const byVersion = z.strictObject({ name: name(), version: z.string().min(1) })
const key = () => z.string().min(1)

/** Registered models, their versions, aliases and tags: version 1. */
export const models = capability({
  id: 'mlops.models',
  version: 1,
  operations: {
    search: many({
      title: 'Search registered models',
      effect: 'read',
      input: z.strictObject({ filter: filter(), orderBy: orderBy(), limit: limit() }),
      output: RegisteredModel,
    }),
    get: one({ title: 'Get a registered model', effect: 'read', input: byName, output: RegisteredModel }),
    create: one({
      title: 'Register a model',
      effect: 'write',
      input: z.strictObject({ name: name(), description: z.string().optional(), tags: tags().optional() }),
      output: RegisteredModel,
    }),
    update: one({
      title: 'Change the description of a model',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ name: name(), description: z.string() }),
      output: RegisteredModel,
    }),
    rename: one({
      title: 'Rename a model',
      effect: 'write',
      input: z.strictObject({ name: name(), newName: name() }),
      output: RegisteredModel,
    }),
    delete: one({
      title: 'Delete a model and all its versions, for good',
      effect: 'destroy',
      input: byName,
      output: nothing(),
    }),
    setTag: one({
      title: 'Set a tag on a model',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ name: name(), key: key(), value: z.string() }),
      output: nothing(),
    }),
    deleteTag: one({
      title: 'Delete a tag from a model',
      effect: 'destroy',
      input: z.strictObject({ name: name(), key: key() }),
      output: nothing(),
    }),
    setAlias: one({
      title: 'Point an alias at a version',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ name: name(), alias: key(), version: z.string().min(1) }),
      output: nothing(),
    }),
    deleteAlias: one({
      title: 'Delete an alias',
      effect: 'destroy',
      input: z.strictObject({ name: name(), alias: key() }),
      output: nothing(),
    }),
    searchVersions: many({
      title: 'Search model versions',
      effect: 'read',
      input: z.strictObject({
        name: name().optional().describe('Only versions of this model'),
        runId: z.string().min(1).optional().describe('Only versions that this run made'),
        filter: filter(),
        orderBy: orderBy(),
        limit: limit(),
      }),
      output: ModelVersion,
    }),
    getVersion: one({ title: 'Get a model version', effect: 'read', input: byVersion, output: ModelVersion }),
    getVersionByAlias: one({
      title: 'Get the version at which an alias stands',
      effect: 'read',
      input: z.strictObject({ name: name(), alias: key() }),
      output: ModelVersion,
    }),
    createVersion: one({
      title: 'Register a version of a model',
      effect: 'write',
      input: z.strictObject({
        name: name(),
        source: z.string().min(1).describe('Where its files are kept, as a URI'),
        runId: id().optional(),
        description: z.string().optional(),
        tags: tags().optional(),
      }),
      output: ModelVersion,
    }),
    updateVersion: one({
      title: 'Change the description of a version',
      effect: 'write',
      idempotent: true,
      input: byVersion.extend({ description: z.string() }),
      output: ModelVersion,
    }),
    deleteVersion: one({
      title: 'Delete a version, for good',
      effect: 'destroy',
      input: byVersion,
      output: nothing(),
    }),
    setVersionTag: one({
      title: 'Set a tag on a version',
      effect: 'write',
      idempotent: true,
      input: byVersion.extend({ key: key(), value: z.string() }),
      output: nothing(),
    }),
    deleteVersionTag: one({
      title: 'Delete a tag from a version',
      effect: 'destroy',
      input: byVersion.extend({ key: key() }),
      output: nothing(),
    }),
  },
})
