import { int64 } from '@ecokit/contracts'
import { z } from 'zod'

/** A point in time as a platform gives it: ISO 8601 in UTC. */
export const time = () => z.iso.datetime()
/** A point in time as people write it: ISO 8601 in UTC or with an offset. */
export const givenTime = () => z.iso.datetime({ offset: true })
export const id = () => z.string().min(1)
export const tags = () => z.record(z.string(), z.string())
/** The position of a value in training: an epoch, a batch, a step. */
export const step = int64
/** Nothing is answered. */
export const nothing = () => z.void()

/** `deleted` things are hidden and can be restored, where the platform knows that. */
export const lifecycle = () => z.enum(['active', 'deleted'])
export const view = () =>
  z.enum(['active', 'deleted', 'all']).default('active').describe('Which ones by their life: active, deleted or all')
export const filter = () => z.string().optional().describe("A condition in the platform's own search language")
export const orderBy = () =>
  z.array(z.string()).optional().describe("Fields to order by, in the platform's own words, each with ASC or DESC")
export const limit = () => z.int().positive().optional().describe('At most so many; all when left out')
