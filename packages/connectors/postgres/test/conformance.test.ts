import { afterAll, test } from 'vitest'
import { requirePeer } from '@ecokit/peers/vitest'
import { eachRule } from '@ecokit/testkit'
import { postgres } from '../src/index.ts'
import { configOf, endServer, server, table } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)

const runs = table(
  {
    id: { type: 'string' },
    value: { type: 'number' },
    at: { type: 'string', format: 'date-time' },
    tags: { type: 'object', additionalProperties: { type: 'string' } },
  },
  ['id'],
  'runs',
)
const sample = {
  table: runs,
  records: [
    { id: 'a', value: 1.5, at: '2026-01-01T00:00:00.123456Z', tags: { team: 'x' } },
    { id: 'b', value: NaN, at: null, tags: {} },
    { id: 'c', value: null, at: '2026-01-01T00:00:00Z', tags: null },
  ],
  changed: { id: 'a', value: -0.25, at: null, tags: { more: '', team: 'y' } },
  refused: { id: 'z', value: 'not a number' },
}
/** The kit's server speaks HTTP, which no client of PostgreSQL can be told an answer in. */
const noHttp = 'it is about replies over HTTP, and PostgreSQL has a protocol of its own'

peer.describe('conformance', () => {
  eachRule(test, postgres, async () => {
    const running = await server()
    await running.sql(
      "CREATE TABLE IF NOT EXISTS something (id bigint PRIMARY KEY, name text); INSERT INTO something VALUES (1, 'x') ON CONFLICT DO NOTHING; GRANT SELECT ON something TO writer",
    )
    return {
      config: configOf(running),
      credentials: { scheme: 'password', ...running.logins.writer },
      at: (url: string) => ({
        host: new URL(url).hostname,
        port: Number(new URL(url).port),
        database: running.database,
      }),
      invalidConfigs: [
        { config: {}, field: 'config.host' },
        { config: { host: 'http://x', database: 'd' }, field: 'config.host' },
        { config: { host: 'x', database: 'd', port: 0 }, field: 'config.port' },
        { config: { host: 'x', database: 'd', ssl: 'maybe' }, field: 'config.ssl' },
      ],
      sinks: { tables: sample },
      readme: new URL('../README.md', import.meta.url),
      exceptions: { 'check.hanging': noHttp, 'errors.status': noHttp, 'close.pending': noHttp },
    }
  })
})
