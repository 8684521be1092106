import path from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, connectUnknown } from '@ecokit/connect'
import { httpSink } from '@ecokit/connector-http-sink'
import { local } from '@ecokit/connector-local'
import { postgres } from '@ecokit/connector-postgres'
import { fromJson, type AnyConnection, type AnyRecord } from '@ecokit/contracts'
import type { Postgres } from '../../../../../tools/peers/index.ts'
import type { SinkKind } from './oracle.ts'
import { serve } from './source.ts'

export type Disposition = 'append' | 'overwrite' | 'merge'
/** One sink of a round: where it is written, and how what it holds is read again. */
export interface Lane {
  readonly name: string
  readonly kind: SinkKind
  readonly sink: AnyConnection
  readonly sinkName: string
  readonly disposition: Disposition
  /** True where the sink commits at least once, and says that appended rows may come twice. */
  readonly loose?: boolean
  readonly rows: (table: string) => AsyncIterable<readonly AnyRecord[]> | Iterable<readonly AnyRecord[]>
  readonly close: () => Promise<void>
}

const readRows = (connection: AnyConnection) =>
  async function* (table: string): AsyncIterable<readonly AnyRecord[]> {
    for await (const batch of connection.read?.(table) ?? []) {
      if (batch.encoding !== 'records') throw new Error('a table is not read as records')
      yield batch.records
    }
  }

const files = (folder: string, sinkName: string, disposition: Disposition): Lane => {
  const config = { folder: path.join(folder, sinkName) }
  const sink = connect(local, { name: sinkName, config }) as AnyConnection
  return { name: sinkName, kind: 'local', sink, sinkName, disposition, rows: readRows(sink), close: () => sink.close() }
}
const duckdb = (folder: string, disposition: Disposition): Lane => {
  const config = { database: path.join(folder, 'lake.duckdb') }
  const sink = connect(local, { name: 'duckdb', config }) as AnyConnection
  return {
    name: 'duckdb',
    kind: 'local',
    sink,
    sinkName: 'tables',
    disposition,
    rows: readRows(sink),
    close: () => sink.close(),
  }
}
const database = async (running: Postgres, round: number, disposition: Disposition): Promise<Lane> => {
  const { host, port, database: name, logins } = running
  const schema = `round_${round}`
  await running.sql(`CREATE SCHEMA ${schema} AUTHORIZATION ${logins.writer.username}`)
  const credentials = { scheme: 'password', ...logins.writer }
  const sink = connectUnknown(postgres, {
    name: 'postgres',
    config: { host, port, database: name, schema },
    credentials,
  })
  return {
    name: 'postgres',
    kind: 'postgres',
    sink,
    sinkName: 'tables',
    disposition,
    rows: readRows(sink),
    close: async () => {
      await sink.close()
      await running.sql(`DROP SCHEMA ${schema} CASCADE`)
    },
  }
}

/** An endpoint that keeps what it is sent, request by request; one that comes again under its key is known. */
const endpoint = async (disposition: Disposition, format: 'array' | 'ndjson'): Promise<Lane> => {
  const bodies = new Map<string, string[]>()
  const known = new Set<string>()
  const server = await serve((request, response) => {
    text(request).then(
      (body) => {
        const table = (request.url ?? '').slice(1)
        const key = String(request.headers['idempotency-key'])
        if (!known.has(key)) bodies.set(table, [...(bodies.get(table) ?? []), body])
        known.add(key)
        response.end('{}')
      },
      () => response.destroy(),
    )
  })
  const config = { url: server.url, idempotencyHeader: 'idempotency-key', format }
  const sink = connect(httpSink, { name: 'endpoint', config, credentials: { scheme: 'none' } }) as AnyConnection
  const rowsOf = (body: string): readonly AnyRecord[] =>
    format === 'array'
      ? (fromJson(body) as AnyRecord[])
      : body.split('\n').flatMap((line) => (line === '' ? [] : [fromJson(line) as AnyRecord]))
  return {
    name: 'http',
    kind: 'endpoint',
    sink,
    sinkName: disposition === 'merge' ? 'upsert' : 'append',
    disposition,
    loose: disposition === 'append',
    rows: function* (table) {
      if (disposition === 'append') {
        for (const body of bodies.get(table) ?? []) yield rowsOf(body)
        return
      }
      const last = new Map<unknown, AnyRecord>()
      for (const body of bodies.get(table) ?? []) for (const row of rowsOf(body)) last.set(row['k'], row)
      yield [...last.values()]
    },
    close: async () => {
      await sink.close()
      await server.close()
    },
  }
}

/** Every sink that there is, empty; how rows are put into them takes turns. */
export const openLanes = async (
  folder: string,
  round: number,
  running: Postgres | undefined,
): Promise<readonly Lane[]> => {
  // Each profile of a schema sees each of them.
  const turn = Math.floor(round / 4) % 2 === 0
  return [
    duckdb(folder, turn ? 'merge' : 'overwrite'),
    files(folder, 'parquet', turn ? 'append' : 'overwrite'),
    files(folder, 'csv', turn ? 'overwrite' : 'append'),
    files(folder, 'ndjson', turn ? 'append' : 'overwrite'),
    ...(running === undefined ? [] : [await database(running, round, turn ? 'append' : 'merge')]),
    await endpoint(turn ? 'append' : 'merge', round % 2 === 0 ? 'array' : 'ndjson'),
  ]
}
