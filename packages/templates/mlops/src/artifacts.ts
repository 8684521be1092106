import { bytes, capability, many, one } from '@ecokit/contracts'
import { z } from 'zod'
import { id, limit, nothing } from './shared.ts'

/** A file or folder that a run has left. */
export const Artifact = z.object({
  /** From the root of the run's artifacts, with "/" between. */
  path: z.string(),
  directory: z.boolean(),
  /** Bytes; absent for folders, and where the platform does not say. */
  size: z.int().optional(),
})
export type Artifact = z.output<typeof Artifact>

const file = () => z.string().min(1).describe('From the root of the run’s artifacts, with "/" between')

/** Files of runs: version 1. */
export const artifacts = capability({
  id: 'mlops.artifacts',
  version: 1,
  operations: {
    list: many({
      title: 'List the artifacts of a run',
      effect: 'read',
      input: z.strictObject({
        runId: id(),
        path: z.string().optional().describe('A folder; the root when left out'),
        recursive: z.boolean().default(false).describe('With everything in the folders below'),
        limit: limit(),
      }),
      output: Artifact,
    }),
    download: one({
      title: 'Download an artifact',
      effect: 'read',
      input: z.strictObject({ runId: id(), path: file() }),
      /** The body must be read to its end or cancelled. */
      output: z.object({ body: bytes(), size: z.int().optional(), type: z.string().optional() }),
    }),
    upload: one({
      title: 'Upload an artifact',
      effect: 'write',
      input: z.strictObject({ runId: id(), path: file(), body: bytes() }),
      output: nothing(),
    }),
  },
})
