import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { integrationError } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import { runLineage, sync, type LineageEvent, type Pipeline } from '../src/index.ts'
import { describeJob } from '../src/lineage.ts'
import { openLineageLog } from '../src/lineage-log.ts'
import type { SendEvent } from '../src/lineage-outbox.ts'
import { faultsOf } from './openlineage.ts'
import { items, newTable, sinkOf, sourceOf, temporaryFolder, testStore } from './support.ts'

/** A collector on a real port, and a sender to it; `answer` decides what it does with a request. */
const openCollector = async () => {
  const received: LineageEvent[] = []
  const collector = {
    received,
    answer: (_event: LineageEvent, reply: ServerResponse): void => {
      reply.writeHead(201).end()
    },
  }
  const take = async (request: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const event = JSON.parse(Buffer.concat(await request.toArray()).toString('utf8')) as LineageEvent
    reply.once('finish', () => {
      if (reply.statusCode < 300) received.push(event)
    })
    collector.answer(event, reply)
  }
  const server = createServer((request, reply) => void take(request, reply).catch(() => reply.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/lineage`
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  onTestFinished(stop)
  const send: SendEvent = async (event, { signal }) => {
    const headers = { 'content-type': 'application/json' }
    const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(event), signal })
    await reply.arrayBuffer()
    if (!reply.ok) throw new Error(`the collector answered ${reply.status}`)
  }
  return Object.assign(collector, { send, stop, url })
}
const setUp = async () => {
  const folder = await temporaryFolder()
  const table = newTable(items(30))
  const pipeline: Pipeline = {
    name: 'shop-to-lake',
    source: sourceOf(table),
    sink: sinkOf(path.join(folder, 'sink.db')),
    sinkName: 'tables',
    streams: ['items'],
  }
  const store = await testStore(path.join(folder, 'state.db'))
  const unsent = async (): Promise<number> =>
    (await store.db.selectFrom('lineage_events').select('id').where('unsent', '=', 1).execute()).length
  return { folder, table, pipeline, store, unsent }
}
const typesOf = (events: readonly LineageEvent[]) => events.map(({ eventType }) => eventType)

test('events go to a file and to a collector, in order, each once, and fit the official schemas', async () => {
  const collector = await openCollector()
  const { folder, pipeline, store, unsent } = await setUp()
  const file = path.join(folder, 'lineage.ndjson')
  const { id, warnings } = await sync({ pipeline, store, lineage: { file, send: collector.send } })
  expect(warnings).toEqual([])
  expect(typesOf(collector.received)).toEqual(['START', 'COMPLETE'])
  expect(collector.received).toEqual(await runLineage(store, id))
  for (const event of collector.received) expect(faultsOf(event)).toEqual([])
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(collector.received)
  expect(await unsent()).toBe(0)
})

test('a collector that is down, or answers 500, costs a warning; the next run sends what it missed first', async () => {
  const collector = await openCollector()
  const { pipeline, store, unsent } = await setUp()
  const gone = await openCollector()
  await gone.stop()
  const down = await sync({ pipeline, store, lineage: { send: gone.send } })
  expect(down).toMatchObject({ status: 'completed', streams: [{ written: 30 }] })
  expect(down.warnings).toEqual([
    expect.stringMatching(/^lineage events were not sent, and will be with the next run: /),
  ])
  expect(await unsent()).toBe(2)

  collector.answer = (_event, reply) => reply.writeHead(500).end()
  const refused = await sync({ pipeline, store, lineage: { send: collector.send } })
  expect(refused.warnings).toEqual([expect.stringMatching(/answered 500/)])
  expect([await unsent(), collector.received]).toEqual([4, []])

  collector.answer = (_event, reply) => reply.writeHead(200).end()
  const well = await sync({ pipeline, store, lineage: { send: collector.send } })
  expect(well.warnings).toEqual([])
  const expected = [down.id, refused.id, well.id]
  expect(collector.received.map(({ run }) => run.facets.parent.run.runId)).toEqual(expected.flatMap((id) => [id, id]))
  expect(typesOf(collector.received)).toEqual(['START', 'COMPLETE', 'START', 'COMPLETE', 'START', 'COMPLETE'])
  expect(await unsent()).toBe(0)
})

test('a collector that fails for a moment gets everything within the same run', async () => {
  const collector = await openCollector()
  const { pipeline, store, unsent } = await setUp()
  let asked = 0
  collector.answer = (_event, reply) => {
    asked += 1
    reply.writeHead(asked === 1 ? 503 : 201).end()
  }
  const { warnings } = await sync({ pipeline, store, lineage: { send: collector.send } })
  expect(typesOf(collector.received)).toEqual(['START', 'COMPLETE'])
  expect(await unsent()).toBe(0)
  expect(warnings).toEqual([])
})

test('the sync does not wait for a slow collector', async () => {
  const collector = await openCollector()
  const { pipeline, store, table } = await setUp()
  let arrived: () => void = () => undefined
  const startArrived = new Promise<void>((resolve) => {
    arrived = resolve
  })
  let answerStart: () => void = () => undefined
  collector.answer = (event, reply) => {
    if (event.eventType === 'START') {
      answerStart = () => reply.writeHead(201).end()
      arrived()
    } else reply.writeHead(201).end()
  }
  const taken: number[] = []
  table.onPage = async ({ page }) => {
    if (page === 0) await startArrived
    taken.push(collector.received.length)
    if (page === 2) answerStart()
  }
  const result = await sync({ pipeline, store, lineage: { send: collector.send } })
  // Every page was read while the collector still held the first event.
  expect(taken).toEqual([0, 0, 0])
  expect([result.status, typesOf(collector.received)]).toEqual(['completed', ['START', 'COMPLETE']])
})

test('a collector that never answers, and a sender that minds no signal, hold the end up for a bounded time', async () => {
  const collector = await openCollector()
  const { pipeline, store, unsent } = await setUp()
  collector.answer = () => undefined
  const { id } = await sync({ pipeline, store })
  const [start, complete] = await runLineage(store, id)
  const deaf: SendEvent = () => new Promise(() => undefined)
  for (const send of [collector.send, deaf]) {
    const log = openLineageLog(store, { send, patienceMs: 50 })
    log.emit(start!)
    log.emit(complete!)
    expect(await log.close()).toEqual([
      expect.stringMatching(/^lineage events were not sent, and will be with the next run: .*(in time|abort)/),
    ])
  }
  expect(await unsent()).toBe(4)
  collector.answer = (_event, reply) => reply.writeHead(201).end()
  await openBacklog(store, collector.send)
  expect(typesOf(collector.received)).toEqual(['START', 'COMPLETE', 'START', 'COMPLETE'])
  expect(await unsent()).toBe(0)
})

const openBacklog = async (store: Parameters<typeof openLineageLog>[0], send: SendEvent): Promise<void> => {
  const log = openLineageLog(store, { send })
  expect(await log.close()).toEqual([])
}

test('two processes that start at once send what was left behind only once', async () => {
  const collector = await openCollector()
  const { pipeline, store } = await setUp()
  const gone = await openCollector()
  await gone.stop()
  for (let index = 0; index < 3; index += 1) await sync({ pipeline, store, lineage: { send: gone.send } })
  await Promise.all(Array.from({ length: 4 }, () => openBacklog(store, collector.send)))
  expect(typesOf(collector.received)).toEqual(['START', 'COMPLETE', 'START', 'COMPLETE', 'START', 'COMPLETE'])
})

test('an event that the collector will never take keeps none behind it back, and is not forgotten', async () => {
  const collector = await openCollector()
  const { pipeline, store, unsent } = await setUp()
  const picky: SendEvent = async (event, options) => {
    if ((event as LineageEvent).eventType === 'START')
      throw integrationError('rejected', { partner: 'collector', what: 'not like that', details: { status: 422 } })
    await collector.send(event, options)
  }
  const { warnings } = await sync({ pipeline, store, lineage: { send: picky } })
  expect(warnings).toEqual([expect.stringMatching(/not sent.*not like that/)])
  expect([typesOf(collector.received), await unsent()]).toEqual([['COMPLETE'], 1])
  await openBacklog(store, collector.send)
  expect([typesOf(collector.received), await unsent()]).toEqual([['COMPLETE', 'START'], 0])
})

test('what could not even be stored is still sent', async () => {
  const collector = await openCollector()
  const { store } = await setUp()
  await store.db.schema.dropTable('lineage_events').execute()
  const log = openLineageLog(store, { send: collector.send })
  const run = '019a0000-0000-7000-8000-000000000000'
  log.emit(describeJob({ run, pipeline: 'p', stream: 's', namespace: 'n' }, { type: 'FAIL', at: 0 }))
  expect(await log.close()).toContainEqual(expect.stringMatching(/^lineage events were not stored/))
  expect(typesOf(collector.received)).toEqual(['FAIL'])
})
