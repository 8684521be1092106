import type {
  AnyConnection,
  AnyConnector,
  AnyRecord,
  Discovered,
  ErrorCode,
  Manifest,
  ReadOptions,
} from '@ecokit/contracts'
import type { Runtime } from '@ecokit/connect'
import type { Platform, Plan } from './platform.ts'
import type { Probe } from './probes.ts'
import type { FullRead } from './reading.ts'

/** What a connector is proved with. Whatever is particular about it stands here as data, so that the rules stay the same for all. */
export interface ConformanceOptions {
  /** Reaches a partner that is there: a real server, best of all. */
  readonly config: unknown
  /** Accepted by that partner; left out where the connector has no auth or a scheme of kind `none` is meant. */
  readonly credentials?: unknown
  /** The same config pointed at another base URL: the kit's own servers hang, fail and echo. Needed by every connector that has hosts. */
  readonly at?: (url: string) => unknown
  /** What the kit's server passes requests on to. Default: the origin of the first host of `config`. */
  readonly upstream?: string
  /** Configs that must be refused, each with the field that the message names (`config.trackingUri`). Missing fields and unknown keys are tried anyway. */
  readonly invalidConfigs?: readonly { readonly config: unknown; readonly field: string }[]
  /** Of the right form and refused by the partner. Default: `credentials` with its secrets replaced. */
  readonly wrongCredentials?: unknown
  /** An input for each operation, by `capability.operation`. Operations with effect `read` must have one; others are called only when they do. */
  readonly samples?: Readonly<Record<string, unknown>>
  /** Operations, streams and sinks that are left out, each with the reason, which the report shows. */
  readonly without?: Readonly<Record<string, string>>
  /** How each stream is read; `{}` for those that are not named. */
  readonly streams?: Readonly<Record<string, StreamSample>>
  readonly sinks?: Readonly<Record<string, SinkSample>>
  /** The code that a probe ends with when the partner answers this status, where it is another than the kit's own table says; `ok` where that is no failure. */
  readonly statuses?: Readonly<Record<number, ErrorCode | 'ok'>>
  /** The most requests that a check may send. Default 3. */
  readonly checkRequests?: number
  /** Rules that do not hold for this connector, each with the reason, which the report shows. */
  readonly exceptions?: Readonly<Record<string, string>>
  /** More rules, such as a template's own. */
  readonly rules?: readonly Rule[]
  /** The README, which must name every operation, stream and sink. */
  readonly readme?: URL
  /** When the kit takes a call for one that never ends, in milliseconds. Default 10,000. */
  readonly deadlineMs?: number
}

export interface StreamSample {
  /** Passed to every read, such as `columns`, or a smaller range. */
  readonly options?: Omit<ReadOptions, 'checkpoint' | 'signal' | 'onInvalid'>
  /** How many records the partner holds at least. Default 1: a stream of nothing proves nothing. */
  readonly atLeast?: number
}

export interface SinkSample {
  /** The table to write; each rule adds its own ending to the name. */
  readonly table: Discovered
  /** Two or more that fit, with different primary keys. */
  readonly records: readonly AnyRecord[]
  /** The first of `records` with another value: its merge must replace the first. */
  readonly changed?: AnyRecord
  /** One that the sink must reject. */
  readonly refused?: AnyRecord
  /** What the table holds now. Default: the connection's own `read(table)`. */
  readonly rows?: (table: string) => Promise<readonly AnyRecord[]>
}

/** One law for connectors and the way to prove it by what a connector does. */
export interface Rule {
  /** `group.name`, in lower case. */
  readonly id: string
  /** What a connector that passes does, as a sentence. */
  readonly title: string
  /** False where the manifest alone says that the rule is about nothing. Default: true. */
  readonly applies?: (manifest: Manifest) => boolean
  /** Ends quietly when the rule holds; calls `context.fail` or `context.skip` otherwise. */
  readonly run: (context: RuleContext) => Promise<void> | void
}

export interface RuleContext {
  readonly connector: AnyConnector
  readonly manifest: Manifest
  readonly options: ConformanceOptions
  readonly deadlineMs: number
  /** A connection that is closed when the rule ends. Retries are quick; the runtime's other parts may be given. */
  readonly connect: (as?: {
    readonly config?: unknown
    readonly credentials?: unknown
    readonly runtime?: Runtime
  }) => AnyConnection
  /** A server of the kit's own that answers by the plan, and a config that points at it; stopped when the rule ends. */
  readonly platform: (plan: Plan) => Promise<Platform & { readonly config: unknown }>
  /** Every call that the kit knows how to make: the check, each sampled operation, each stream. */
  readonly probes: (kinds?: readonly Probe['kind'][]) => readonly Probe[]
  /** A stream read from beginning to end; read once for all rules. */
  readonly full: (stream: string) => Promise<FullRead>
  /** The names of the streams that are not left out. */
  readonly streams: () => readonly string[]
  /** Gives up on work that never ends. */
  readonly within: <T>(what: string, work: Promise<T>) => Promise<T>
  /** Waits until the condition holds, looking again and again. */
  readonly until: (what: string, condition: () => boolean) => Promise<void>
  /** The rule is broken. */
  readonly fail: (message: string) => never
  /** The rule is about nothing here. */
  readonly skip: (reason: string) => never
}

export interface RuleResult {
  readonly rule: string
  readonly title: string
  readonly status: 'passed' | 'failed' | 'not_applicable'
  /** What is broken, or why the rule is about nothing. */
  readonly message?: string
}

export interface Report {
  readonly connector: string
  readonly ok: boolean
  readonly passed: number
  readonly failed: number
  readonly notApplicable: number
  readonly results: readonly RuleResult[]
  /** Auth schemes that hand their secrets to the connector itself. */
  readonly exposed: readonly string[]
}
