import { defineConnector, secret, sink, stream } from '@ecokit/contracts'
import type { AuthScheme, WriteOptions } from '@ecokit/contracts'
import { z } from 'zod'

const none = { kind: 'none', credentials: z.object({}), open: () => ({ authorize: () => {} }) } satisfies AuthScheme
const token = () => {
  const credentials = z.strictObject({ token: secret() })
  return {
    kind: 'bearer',
    credentials,
    open: (given) => ({ authorize: (request) => request.headers.set('authorization', `Bearer ${given.token}`) }),
  } satisfies AuthScheme<typeof credentials>
}
const basic = () => {
  const credentials = z.strictObject({ username: z.string().min(1), password: secret() })
  return {
    kind: 'basic',
    credentials,
    open: () => ({ authorize: () => {} }),
  } satisfies AuthScheme<typeof credentials>
}

const writer = (_options: WriteOptions) =>
  Promise.resolve({
    resumesFrom: () => Promise.resolve(undefined),
    write: () => Promise.resolve({ rows: 0, rejected: [] }),
    commit: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })

/** Experiments with runs and metrics, three ways to log in. */
export const tracker = defineConnector(
  {
    id: 'tracker',
    title: 'Tracker',
    config: z.strictObject({
      trackingUri: z.url().describe('Where the tracking server answers, such as http://127.0.0.1:5000.'),
      retries: z.int().min(0).max(10).default(3),
      mode: z.enum(['fast', 'careful']).optional(),
      proxy: z.strictObject({ host: z.string(), port: z.int() }).optional(),
    }),
    hosts: ['{trackingUri}'],
    auth: { none, token: token(), basic: basic() },
    provides: { runs: { id: 'mlops.runs', version: 1, operations: {} } },
    streams: {
      runs: stream({
        schema: z.object({ id: z.string(), ended: z.number() }),
        primaryKey: ['id'],
        cursor: 'ended',
      }),
      metrics: stream({ schema: z.object({ value: z.number() }) }),
    },
  },
  ({ http, config }) => ({
    check: async (options) => {
      await http(config.trackingUri).json({ method: 'GET', path: '/version' }, z.unknown(), options)
      return { version: '1' }
    },
    provides: { runs: {} },
    read: {
      async *runs() {
        yield await Promise.resolve({ encoding: 'records' as const, records: [{ id: 'a', ended: 1 }] })
      },
      async *metrics() {
        yield await Promise.resolve({ encoding: 'records' as const, records: [{ value: 1 }] })
      },
    },
  }),
)

/** Two sinks, no auth, tables found at run time. */
export const lake = defineConnector(
  {
    id: 'lake',
    title: 'Lake',
    config: z.strictObject({ database: z.string().min(1) }),
    hosts: [],
    discovers: true,
    sinks: {
      tables: sink({ accepts: ['records'], dispositions: ['append', 'overwrite', 'merge'], commit: 'transaction' }),
      parquet: sink({ accepts: ['records'], dispositions: ['append', 'overwrite'], commit: 'idempotent' }),
    },
  },
  () => ({
    check: () => Promise.resolve({}),
    async *discover() {},
    async *readDiscovered() {},
    write: { tables: writer, parquet: writer },
  }),
)

/** Needs a key, takes points only. */
export const monitor = defineConnector(
  {
    id: 'monitor',
    title: 'Monitor',
    config: z.strictObject({ site: z.string().default('example.com') }),
    hosts: ['api.{site}'],
    auth: { key: token() },
    sinks: {
      series: sink({
        schema: z.object({ value: z.number() }),
        accepts: ['records'],
        dispositions: ['append'],
        commit: 'at_least_once',
      }),
    },
  },
  () => ({ check: () => Promise.resolve({}), write: { series: writer } }),
)

export const connectors = [tracker, lake, monitor]
