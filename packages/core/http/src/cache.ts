import type { Clock, NetworkRuntime } from './types.ts'

export interface Cache {
  readonly partner: string
}
export const openCache = (partner: string, runtime: NetworkRuntime, _clock: Clock): Cache | undefined =>
  runtime.cache === undefined || runtime.cache === false ? undefined : { partner }
