import type { Generated, GeneratedAlways, Insertable, Selectable } from 'kysely'

/** JSON kept as text, so that one schema serves every engine. */
type Json = string
/** Epoch milliseconds. */
type Time = number

/** Partner catalogue entries; `credentials` is the name of a reference or the reference itself, never a secret. */
interface Partners {
  name: string
  connector: string
  config: Json
  credentials: string | null
  tier: string
  owner: string | null
  tags: Json
  /** ISO 8601 date. */
  contract_start: string | null
  contract_end: string | null
  check_every_ms: number
  check_timeout_ms: number
  /** How calls are paced and protected, as the contract's `Policy`; null where nothing is said. */
  policy: Json | null
  /** Who wrote it: `ecosystem.yaml` or the API. */
  origin: 'file' | 'api'
  created_at: Time
  updated_at: Time
}

/** Every health check that was made. */
interface HealthChecks {
  id: Generated<number>
  partner: string
  status: string
  code: string | null
  message: string | null
  latency_ms: number | null
  checked_at: Time
  details: Json
}

/** The state of each partner after hysteresis; `since` is when it was entered, `streak` counts checks that say otherwise. */
interface HealthStates {
  partner: string
  status: string
  since: Time
  streak: number
  code: string | null
  message: string | null
  latency_ms: number | null
  checked_at: Time
  details: Json
}

/** One row for each run of a pipeline. */
interface Runs {
  /** UUID version 7, so ids sort by time. */
  id: string
  pipeline: string
  source: string
  sink: string
  trigger: 'manual' | 'schedule'
  /** 1 where everything was read and compared, whatever the checkpoints say. */
  full: number
  kind: Generated<'sync' | 'backfill'>
  /** The window of a backfill, in the cursors' own form. */
  backfill_since: string | null
  backfill_until: string | null
  status: 'running' | 'completed' | 'failed' | 'cancelled'
  started_at: Time
  ended_at: Time | null
  heartbeat_at: Time
  /** Changes with every change of the row, for those who poll. */
  updated_at: Time
  /** Set by any process; the run stops at its next heartbeat. */
  cancel_requested_at: Time | null
  /** Which process runs it: host/process namespace/process id/run id. */
  holder: string
  /** Things that went wrong beside the data (an unwritable lineage file): a list of sentences. */
  warnings: Json
  error_code: string | null
  error_message: string | null
}

/** One row for each stream of a run: its live progress while it runs, its account afterwards. */
interface RunStreams {
  run_id: string
  stream: string
  table_name: string
  /** The order in which the streams run. */
  position: number
  status: 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'
  mode: 'full_refresh' | 'incremental' | 'reconcile' | 'backfill'
  disposition: 'append' | 'overwrite' | 'merge'
  read: number
  written: number
  quarantined: number
  /** Read, and the same key as another record of its batch: the sink kept one of them. */
  deduplicated: number
  deleted: number
  requests: number
  bytes: number
  started_at: Time | null
  ended_at: Time | null
  updated_at: Time
  error_code: string | null
  error_message: string | null
  /** What has changed in its schema since the run before: a list of changes. */
  drift: Generated<Json>
  /** How many records the pass before read, where both are over everything. */
  expected: number | null
}

/** Where each stream of a pipeline stands; `key` is `pipeline/stream`. */
interface FlowState {
  key: string
  checkpoint: Json | null
  /** 1 when the last pass reached its end. */
  complete: number
  /** When the last complete pass over everything ended. */
  reconciled_at: Time | null
  counts: Json
  /** How many records the last complete pass over everything read. */
  whole_read: number | null
  updated_at: Time
}

/** Records that were left out, with the reason; `record` is cut off at 64 KiB. */
interface Quarantine {
  id: Generated<number>
  run_id: string
  pipeline: string
  stream: string
  field: string
  reason: string
  record: Json
  at: Time
}

/** OpenLineage events as they were emitted. */
interface LineageEvents {
  id: Generated<number>
  run_id: string
  pipeline: string
  type: string
  at: Time
  body: Json
  /** 1 while a collector has not taken it. */
  unsent: number | null
}

/** What a pipeline has agreed to hold for a stream: the JSON Schema of the last run that was let through. */
interface StreamContracts {
  pipeline: string
  stream: string
  /** Schema, primary key and cursor. */
  schema: Json
  /** Counts up from 1 with every change. */
  version: number
  /** Why the stream waits for somebody, as a list of changes; null: it does not. */
  paused: Json | null
  updated_at: Time
}

/** What each quality rule said about each stream of a run. */
interface QualityResults {
  id: Generated<number>
  run_id: string
  pipeline: string
  stream: string
  name: string
  rule: string
  /** The fields that the rule looks at, with commas between; empty for the table as a whole. */
  field: string
  severity: 'warn' | 'quarantine' | 'stop'
  passed: number
  checked: number
  failed: number
  message: string
  at: Time
}

/** Up to when the schedule of each pipeline has been served. */
interface Schedules {
  pipeline: string
  expression: string
  due_at: Time
  updated_at: Time
}

/** Which column comes from which, as the last run of the stream said; an empty field is the dataset as a whole. */
interface LineageEdges {
  pipeline: string
  stream: string
  input_namespace: string
  input_name: string
  input_field: string
  output_namespace: string
  output_name: string
  output_field: string
  /** OpenLineage's words, as `DIRECT/IDENTITY`. */
  transformation: string
  run_id: string
  at: Time
}

/** Who may do what only one may do at a time, and until when. */
interface Leases {
  name: string
  holder: string
  expires_at: Time
  /** The time by the clock of whoever took or renewed it; later than now: the clock was put back. */
  taken_at: Generated<Time>
}

/** Small values that several processes share; see `Shared` of @ecokit/contracts. */
interface SharedValues {
  key: string
  value: string
  /** Counts the writes since the value was last absent, from 1. */
  version: number
  /** Null: never. */
  expires_at: Time | null
}

/** Rate budgets: when a bucket is full again, before when nothing may go, and when it was last looked at. */
interface SharedBuckets {
  key: string
  full_at: Time
  held_until: Time
  seen_at: Time
}

/** The audit log, append-only; see @ecokit/audit. */
interface AuditEntries {
  /** Counts up from 1 without gaps. */
  position: number
  /** Everything that the entry says, its position, and the SHA-256 of the text before it. */
  entry: Json
  at: GeneratedAlways<Time>
  tenant: GeneratedAlways<string>
  actor: GeneratedAlways<string>
  action: GeneratedAlways<string>
  target: GeneratedAlways<string>
  outcome: GeneratedAlways<string>
}

/** A signed statement of how far the audit log went and what its last hash was. */
interface AuditHead {
  head: Json
  /** The first eight digits of the hash of every entry since the head before. */
  marks: string
  signature: string
}

/** Data keys of the vault, each wrapped by a key-encryption key that is kept elsewhere. */
interface VaultKeys {
  /** 16 random bytes, hexadecimal. */
  id: string
  tenant: string
  /** The key-encryption key that wraps it. */
  kek_id: string
  /** Null once it was destroyed. */
  wrapped: Uint8Array | null
  /** One of each tenant is `active`: it seals. The others only open. */
  state: 'active' | 'retired' | 'destroyed'
  /** How often it has sealed. */
  uses: number
  created_at: Time
  updated_at: Time
}

/** Sealed values: one row for each version of a secret, one for each token. All columns but `key_id` are bound to the envelope, which says the key itself. */
interface VaultRecords {
  tenant: string
  kind: 'secret' | 'token'
  /** `*`: any. */
  partner: string
  name: string
  version: number
  /** 1 for the version that is read by default, at most one of each name. */
  active: number
  /** The data key that opens it; empty where there is no envelope. */
  key_id: string
  /** Null: it was removed, and its version number is not given again. */
  envelope: Uint8Array | null
  created_at: Time
  expires_at: Time | null
}

/** Every table of the store. Times are epoch milliseconds, JSON is text, booleans are 0 and 1. */
export interface Database {
  partners: Partners
  health_checks: HealthChecks
  health_states: HealthStates
  runs: Runs
  run_streams: RunStreams
  flow_state: FlowState
  quarantine: Quarantine
  lineage_events: LineageEvents
  stream_contracts: StreamContracts
  quality_results: QualityResults
  schedules: Schedules
  lineage_edges: LineageEdges
  leases: Leases
  shared_values: SharedValues
  shared_buckets: SharedBuckets
  audit_entries: AuditEntries
  /** One in every so many entries, append-only. */
  audit_heads: AuditHead & { position: number }
  /** The head of the last transaction; one row, with the id 1. */
  audit_newest: AuditHead & { id: number }
  vault_keys: VaultKeys
  vault_records: VaultRecords
}

/** A row as it is read. */
export type Row<Table extends keyof Database> = Selectable<Database[Table]>
/** A row as it is written. */
export type NewRow<Table extends keyof Database> = Insertable<Database[Table]>
