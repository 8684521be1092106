import type { Policy } from '@ecokit/contracts'
import { z } from 'zod'
import { duration } from './duration.ts'

const share = (most: number, words: string) =>
  z
    .number()
    .min(0, `must be between 0 and ${most}`)
    .max(most, `must be between 0 and ${most}`)
    .optional()
    .describe(words)
const amount = (least: number, most: number, words: string) => z.int().min(least).max(most).optional().describe(words)

const Rate = z
  .strictObject({
    perSecond: z
      .number()
      .gt(0, 'must be more than 0')
      .max(100_000)
      .describe('Requests a second on average; 0.5 is one in two seconds.'),
    burst: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe('Requests at once after a pause. Default: those of one second.'),
  })
  .transform(({ perSecond, burst }) => ({ perSecond, burst: burst ?? Math.max(1, Math.ceil(perSecond)) }))

/** What people write under `partners.<name>.policy`, given as the contract's `Policy`. */
export const PolicySection = z
  .strictObject({
    rate: Rate.optional().describe('A limit of ours; without it only what the partner asks for in its replies.'),
    concurrency: amount(1, 10_000, 'Requests under way at once. Default 64.'),
    queue: amount(0, 1_000_000, 'Calls that may wait for their turn; one more fails with `overloaded`. Default 1000.'),
    attempts: amount(1, 20, 'How often a call is sent at most, the first time included. Default 4.'),
    backoff: duration('0ms', '10m')
      .optional()
      .describe('The wait before the second attempt; doubles from then on. Default 200ms.'),
    maxBackoff: duration('0ms', '1h').optional().describe('The longest wait that is chosen by us. Default 10s.'),
    retryBudget: share(10, 'Repeats as a share of calls, over the last minute. Default 0.2.'),
    breakAt: share(2, 'The circuit opens when this share of requests failed; above 1 it never opens. Default 0.5.'),
    breakAfter: amount(1, 1_000_000, 'How many requests there must be before the circuit may open. Default 20.'),
    breakWindow: duration('1s', '1h').optional().describe('How far back requests count for the circuit. Default 30s.'),
    breakFor: duration('10ms', '1h')
      .optional()
      .describe('How long an open circuit refuses calls before a probe. Default 15s.'),
    connectTimeout: duration('10ms', '10m').optional().describe('For making a connection. Default 10s.'),
    deadline: duration('10ms', '24h').optional().describe('For a whole call with its waits and repeats. Default 2m.'),
  })
  .transform((given): Policy => {
    const { backoff, maxBackoff, breakWindow, breakFor, connectTimeout, deadline, ...rest } = given
    const times = {
      backoffMs: backoff,
      maxBackoffMs: maxBackoff,
      breakWindowMs: breakWindow,
      breakForMs: breakFor,
      connectTimeoutMs: connectTimeout,
      deadlineMs: deadline,
    }
    return Object.fromEntries(Object.entries({ ...rest, ...times }).filter(([, value]) => value !== undefined))
  })

/** A policy in the file's words: `{ backoff: '200ms' }`. */
export const policyWords = (policy: Policy): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(policy).map(([key, value]: [string, unknown]) =>
      key.endsWith('Ms') ? [key.slice(0, -2), `${String(value)}ms`] : [key, value],
    ),
  )
