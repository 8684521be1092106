import { integrationError, type Checkpoint } from '@ecokit/contracts'
import { createHash } from 'node:crypto'
import type { z } from 'zod'

/** The checkpoint as the stream's own shape; throws `invalid_input` for one that another stream or version wrote. */
export const readCheckpoint = <S extends z.ZodType>(
  partner: string,
  stream: string,
  schema: S,
  checkpoint: Checkpoint,
): z.output<S> => {
  const parsed = schema.safeParse(checkpoint)
  if (parsed.success) return parsed.data
  throw integrationError('invalid_input', {
    partner,
    what: `${stream}: the checkpoint is not one of this stream`,
    next: 'Leave it out, to read everything',
    details: { field: 'checkpoint' },
  })
}

/** A bound of a read in epoch milliseconds; throws `invalid_input` for what is no time. */
export const bound = (partner: string, field: 'since' | 'until', value: string | undefined): number | undefined => {
  if (value === undefined) return undefined
  const milliseconds = Date.parse(value)
  if (!Number.isNaN(milliseconds)) return milliseconds
  throw integrationError('invalid_input', {
    partner,
    what: `${field}: "${value}" is no time`,
    next: 'Write it like 2026-01-31T00:00:00Z',
    details: { field },
  })
}

/** 72 bits that stand for a text: enough to tell whether something has changed. */
export const digest = (text: string): string => createHash('sha256').update(text).digest('base64').slice(0, 12)
