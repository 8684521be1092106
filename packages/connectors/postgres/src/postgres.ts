import { none } from '@ecokit/auth'
import { defineConnector, secret, sink } from '@ecokit/contracts'
import type {
  AnyRecord,
  AuthScheme,
  Batch,
  CallOptions,
  Checked,
  Discovered,
  ReadOptions,
  WriteOptions,
} from '@ecokit/contracts'
import { z } from 'zod'
import { config, placeOf } from './place.ts'

const name = z
  .string()
  .min(1)
  .regex(/^[^\0]+$/, 'a user name')
const credentials = z.strictObject({
  username: name,
  password: secret()
    .regex(/^[^\0]+$/, 'a password may hold no NUL')
    .meta({ secret: true }),
})
/** PostgreSQL proves the knowledge of a password in its own protocol, so the connector itself needs it. */
const password = {
  kind: 'password',
  credentials,
  exposed: true,
  open: () => ({ authorize: () => {} }),
} as const satisfies AuthScheme<typeof credentials>
const userOnly = z.strictObject({ username: name.default('postgres') })
/** The server lets the user in without a password: `trust` or `peer` in its pg_hba.conf. */
const trusted = { ...none(), credentials: userOnly, exposed: true } as const satisfies AuthScheme<typeof userOnly>

const manifest = {
  id: 'postgres',
  title: 'PostgreSQL',
  description:
    'Tables and views of a PostgreSQL database, and tables that rows and checkpoint are written to in one transaction.',
  config,
  hosts: ['{host}:{port}'],
  auth: { password, none: trusted },
  discovers: true,
  dataset: { namespace: 'postgres://{host}:{port}', name: '{database}.{schema}.{table}' },
  sinks: {
    tables: sink({
      accepts: ['records', 'ndjson'],
      dispositions: ['append', 'overwrite', 'merge'],
      deletes: ['hard', 'soft'],
      changes: ['add_column', 'widen'],
      commit: 'transaction',
    }),
  },
} as const

/** A PostgreSQL database. Everything that does work is imported at its first use. */
export const postgres = defineConnector(manifest, ({ config: given, credentials: chosen, socket, name: partner }) => {
  const place = placeOf({ partner, config: given, credentials: chosen, socket })
  return {
    check: async (options: CallOptions): Promise<Checked> => (await import('./check.ts')).check(place, options),
    async *discover(options: CallOptions): AsyncIterable<Discovered> {
      yield* (await import('./read.ts')).discover(place, options)
    },
    async *readDiscovered(table: string, options: ReadOptions): AsyncIterable<Batch<AnyRecord>> {
      yield* (await import('./read.ts')).readTable(place, table, options)
    },
    write: {
      tables: async (options: WriteOptions) => (await import('./tables/write.ts')).writeTable(place, options),
    },
  }
})
