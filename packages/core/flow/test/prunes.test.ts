import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from '@ecokit/connect'
import { httpSink } from '@ecokit/connector-http-sink'
import type { AnyConnection } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { expect, onTestFinished, test } from 'vitest'
import { sync } from '../src/index.ts'
import { checkEvents } from './openlineage.ts'
import { items, newTable, sourceOf } from './support.ts'

test('a sink that cannot find what a pass did not bring takes a full pass all the same, and the run says so', async () => {
  const server = createServer((request, response) => request.resume().on('end', () => response.end('{}')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const sink = connect(httpSink, { name: 'hook', config: { url }, credentials: { scheme: 'none' } }) as AnyConnection
  const store = await openStore(':memory:')
  onTestFinished(async () => {
    await sink.close()
    await store.close()
    server.closeAllConnections()
    server.close()
  })
  const streams = [{ stream: 'items' }]
  const pipeline = { name: 'p', source: sourceOf(newTable(items(25))), sink, sinkName: 'upsert', streams }
  const result = await sync({ pipeline, store, full: true })
  expect([result.status, result.streams[0]?.mode, result.streams[0]?.written]).toEqual(['completed', 'reconcile', 25])
  expect(result.warnings).toEqual(['items: rows that the source no longer has stay: hook cannot find them'])
  await checkEvents(store)
})
