import { afterAll, test } from 'vitest'
import { eachRule } from '@ecokit/testkit'
import { httpSink } from '../src/index.ts'
import { openEndpoint } from './endpoint.ts'

const endpoints: Awaited<ReturnType<typeof openEndpoint>>[] = []
afterAll(() => Promise.all(endpoints.map((endpoint) => endpoint.close())))

const table = {
  schema: { type: 'object', properties: { id: { type: 'string' }, value: { type: 'number' } } },
  primaryKey: ['id'],
}
const records = [
  { id: 'a', value: 1.5 },
  { id: 'b', value: 2 },
  { id: 'c', value: null },
]

eachRule(test, httpSink, async () => {
  const endpoint = await openEndpoint({ token: 'right-token' })
  endpoint.refuses = ({ value }) => (typeof value === 'string' ? 'value: not a number' : undefined)
  endpoints.push(endpoint)
  const { origin } = new URL(endpoint.url)
  const config = (base: string) => ({
    url: `${base}/api`,
    idempotencyHeader: 'idempotency-key',
    errors: { at: 'errors', index: 'index', reason: 'reason' },
    delete: { path: '{table}/{id}' },
  })
  const rows = (name: string) => {
    const stored = endpoint.tables.get(name) ?? []
    return Promise.resolve(stored)
  }
  const sample = { records, refused: { id: 'z', value: 'no number' }, rows }
  return {
    config: config(origin),
    credentials: { scheme: 'bearer', token: 'right-token' },
    at: (url) => config(new URL(url).origin),
    invalidConfigs: [
      { config: { url: 'no address' }, field: 'config.url' },
      { config: { ...config(origin), format: 'xml' }, field: 'config.format' },
      { config: { ...config(origin), headers: { authorization: 'x' } }, field: 'config.headers.authorization' },
      { config: { ...config(origin), signing: { headers: { a: '{secret}' } } }, field: 'config.signing.headers' },
      { config: { ...config(origin), path: 'https://elsewhere.example/' }, field: 'config.path' },
    ],
    sinks: {
      upsert: { ...sample, changed: { id: 'a', value: 7 }, table: { ...table, name: 'upserted' } },
      append: { ...sample, table: { ...table, name: 'appended' } },
    },
    exceptions: {
      'sinks.resume': 'an endpoint keeps no checkpoints: the engine does',
    },
    readme: new URL('../README.md', import.meta.url),
  }
})
