export { httpKinds, schedules } from './kinds.ts'
export type { HttpKind, Incoming, Outgoing, Plan, Schedule, Seen, Upstream } from './kinds.ts'
export { startFaults, type Faults, type FaultsOptions } from './proxy.ts'
export { pick, randomOf } from './random.ts'
