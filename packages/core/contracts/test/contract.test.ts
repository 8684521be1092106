import { z } from 'zod'
import { expect, test } from 'vitest'
import { capability, defineConnector, many, one, sink, stream } from '../src/index.ts'
import type {
  AnyConnection,
  AnyConnector,
  Api,
  AuthScheme,
  Capability,
  ConnectAs,
  Connection,
  Connector,
  Manifest,
} from '../src/index.ts'

// What core/connect gives, by its types alone: nothing here is run beyond making the connectors.
declare function connect<M extends Manifest>(connector: Connector<M>, as: ConnectAs<M>): Connection<M>
declare function connectUnknown(connector: AnyConnector, as: { readonly config: unknown }): AnyConnection
declare function use<C extends Capability>(connection: AnyConnection, capability: C): Api<C> | undefined

// ---- core/auth
const bearer = () =>
  ({
    kind: 'bearer',
    credentials: z.object({ token: z.string().min(1).meta({ secret: true }) }),
    open: (c) => ({
      authorize: (r) => {
        r.headers.set('authorization', `Bearer ${c.token}`)
      },
    }),
  }) satisfies AuthScheme<z.ZodObject<{ token: z.ZodString }>>
const none = () =>
  ({ kind: 'none', credentials: z.object({}), open: () => ({ authorize: () => {} }) }) satisfies AuthScheme
const signatureV4 = (service: string) =>
  ({
    kind: 'aws_signature_v4',
    credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string().meta({ secret: true }) }),
    open: (c: { accessKeyId: string; secretAccessKey: string }) => ({
      authorize: (r) => {
        r.headers.set(
          'authorization',
          `${r.method} ${r.url.pathname} ${r.body === 'stream' ? 'UNSIGNED-PAYLOAD' : r.body?.length} ${service} ${c.accessKeyId}`,
        )
      },
    }),
  }) satisfies AuthScheme
const keyPair = () =>
  ({
    kind: 'snowflake_key_pair',
    credentials: z.object({ user: z.string(), privateKey: z.string().meta({ secret: true }) }),
    open: (c: { user: string; privateKey: string }, x) => ({
      authorize: async (r) => {
        const { account } = z.object({ account: z.string() }).parse(x.config)
        r.headers.set('authorization', `Bearer ${(await x.tokens.get(`${x.partner}/jwt`))?.value ?? account + c.user}`)
        r.headers.set('x-snowflake-authorization-token-type', 'KEYPAIR_JWT')
      },
    }),
  }) satisfies AuthScheme
const exposed = <S extends z.ZodObject>(credentials: S) => ({
  kind: 'exposed',
  credentials,
  exposed: true as const,
  open: () => ({ authorize: () => {} }),
})

// ---- templates/mlops
const Run = z.object({ id: z.string(), metrics: z.record(z.string(), z.number()) })
export const runs = capability({
  id: 'mlops.runs',
  version: 1,
  operations: {
    search: many({ effect: 'read', input: z.object({ experimentId: z.string() }), output: Run }),
    logMetric: one({
      effect: 'write',
      input: z.object({ runId: z.string(), key: z.string(), value: z.number() }),
      output: z.void(),
    }),
  },
})

// ---- 1: MLflow: capability + stream + webhooks
export const mlflow = defineConnector(
  {
    id: 'mlflow',
    title: 'MLflow',
    config: z.object({ trackingUri: z.url() }),
    hosts: ['{trackingUri}'],
    auth: { none: none(), token: bearer() },
    provides: { runs },
    streams: {
      runs: stream({
        schema: z.object({ run_id: z.string(), start_time: z.number(), status: z.string().default('RUNNING') }),
        primaryKey: ['run_id'],
        cursor: 'start_time',
      }),
    },
    events: {
      'model_version.created': { data: z.object({ name: z.string(), version: z.string() }) },
      'registered_model.created': { data: z.object({ name: z.string() }) },
    },
  },
  ({ config, http }) => {
    const api = http(`${config.trackingUri}/api/2.0/mlflow/`)
    return {
      check: async (o) => {
        await api.json({ method: 'GET', path: 'experiments/search' }, z.unknown(), o)
        return {}
      },
      provides: {
        runs: {
          async *search({ experimentId }, o) {
            const p = await api.json(
              { method: 'POST', path: 'runs/search', body: { experimentId }, effect: 'read' },
              z.object({ runs: z.array(z.object({ id: z.string() })) }),
              o,
            )
            for (const r of p.runs) yield { id: r.id, metrics: {} }
          },
          async logMetric({ runId, key, value }, o) {
            await api.json({ method: 'POST', path: 'runs/log-metric', body: { runId, key, value } }, z.unknown(), o)
          },
        },
      },
      read: {
        async *runs({ checkpoint, signal }) {
          signal?.throwIfAborted()
          const from = Number(checkpoint?.['start_time'] ?? 0)
          yield { encoding: 'records', records: [{ run_id: 'a', start_time: from }], checkpoint: { start_time: from } }
        },
      },
      events: {
        async receive({ body, headers, secrets }) {
          if (!secrets.includes(`${headers.get('signature') ?? ''}${body.length}`)) return []
          return [{ type: 'registered_model.created', id: '1', time: '', data: { name: 'm' } }]
        },
      },
    }
  },
)
// ---- 2: sink-only platform, two hosts, no streams, nothing said about them
const Point = z.object({ metric: z.string(), value: z.number(), timestamp: z.number().int() })
export const datadog = defineConnector(
  {
    id: 'datadog',
    title: 'Datadog',
    config: z.object({ site: z.string().default('datadoghq.com') }),
    hosts: ['api.{site}', 'http-intake.logs.{site}'],
    auth: {
      keys: {
        kind: 'api_key',
        credentials: z.object({ apiKey: z.string() }),
        open: (c: { apiKey: string }) => ({
          authorize: (r) => {
            r.headers.set('dd-api-key', c.apiKey)
          },
        }),
      },
    },
    sinks: { series: sink({ schema: Point, accepts: ['records'], dispositions: ['append'], commit: 'at_least_once' }) },
  },
  ({ config, http }) => {
    const api = http(`https://api.${config.site}`)
    return {
      check: async (o) => {
        await api.json({ method: 'GET', path: '/api/v1/validate' }, z.unknown(), o)
        return { parts: { series: 'ok' } }
      },
      write: {
        series: async () => ({
          resumesFrom: async () => undefined,
          async write(b) {
            if (b.encoding !== 'records') return { rows: 0, rejected: [] }
            const first = b.records[0]
            first?.metric.toUpperCase()
            return { rows: b.records.length, rejected: [] }
          },
          async commit() {},
          async [Symbol.asyncDispose]() {},
        }),
      },
    }
  },
)
// ---- 3: local DuckDB: no auth, no hosts, tables discovered, any table written
export const local = defineConnector(
  {
    id: 'local',
    title: 'DuckDB and files',
    config: z.object({ path: z.string() }),
    hosts: [],
    discovers: true,
    sinks: {
      tables: sink({
        accepts: ['records', 'ndjson', 'arrow'],
        dispositions: ['append', 'overwrite', 'merge'],
        commit: 'transaction',
      }),
    },
  },
  () => ({
    check: async () => ({}),
    async *discover() {
      yield { name: 't', schema: {} }
    },
    async *readDiscovered() {
      yield { encoding: 'ndjson', bytes: new Uint8Array(), count: 0 }
    },
    write: {
      tables: async () => ({
        resumesFrom: async () => undefined,
        write: async (b) => ({
          rows: b.encoding === 'records' ? b.records.filter((r) => r['id'] !== null).length : b.count,
          rejected: [],
        }),
        async commit() {},
        async [Symbol.asyncDispose]() {},
      }),
    },
  }),
)
// ---- 4: pure event source (kube watch) and a protocol that needs its own secret
export const kube = defineConnector(
  {
    id: 'kube',
    title: 'Kubernetes',
    config: z.object({ server: z.url() }),
    hosts: ['{server}'],
    auth: {
      token: bearer(),
      s3: signatureV4('s3'),
      jwt: keyPair(),
      password: exposed(z.object({ user: z.string(), password: z.string() })),
    },
    events: { 'job.changed': { data: z.object({ phase: z.string() }) } },
  },
  ({ http, config, credentials }) => {
    if (credentials.scheme === 'password') credentials.password.trim()
    // @ts-expect-error a scheme that is not exposed hands over its name only
    else if (credentials.scheme === 'token') credentials.token
    void http(config.server)
    return {
      check: async () => ({}),
      events: {
        async *watch({ checkpoint }) {
          if (checkpoint?.['resourceVersion'] === '1') return
          yield {
            events: [{ type: 'job.changed', id: '', time: '', data: { phase: 'x' } }],
            checkpoint: { resourceVersion: '1' },
          }
        },
      },
    }
  },
)

export const uses = async () => {
  // ---- the stranger
  const m = connect(mlflow, { config: { trackingUri: 'http://x' }, credentials: { scheme: 'none' } })
  for await (const run of m.runs.search({ experimentId: '7' })) run.metrics['a']?.toFixed()
  for await (const b of m.read('runs')) if (b.encoding === 'records') b.records[0]?.status.toUpperCase()
  for (const e of (await m.events.receive?.({
    headers: new Headers(),
    body: new Uint8Array(),
    secrets: [],
    receivedAt: 0,
  })) ?? [])
    if (e.type === 'model_version.created') e.data.version.trim()
  const d = connect(local, { config: { path: 'lake.duckdb' } })
  for await (const t of d.discover()) t.name.trim()
  const w = await connect(datadog, { config: {}, credentials: { scheme: 'keys', apiKey: 'k' } }).write('series', {
    table: { name: 'x', schema: {} },
    disposition: 'append',
    run: 'r',
    key: 'p/s',
  })
  await w.write({ encoding: 'records', records: [{ metric: 'a', value: 1, timestamp: 1 }] })
  // ---- hosts of unknown make
  const all: readonly AnyConnector[] = [mlflow, datadog, local, kube]
  const u = connectUnknown(all[0]!, { config: {} })
  for await (const run of use(u, runs)?.search({ experimentId: '7' }) ?? []) run.id.trim()
  const listed: unknown[] = []
  for (const c of all)
    for (const [name, cap] of Object.entries(c.manifest.provides ?? {}))
      for (const [op, x] of Object.entries(cap.operations)) listed.push([name, op, x.effect, x.input])
  const anything: readonly AnyConnection[] = [m, d]
  anything.forEach(({ name }) => name.trim())
  // ---- what must not compile
  // @ts-expect-error no such capability
  m.models
  // @ts-expect-error no such stream
  m.read('nope')
  // @ts-expect-error no streams at all
  connect(datadog, { config: {}, credentials: { scheme: 'keys', apiKey: 'k' } }).read
  // @ts-expect-error token missing
  connect(mlflow, { config: { trackingUri: 'x' }, credentials: { scheme: 'token' } })
  // @ts-expect-error a connector of unknown make cannot be opened by hand
  all[0]!.open({})
  // @ts-expect-error a row of the wrong shape
  await w.write({ encoding: 'records', records: [{ metric: 'a' }] })
  // @ts-expect-error reserved name
  defineConnector({ id: 'a', title: 'A', config: z.object({}), hosts: [], provides: { check: runs } }, () => ({
    check: async () => ({}),
    provides: {} as never,
  }))
  // @ts-expect-error misspelt section
  defineConnector({ id: 'a', title: 'A', config: z.object({}), hosts: [], stream: {} }, () => ({
    check: async () => ({}),
  }))
  defineConnector({ id: 'a', title: 'A', config: z.object({}), hosts: [], provides: { runs } }, () => ({
    check: async () => ({}),
    // @ts-expect-error a declared operation is missing
    provides: { runs: { async *search() {} } },
  }))
  // @ts-expect-error no such key
  stream({ schema: z.object({ a: z.string() }), primaryKey: ['b'] })
}

test('connectors are values that can be read without connecting', () => {
  expect([mlflow, datadog, local, kube].map((connector) => connector.manifest.id)).toEqual([
    'mlflow',
    'datadog',
    'local',
    'kube',
  ])
  expect(Object.keys(mlflow.manifest.provides.runs.operations)).toEqual(['search', 'logMetric'])
})
