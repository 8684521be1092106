import { capability, many, one } from '@ecokit/contracts'
import { z } from 'zod'
import { filter, id, lifecycle, limit, nothing, orderBy, tags, time, view } from './shared.ts'

/** A group of runs that belong together. */
export const Experiment = z.object({
  id: id(),
  name: z.string(),
  lifecycle: lifecycle(),
  /** Where its artifacts are kept, as a URI. */
  artifactLocation: z.string().optional(),
  createdAt: time().optional(),
  updatedAt: time().optional(),
  tags: tags(),
})
export type Experiment = z.output<typeof Experiment>

const byId = z.strictObject({ id: id() })

/** Experiments: version 1. */
export const experiments = capability({
  id: 'mlops.experiments',
  version: 1,
  operations: {
    search: many({
      title: 'Search experiments',
      effect: 'read',
      input: z.strictObject({ filter: filter(), orderBy: orderBy(), view: view(), limit: limit() }),
      output: Experiment,
    }),
    get: one({ title: 'Get an experiment', effect: 'read', input: byId, output: Experiment }),
    getByName: one({
      title: 'Get an experiment by its name',
      effect: 'read',
      input: z.strictObject({ name: z.string().min(1) }),
      output: Experiment,
    }),
    create: one({
      title: 'Create an experiment',
      effect: 'write',
      input: z.strictObject({
        name: z.string().min(1),
        artifactLocation: z.string().optional(),
        tags: tags().optional(),
      }),
      output: Experiment,
    }),
    rename: one({
      title: 'Rename an experiment',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ id: id(), name: z.string().min(1) }),
      output: nothing(),
    }),
    delete: one({ title: 'Delete an experiment and its runs', effect: 'destroy', input: byId, output: nothing() }),
    restore: one({
      title: 'Restore a deleted experiment and its runs',
      effect: 'write',
      input: byId,
      output: nothing(),
    }),
    setTag: one({
      title: 'Set a tag on an experiment',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ id: id(), key: z.string().min(1), value: z.string() }),
      output: nothing(),
    }),
    deleteTag: one({
      title: 'Delete a tag from an experiment',
      effect: 'destroy',
      input: z.strictObject({ id: id(), key: z.string().min(1) }),
      output: nothing(),
    }),
  },
})
