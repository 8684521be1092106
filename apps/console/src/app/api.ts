/** What the server's public API gives; see its /openapi.json. The console uses nothing else. */
export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy' | 'unknown'
export interface Health {
  readonly status: HealthStatus
  readonly since?: string | null
  readonly code?: string | null
  readonly message?: string | null
  readonly latencyMs?: number | null
  readonly checkedAt: string
  readonly version?: string | null
  readonly parts?: Readonly<Record<string, string>> | null
  /** True where TLS 1.2 is spoken because the connection asks for it. */
  readonly oldTls?: boolean
}
export interface Partner {
  readonly name: string
  readonly connector: string
  readonly title: string
  readonly tier: string
  readonly owner: string | null
  readonly tags: readonly string[]
  readonly origin: string
  /** Of the calls of the server that shows this; null before the first. */
  readonly circuit: 'closed' | 'open' | 'half_open' | null
  readonly health: Health | null
  readonly history: readonly {
    readonly status: HealthStatus
    readonly latencyMs: number | null
    readonly checkedAt: string
  }[]
}
export type RunStatus = 'running' | 'completed' | 'failed' | 'cancelled' | 'waiting'
/** One way in which the schema of a stream is another than before. */
export interface SchemaChange {
  readonly kind: string
  readonly field: string
  readonly before?: string
  readonly after?: string
}
export interface RunStream {
  readonly stream: string
  readonly table: string
  readonly mode: string
  readonly disposition: string
  readonly status: RunStatus
  readonly read: number
  readonly written: number
  readonly quarantined: number
  readonly deleted: number
  readonly requests: number
  readonly bytes: number
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly durationMs: number
  /** What the last pass over everything read, where this is one too. */
  readonly expected?: number
  /** About how long is left, as the server works it out. */
  readonly leftMs?: number
  readonly drift: readonly SchemaChange[]
  readonly error?: { readonly code: string; readonly message: string } | null
}
export interface Window {
  readonly since?: string
  readonly until?: string
}
/** A run, its streams taken together. */
export interface RunSummary {
  readonly id: string
  readonly pipeline: string
  readonly source: string
  readonly sink: string
  readonly trigger: string
  readonly full: boolean
  readonly backfill?: Window
  readonly warnings: readonly string[]
  readonly status: RunStatus
  readonly startedAt: string
  readonly endedAt: string | null
  readonly error?: { readonly code: string; readonly message: string } | null
  readonly totals: {
    readonly streams: number
    readonly read: number
    readonly written: number
    readonly quarantined: number
    readonly deleted: number
  }
}
/** A run with each of its streams. */
export interface Run extends RunSummary {
  readonly streams: readonly RunStream[]
}
export interface Pipeline {
  readonly name: string
  readonly source: string
  readonly sink: string
  readonly streams: readonly string[]
  readonly everyMs: number | null
  readonly schedule: {
    readonly cron: string
    readonly timezone: string
    readonly jitterMs: number
    readonly missed: 'skip' | 'catch_up'
  } | null
  readonly nextAt: string | null
  /** Streams that wait until somebody accepts how their schema has changed. */
  readonly paused: readonly { readonly stream: string; readonly changes: readonly SchemaChange[] }[]
  readonly problem: { readonly code: string; readonly message: string } | null
  readonly running: boolean
}
export interface StreamInfo {
  readonly name: string
  readonly discovered: boolean
}
export type Row = Readonly<Record<string, unknown>>
export interface LineageEvent {
  readonly eventType: string
  readonly eventTime: string
  readonly job: { readonly namespace: string; readonly name: string }
  readonly inputs?: readonly Dataset[]
  readonly outputs?: readonly Dataset[]
}
export interface Dataset {
  readonly namespace: string
  readonly name: string
  readonly inputFacets?: { readonly inputStatistics?: { readonly rowCount?: number } }
  readonly facets?: {
    readonly schema?: { readonly fields?: readonly { readonly name: string; readonly type?: string }[] }
  }
}
export interface Quarantined {
  readonly stream: string
  readonly field: string
  readonly reason: string
  readonly record: unknown
  readonly at: string
}

export interface Quality {
  readonly stream: string
  readonly name: string
  readonly severity: string
  readonly passed: boolean
  readonly checked: number
  readonly failed: number
  readonly message: string
}
export interface LineageNode {
  readonly namespace: string
  readonly name: string
  readonly field?: string
}
export interface LineageEdge {
  readonly from: LineageNode
  readonly to: LineageNode
  readonly pipeline: string
  readonly stream: string
  readonly transformation: string
}

/** An answer of the server that is not what was asked for; `status` 401 means that this browser has no session. */
export interface ApiError extends Error {
  readonly status: number
}

const ask = async <T>(path: string, init?: RequestInit): Promise<T> => {
  const reply = await fetch(path, {
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json' },
    ...init,
  })
  const body = (await reply.json().catch(() => ({}))) as { error?: { message?: string } }
  if (reply.ok) return body as T
  throw Object.assign(new Error(body.error?.message ?? `the server answered ${reply.status}`), { status: reply.status })
}
const segment = encodeURIComponent

export const api = {
  partners: () => ask<{ partners: readonly Partner[] }>('/api/partners').then((body) => body.partners),
  check: (name: string) => ask<Health>(`/api/partners/${segment(name)}/check`, { method: 'POST', body: '{}' }),
  streams: (name: string) =>
    ask<{ streams: readonly StreamInfo[] }>(`/api/partners/${segment(name)}/streams`).then((body) => body.streams),
  records: (name: string, stream: string, limit: number) =>
    ask<{ records: readonly Row[]; truncated: boolean }>(
      `/api/partners/${segment(name)}/streams/${segment(stream)}/records?limit=${limit}`,
    ),
  pipelines: () => ask<{ pipelines: readonly Pipeline[] }>('/api/pipelines').then((body) => body.pipelines),
  start: (
    name: string,
    wanted: { readonly full?: boolean; readonly streams?: readonly string[]; readonly backfill?: Window },
  ) => ask<{ id: string }>(`/api/pipelines/${segment(name)}/runs`, { method: 'POST', body: JSON.stringify(wanted) }),
  accept: (name: string, stream: string) =>
    ask<{ accepted: number }>(`/api/pipelines/${segment(name)}/accept`, {
      method: 'POST',
      body: JSON.stringify({ stream }),
    }),
  runs: (limit: number) => ask<{ runs: readonly RunSummary[] }>(`/api/runs?limit=${limit}`).then((body) => body.runs),
  run: (id: string) => ask<Run>(`/api/runs/${segment(id)}`),
  cancel: (id: string) => ask<unknown>(`/api/runs/${segment(id)}/cancel`, { method: 'POST', body: '{}' }),
  lineage: (id: string) =>
    ask<{ events: readonly LineageEvent[] }>(`/api/runs/${segment(id)}/lineage`).then((body) => body.events),
  quality: (id: string) =>
    ask<{ results: readonly Quality[] }>(`/api/quality?run=${segment(id)}&limit=1000`).then((body) => body.results),
  lineageOf: ({ namespace, name, field }: LineageNode) =>
    ask<{ edges: readonly LineageEdge[] }>(
      `/api/lineage?${new URLSearchParams({ namespace, name, ...(field === undefined ? {} : { field }) }).toString()}`,
    ).then((body) => body.edges),
  quarantine: (id: string) =>
    ask<{ records: readonly Quarantined[] }>(`/api/runs/${segment(id)}/quarantine?limit=100`).then(
      (body) => body.records,
    ),
}
