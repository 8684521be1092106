export { systemClock } from './clock.ts'
export { resolveHosts, type Host } from './hosts.ts'
export { openNetwork } from './network.ts'
export type { Clock, Exchange, Network, NetworkOptions, NetworkRuntime } from './types.ts'
