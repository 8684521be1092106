import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { integrationError } from '@ecokit/contracts'
import { describe, expect, test } from 'vitest'
import { recoverRuns, runLineage, sync, type LineageEvent, type Pipeline } from '../src/index.ts'
import { describeJob } from '../src/lineage.ts'
import { appendLine } from '../src/lineage-log.ts'
import { faultsOf, missing } from './openlineage.ts'
import { items, newTable, run, sinkOf, sourceOf, temporaryFolder, testStore } from './support.ts'

const setUp = async (table = newTable(items(30))) => {
  const folder = await temporaryFolder()
  const store = await testStore()
  const pipeline: Pipeline = {
    name: 'shop-to-lake',
    source: sourceOf(table),
    sink: sinkOf(path.join(folder, 'sink.db')),
    sinkName: 'tables',
    streams: ['items'],
  }
  return { folder, store, pipeline, table }
}
const linesOf = async (file: string): Promise<readonly LineageEvent[]> =>
  (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LineageEvent)

test('a run tells START, RUNNING at checkpoints and COMPLETE, to the store and to the file', async () => {
  const { folder, store, pipeline, table } = await setUp()
  const file = path.join(folder, 'lineage.ndjson')
  let clock = Date.UTC(2026, 0, 1)
  table.onPage = () => {
    clock += 7_000
  }
  const result = await run({ pipeline, store, lineage: { file }, namespace: 'prod', now: () => clock, commitBytes: 0 })
  const events = await runLineage(store, result.id)
  expect(events.map(({ eventType }) => eventType)).toEqual(['START', 'RUNNING', 'COMPLETE'])
  expect(await linesOf(file)).toEqual(events)
  expect((await stat(file)).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600)
  const [start, , complete] = events
  expect(start?.eventTime).toBe('2026-01-01T00:00:00.000Z')
  expect(new Set(events.map((event) => event.run.runId)).size).toBe(1)
  expect(complete).toMatchObject({
    job: { namespace: 'prod', name: 'shop-to-lake.items', facets: { jobType: { processingType: 'BATCH' } } },
    run: {
      facets: {
        parent: { run: { runId: result.id }, job: { namespace: 'prod', name: 'shop-to-lake' } },
        processing_engine: { name: 'ecokit', version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string },
      },
    },
    inputs: [
      {
        namespace: 'shop://shop',
        name: 'items',
        facets: {
          dataSource: { name: 'shop', uri: 'shop://shop' },
          schema: {
            fields: [
              { name: 'id', type: 'integer', ordinal_position: 1 },
              { name: 'at', type: 'integer' },
              { name: 'name', type: 'string' },
              { name: 'big', type: 'integer(int64)', ordinal_position: 4 },
            ],
          },
        },
        inputFacets: { inputStatistics: { rowCount: 30 } },
      },
    ],
    outputs: [{ namespace: 'lite://lake', name: 'items', outputFacets: { outputStatistics: { rowCount: 30 } } }],
  })
})

test('columns are told with the words of their JSON Schema', () => {
  const properties = {
    tags: { anyOf: [{ type: 'array' }, { type: 'null' }], description: 'Labels' },
    ended: { type: ['string', 'null'], format: 'date-time' },
    either: { anyOf: [{ type: 'integer', format: 'int64' }, { type: 'string' }] },
    anything: {},
    all: true,
  }
  const dataset = { namespace: 'shop://shop', name: 'items' }
  const side = { partner: 'shop', dataset, schema: { type: 'object', properties } }
  const data = { source: side, sink: side, columns: [], overwrites: false }
  const run = '019a0000-0000-7000-8000-000000000000'
  const event = describeJob({ run, pipeline: 'p', stream: 'items', namespace: 'n', data }, { type: 'START', at: 0 })
  expect(faultsOf(event)).toEqual([])
  expect(event.inputs[0]?.facets?.schema?.fields).toEqual([
    { name: 'tags', type: 'array', description: 'Labels', ordinal_position: 1 },
    { name: 'ended', type: 'string(date-time)', ordinal_position: 2 },
    { name: 'either', type: 'integer(int64) | string', ordinal_position: 3 },
    { name: 'anything', type: 'any', ordinal_position: 4 },
    { name: 'all', type: 'any', ordinal_position: 5 },
  ])
})

test('datasets carry the names that the host gives them', async () => {
  const { store, pipeline } = await setUp()
  const dataset = (side: 'source' | 'sink', name: string) =>
    side === 'sink' ? { namespace: 'file', name: `/data/lake.db/${name}` } : undefined
  const { id } = await run({ pipeline, store, lineage: { dataset } })
  const [event] = await runLineage(store, id)
  expect(event?.inputs[0]).toMatchObject({ namespace: 'shop://shop', name: 'items' })
  expect(event?.outputs[0]).toMatchObject({ namespace: 'file', name: '/data/lake.db/items' })
  expect(event?.outputs[0]?.facets?.dataSource?.uri).toBe('file:///data/lake.db/items')
})

test.each([
  ['file', '/data/My Lake/größe [1].db/items', 'file:///data/My%20Lake/gr%C3%B6%C3%9Fe%20%5B1%5D.db/items'],
  ['my_tool://the shop', 'items', 'urn:ecokit:my_tool%3A%2F%2Fthe%20shop'],
  ['postgres://db.example.com:5432', 'a.b.c', 'postgres://db.example.com:5432'],
  ['file', '/data/50%.db', 'file:///data/50%25.db'],
])('whatever a dataset is called, its source is a URI: %s %s', async (namespace, name, uri) => {
  const { store, pipeline } = await setUp()
  const { id } = await run({ pipeline, store, lineage: { dataset: () => ({ namespace, name }) } })
  const [event] = await runLineage(store, id)
  expect(faultsOf(event)).toEqual([])
  expect(event?.outputs[0]).toMatchObject({ namespace, name, facets: { dataSource: { uri } } })
})

test('a failure is FAIL with its message, a cancelled run ABORT, and a stream that never began says nothing', async () => {
  const { store, pipeline, table } = await setUp()
  table.onPage = () => {
    throw integrationError('forbidden', { partner: 'shop', what: 'not yours', details: {} })
  }
  const failed = await run({ pipeline, store })
  const [, end] = await runLineage(store, failed.id)
  expect(end?.eventType).toBe('FAIL')
  expect(end?.run.facets.errorMessage).toMatchObject({ message: 'shop: not yours', programmingLanguage: 'TypeScript' })

  const controller = new AbortController()
  table.onPage = () => {
    controller.abort()
  }
  const streams = ['items', 'plain']
  const stopped = await run({ pipeline: { ...pipeline, streams }, store, signal: controller.signal })
  expect((await runLineage(store, stopped.id)).map(({ eventType, job }) => [eventType, job.name])).toEqual([
    ['START', 'shop-to-lake.items'],
    ['ABORT', 'shop-to-lake.items'],
  ])
})

test('a run that was left behind is told to have failed, under the run id that its START had', async () => {
  const { store, pipeline } = await setUp()
  const left = await run({ pipeline, store })
  await store.db.updateTable('runs').set({ status: 'running' }).execute()
  await store.db.updateTable('run_streams').set({ status: 'running' }).execute()
  await store.db.deleteFrom('lineage_events').where('type', '=', 'COMPLETE').execute()
  expect(await recoverRuns(store)).toEqual([left.id])
  await run({ pipeline, store })
  const [start, end, ...more] = await runLineage(store, left.id)
  expect([start?.eventType, end?.eventType, more]).toEqual(['START', 'FAIL', []])
  expect(end?.run.runId).toBe(start?.run.runId)
})

test('a file that cannot be written, and a store that takes no events, are one warning each and no failure', async () => {
  const { folder, store, pipeline } = await setUp()
  const file = path.join(folder, 'taken')
  await mkdir(file)
  await store.db.schema.dropTable('lineage_events').execute()
  const result = await sync({ pipeline, store, lineage: { file } })
  expect(result).toMatchObject({ status: 'completed', streams: [{ written: 30 }] })
  expect(result.warnings).toEqual([
    expect.stringMatching(/^lineage events were not stored: .*no such table/),
    expect.stringMatching(/^lineage events were not written to .*taken: EISDIR/),
  ])
})

test('a full disk is a warning', { skip: process.platform !== 'linux' }, async () => {
  const { store, pipeline } = await setUp()
  const result = await sync({ pipeline, store, lineage: { file: '/dev/full' } })
  expect(result).toMatchObject({ status: 'completed', warnings: [expect.stringMatching(/ENOSPC/)] })
})

test('lines of several writers stay whole, and a line that was cut off does not spoil the next', async () => {
  const file = path.join(await temporaryFolder(), 'lines')
  await writeFile(file, '{"cut":')
  const lines = Array.from({ length: 50 }, (_, index) => JSON.stringify({ index, text: 'x'.repeat(10_000) }))
  await appendLine(file, '{"first":1}')
  await Promise.all(lines.map((line) => appendLine(file, line)))
  const [cut, first, ...rest] = (await readFile(file, 'utf8')).trimEnd().split('\n')
  expect([cut, first]).toEqual(['{"cut":', '{"first":1}'])
  expect(rest.toSorted()).toEqual(lines.toSorted())
})

describe.skipIf(missing !== undefined)(`the official schemas ${missing === undefined ? '' : `[${missing}]`}`, () => {
  test('find a fault in an event, in a facet, and in one of an unknown name', async () => {
    const { store, pipeline } = await setUp()
    const { id } = await run({ pipeline, store })
    const event = (await runLineage(store, id))[1]!
    expect(faultsOf(event)).toEqual([])
    expect(faultsOf({ ...event, eventTime: 'yesterday' })).not.toEqual([])
    const withRun = (facets: object) => ({
      ...event,
      run: { ...event.run, facets: { ...event.run.facets, ...facets } },
    })
    const { parent } = event.run.facets
    expect(faultsOf(withRun({ parent: { ...parent, run: { runId: '7' } } }))).not.toEqual([])
    expect(faultsOf(withRun({ parent: { ...parent, _schemaURL: 'https://example.com/other' } }))).not.toEqual([])
    expect(faultsOf(withRun({ invented: parent }))).not.toEqual([])
    const [input] = event.inputs
    expect(input?.inputFacets).toHaveProperty('dataQualityMetrics')
    expect(faultsOf({ ...event, inputs: [{ ...input, facets: input?.inputFacets, inputFacets: {} }] })).not.toEqual([])
  })
})
