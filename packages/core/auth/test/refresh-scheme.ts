import { authorizationCode } from '../src/index.ts'

/** What the processes of the proof of refreshing are told and say. */
export interface Task {
  readonly partner: string
  readonly issuer: string
  readonly reuseWindowMs: number
  /** 0: each caller calls once. */
  readonly forMs: number
}
export type Report =
  | { readonly says: 'ready' }
  | { readonly says: 'renewing' }
  | {
      readonly says: 'done'
      readonly calls: number
      readonly posts: number
      readonly tokens: readonly string[]
      readonly errors: Readonly<Record<string, number>>
      readonly words: string
    }

export const leaseMs = 600
/** One login with single-use refresh tokens. */
export const refreshScheme = (reuseWindowMs: number) =>
  authorizationCode({
    issuer: '{issuer}',
    scopes: ['openid', 'offline_access', 'api'],
    authorizeParameters: { prompt: 'consent' },
    reuseWindowMs,
    timing: { leaseMs },
  })
