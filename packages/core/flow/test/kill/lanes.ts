import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, connectUnknown } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { postgres } from '@ecokit/connector-postgres'
import { readJson } from '@ecokit/http'
import { type AnyConnection, type AnyRecord, type Sink } from '@ecokit/contracts'
import type { Postgres } from '../../../../../tools/peers/index.ts'
import type { Life, SinkPlace } from './life.ts'

/** One sink of the proof: where processes write, what they sync into it, and how the test looks at it afterwards. */
export interface Lane {
  readonly name: string
  readonly place: SinkPlace
  readonly streams: Life['streams']
  /** True where rows and checkpoint are stored in one step. */
  readonly transactional: boolean
  /** True where a pass over everything removes what is gone. */
  readonly prunes: boolean
  /** What the tables hold that the last process left behind; a table that is not there has no rows. */
  look(): Promise<ReadonlyMap<string, readonly AnyRecord[]>>
  close(): Promise<void>
}

const rowsOf = async (
  connection: AnyConnection,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly AnyRecord[]>> => {
  const found = new Map<string, readonly AnyRecord[]>()
  const present = await Array.fromAsync(connection.discover?.() ?? [], ({ name }) => name)
  for (const name of names) {
    const records: AnyRecord[] = []
    if (present.includes(name))
      for await (const batch of connection.read?.(name) ?? [])
        if (batch.encoding === 'records') records.push(...batch.records)
    found.set(name, records)
  }
  return found
}
const looking = async <T>(connection: AnyConnection, work: (connection: AnyConnection) => Promise<T>): Promise<T> => {
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

const everything = [
  { stream: 'log', disposition: 'append' },
  { stream: 'items', disposition: 'merge' },
  { stream: 'snap', disposition: 'overwrite' },
] as const

export const duckdb = (folder: string): Lane => {
  const config = { database: path.join(folder, 'lake.duckdb') }
  return {
    name: 'duckdb',
    place: { connector: 'local', sinkName: 'tables', config },
    streams: everything,
    transactional: true,
    prunes: (local.manifest.sinks.tables as Sink).deletes !== undefined,
    look: () =>
      looking(connect(local, { name: 'look', config }) as AnyConnection, (lake) =>
        rowsOf(lake, ['log', 'items', 'snap']),
      ),
    close: () => Promise.resolve(),
  }
}

export const files =
  (format: 'parquet' | 'ndjson' | 'csv') =>
  (folder: string): Lane => {
    const config = { folder: path.join(folder, 'files') }
    return {
      name: format,
      place: { connector: 'local', sinkName: format, config },
      streams: everything.filter(({ disposition }) => disposition !== 'merge'),
      transactional: true,
      prunes: false,
      look: () =>
        looking(connect(local, { name: 'look', config }) as AnyConnection, (lake) => rowsOf(lake, ['log', 'snap'])),
      close: () => Promise.resolve(),
    }
  }

/** An endpoint that stores rows by their id, as a partner would whose database survives us. */
export const http = async (): Promise<Lane> => {
  const tables = new Map<string, Map<unknown, AnyRecord>>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const name = (request.url ?? '').slice(1)
      const rows = tables.get(name) ?? new Map<unknown, AnyRecord>()
      tables.set(name, rows)
      for (const row of readJson(Buffer.concat(chunks).toString()) as AnyRecord[]) rows.set(row['id'], row)
      response.end('{}')
    })
    // A request that was cut off with its process stores nothing.
    request.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return {
    name: 'http',
    place: {
      connector: 'http-sink',
      sinkName: 'upsert',
      config: { url, idempotencyHeader: 'idempotency-key', batchRows: 12 },
      credentials: { scheme: 'none' },
    },
    streams: [
      { stream: 'log', disposition: 'merge' },
      { stream: 'items', disposition: 'merge' },
      { stream: 'snap', disposition: 'merge' },
    ],
    transactional: false,
    prunes: false,
    look: () => Promise.resolve(new Map([...tables].map(([name, rows]) => [name, [...rows.values()]]))),
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** What a folder's manifest says was committed under a key; undefined before anything was. */
export const manifestState = async (lane: Lane, table: string, key: string): Promise<unknown> => {
  const { folder } = lane.place.config as { readonly folder: string }
  const text = await readFile(path.join(folder, table, '_manifest.json'), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const { checkpoints } = JSON.parse(text) as {
    readonly checkpoints: Readonly<Record<string, { readonly checkpoint: unknown }>>
  }
  return checkpoints[key]?.checkpoint
}

/** A schema of a real PostgreSQL for each folder. */
export const postgresLane =
  (server: () => Promise<Postgres>) =>
  async (folder: string): Promise<Lane> => {
    const running = await server()
    const { host, port, database, logins } = running
    const schema = `lane_${path
      .basename(folder)
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '_')}`
    await running.sql(`CREATE SCHEMA ${schema} AUTHORIZATION ${logins.writer.username}`)
    const config = { host, port, database, schema }
    const credentials = { scheme: 'password', ...logins.writer }
    return {
      name: 'postgres',
      place: { connector: 'postgres', sinkName: 'tables', config, credentials },
      streams: everything,
      transactional: true,
      prunes: true,
      look: async () => {
        // What a process sent before it died may still be under way.
        const busy = `SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE usename = $1 AND query LIKE '%${schema}%'`
        while (Number((await running.sql(busy, [logins.writer.username]))[0]?.['sessions']) > 0) await sleep(2)
        return looking(connectUnknown(postgres, { name: 'look', config, credentials }), (base) =>
          rowsOf(base, ['log', 'items', 'snap']),
        )
      },
      close: async () => {
        await running.sql(`DROP SCHEMA ${schema} CASCADE`)
      },
    }
  }
