import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { connect, connectUnknown } from '@ecokit/connect'
import { httpSink } from '@ecokit/connector-http-sink'
import { local } from '@ecokit/connector-local'
import { postgres } from '@ecokit/connector-postgres'
import { defineConnector, double, stream, type AnyConnection, type AnyRecord } from '@ecokit/contracts'
import { readJson } from '@ecokit/http'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { startPostgres, type Postgres } from '../../../../tools/peers/index.ts'
import { requirePeer } from '../../../../tools/peers/vitest.ts'
import { run, temporaryFolder, testStore } from './support.ts'

const peer = await requirePeer('postgres')
let server: Promise<Postgres> | undefined
afterAll(async () => {
  await (await server)?.[Symbol.asyncDispose]()
})

const reading = z.object({ id: z.int(), whole: z.int(), x: double(), all: z.array(double()) })
const page = '[{"id":1,"whole":-0,"x":-0.0,"all":[-0,0,1.5]},{"id":2,"whole":0,"x":0,"all":[]}]'
const wanted = [
  { id: 1, whole: 0, x: -0, all: [-0, 0, 1.5] },
  { id: 2, whole: 0, x: 0, all: [] },
]

/** A real server for each test; it answers GET with the page and keeps the bodies of everything else. */
const openServer = async () => {
  const bodies: AnyRecord[] = []
  const listening = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      if (request.method !== 'GET') bodies.push(...(readJson(Buffer.concat(chunks).toString()) as AnyRecord[]))
      response.end(request.method === 'GET' ? page : '{}')
    })
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  onTestFinished(() => {
    listening.closeAllConnections()
    listening.close()
  })
  return { bodies, url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/` }
}
const closing = (connection: AnyConnection): AnyConnection => {
  onTestFinished(() => connection.close())
  return connection
}
const sourceOf = (url: string): AnyConnection => {
  const rest = { path: '/readings' }
  const connector = defineConnector(
    {
      id: 'meter',
      title: 'Meter',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      streams: {
        bytes: stream({ schema: reading, primaryKey: ['id'], rest }),
        records: stream({
          schema: reading,
          primaryKey: ['id'],
          rest: { ...rest, wire: reading, map: (one: z.output<typeof reading>) => ({ ...one }) },
        }),
      },
    },
    () => ({ check: () => Promise.resolve({}) }),
  )
  return closing(connect(connector, { name: 'meter', config: { url } }))
}
const readAll = async (connection: AnyConnection, name: string): Promise<readonly AnyRecord[]> => {
  const rows: AnyRecord[] = []
  for await (const batch of connection.read!(name)) if (batch.encoding === 'records') rows.push(...batch.records)
  return rows.toSorted((one, other) => Number(one['id']) - Number(other['id']))
}
const openBase = async (): Promise<AnyConnection> => {
  const { host, port, database, logins } = await (server ??= startPostgres())
  const credentials = { scheme: 'password', ...logins.writer }
  return closing(connectUnknown(postgres, { name: 'base', config: { host, port, database }, credentials }))
}

const sinks = ['tables', 'parquet', 'csv', 'ndjson', ...(peer.missing === undefined ? ['postgres'] : [])]
test.for(sinks)('%s: -0.0 of a partner is -0.0 there, and at an HTTP endpoint behind it', async (sinkName) => {
  const { bodies, url } = await openServer()
  const folder = await temporaryFolder()
  const config = { database: path.join(folder, 'lake.duckdb'), folder: path.join(folder, 'files') }
  const there = sinkName === 'postgres' ? await openBase() : closing(connect(local, { name: 'lake', config }))
  const hook = closing(connectUnknown(httpSink, { name: 'hook', config: { url }, credentials: { scheme: 'none' } }))
  const store = await testStore()
  const first = await run({
    pipeline: {
      name: 'in',
      source: sourceOf(url),
      sink: there,
      sinkName: sinkName === 'postgres' ? 'tables' : sinkName,
    },
    store,
  })
  expect(first.status).toBe('completed')
  for (const name of ['bytes', 'records']) {
    expect(await readAll(there, name)).toEqual(wanted)
    // From what was stored to an endpoint.
    bodies.length = 0
    const out = { name: `out-${name}`, source: there, sink: hook, sinkName: 'upsert' }
    const streams = [{ stream: name, disposition: 'merge' as const }]
    const second = await run({ pipeline: { ...out, streams }, store })
    expect(second.status).toBe('completed')
    expect(bodies.toSorted((one, other) => Number(one['id']) - Number(other['id']))).toEqual(wanted)
  }
})

test('both roads bring -0.0 to an HTTP endpoint', async () => {
  const { bodies, url } = await openServer()
  const hook = closing(connectUnknown(httpSink, { name: 'hook', config: { url }, credentials: { scheme: 'none' } }))
  const pipeline = { name: 'p', source: sourceOf(url), sink: hook, sinkName: 'upsert' }
  expect((await run({ pipeline, store: await testStore() })).status).toBe('completed')
  expect(bodies).toEqual([...wanted, ...wanted])
})
