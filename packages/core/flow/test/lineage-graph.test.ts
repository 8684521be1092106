import { expect, test } from 'vitest'
import { findLineage, listDatasets, type LineageNode } from '../src/index.ts'
import { storeEdges, type ColumnSource } from '../src/lineage-columns.ts'
import type { Side, StreamJob } from '../src/lineage.ts'
import { testStore } from './support.ts'

const identity = (field: string, column = field): ColumnSource => ({
  ...{ field, column, type: 'DIRECT', subtype: 'IDENTITY', description: '' },
})
const job = (from: string, to: string, columns: readonly ColumnSource[], pipeline = `${from}-to-${to}`): StreamJob => {
  const side = (name: string): Side => ({ partner: 'p', dataset: { namespace: 'db', name }, schema: {} })
  const data = { source: side(from), sink: side(to), columns, overwrites: false }
  return { run: '019a0000-0000-7000-8000-000000000000', pipeline, stream: from, namespace: 'default', data }
}
const setUp = async (...jobs: readonly StreamJob[]) => {
  const store = await testStore()
  for (const [at, one] of jobs.entries()) await storeEdges(store, one, at)
  return store
}
const short = ({ nodes }: { readonly nodes: readonly LineageNode[] }) =>
  nodes.map(({ name, field }) => (field === undefined ? name : `${name}.${field}`))

const chain = () =>
  setUp(
    job('raw', 'staged', [
      identity('id'),
      identity('nm', 'name'),
      { ...identity('id', ''), type: 'INDIRECT', subtype: 'JOIN' },
    ]),
    job('staged', 'mart', [identity('id'), { ...identity('name'), subtype: 'TRANSFORMATION' }]),
    job('other', 'mart', [identity('id', 'other_id')]),
    job('mart', 'report', [identity('name', 'title')]),
  )

test('datasets are followed upstream and downstream over pipelines, as deep as is asked', async () => {
  const store = await chain()
  expect(short(await findLineage(store, { name: 'mart' }))).toEqual(['mart', 'staged', 'other', 'raw', 'report'])
  expect(short(await findLineage(store, { name: 'mart', direction: 'upstream' }))).toEqual([
    'mart',
    'staged',
    'other',
    'raw',
  ])
  expect(short(await findLineage(store, { name: 'mart', direction: 'upstream', depth: 1 }))).toEqual([
    'mart',
    'staged',
    'other',
  ])
  expect(short(await findLineage(store, { name: 'raw', direction: 'downstream' }))).toEqual([
    'raw',
    'staged',
    'mart',
    'report',
  ])
  expect(short(await findLineage(store, { name: 'raw', depth: 0 }))).toEqual(['raw'])
  const { edges } = await findLineage(store, { name: 'mart', direction: 'downstream', namespace: 'db' })
  expect(edges).toEqual([
    {
      from: { namespace: 'db', name: 'mart' },
      to: { namespace: 'db', name: 'report' },
      pipeline: 'mart-to-report',
      stream: 'mart',
      transformation: 'DIRECT/IDENTITY',
      run: '019a0000-0000-7000-8000-000000000000',
      at: '1970-01-01T00:00:00.003Z',
    },
  ])
})

test('columns are followed by their values, under every name that they take', async () => {
  const store = await chain()
  const title = await findLineage(store, { name: 'report', field: 'title', direction: 'upstream' })
  expect(short(title)).toEqual(['report.title', 'mart.name', 'staged.name', 'raw.nm'])
  expect(title.edges.map(({ transformation }) => transformation)).toEqual([
    'DIRECT/IDENTITY',
    'DIRECT/TRANSFORMATION',
    'DIRECT/IDENTITY',
  ])
  expect(short(await findLineage(store, { name: 'raw', field: 'id' }))).toEqual(['raw.id', 'staged.id', 'mart.id'])
  expect(short(await findLineage(store, { name: 'staged', field: 'name' }))).toEqual([
    ...['staged.name', 'raw.nm', 'mart.name', 'report.title'],
  ])
})

test('what is not known has no lineage', async () => {
  const store = await chain()
  for (const about of [
    { name: 'nothing' },
    { name: 'mart', namespace: 'elsewhere' },
    { name: 'raw', field: 'nothing' },
  ])
    expect(await findLineage(store, about)).toEqual({ nodes: [], edges: [] })
})

test('circles end', async () => {
  const store = await setUp(
    job('a', 'b', [identity('x')]),
    job('b', 'c', [identity('x')]),
    job('c', 'a', [identity('x')]),
    job('a', 'a', [identity('x')], 'itself'),
  )
  const { nodes, edges } = await findLineage(store, { name: 'a', field: 'x' })
  expect(short({ nodes })).toEqual(['a.x', 'c.x', 'b.x'])
  expect(edges).toHaveLength(4)
  expect(short(await findLineage(store, { name: 'b', direction: 'downstream', depth: 1 }))).toEqual(['b', 'c'])
})

test('what a stream says takes the place of what its last run said, and no other', async () => {
  const store = await chain()
  await storeEdges(store, job('mart', 'report', [identity('id', 'title')]), 9)
  expect(short(await findLineage(store, { name: 'report', field: 'title', direction: 'upstream' }))).toEqual([
    ...['report.title', 'mart.id', 'staged.id', 'raw.id'],
  ])
  expect((await listDatasets(store)).map(({ name, fields }) => [name, fields])).toEqual([
    ['mart', ['id', 'name', 'other_id']],
    ['other', ['id']],
    ['raw', ['id', 'nm']],
    ['report', ['title']],
    ['staged', ['id', 'name']],
  ])
})

test('a name that two data sources share is found in both', async () => {
  const store = await chain()
  const elsewhere = job('raw', 'copy', [identity('id')], 'elsewhere')
  const named = { ...elsewhere.data!.source, dataset: { namespace: 'file', name: 'raw' } }
  await storeEdges(store, { ...elsewhere, data: { ...elsewhere.data!, source: named } }, 1)
  expect(short(await findLineage(store, { name: 'raw', depth: 1 })).toSorted()).toEqual([
    'copy',
    'raw',
    'raw',
    'staged',
  ])
  expect(short(await findLineage(store, { name: 'raw', namespace: 'file' }))).toEqual(['raw', 'copy'])
})

test('ten thousand edges, in a chain or in layers that cross, are walked by two queries a direction', async () => {
  const store = await testStore()
  let queries = 0
  const counted = {
    ...store,
    db: store.db.withPlugin({
      transformQuery: ({ node }) => {
        queries += 1
        return node
      },
      transformResult: ({ result }) => Promise.resolve(result),
    }),
  }
  const edge = (from: string, to: string) => ({
    ...{ pipeline: `${from}-${to}`, stream: 's', input_namespace: 'n', input_name: from, input_field: 'x' },
    ...{
      output_namespace: 'n',
      output_name: to,
      output_field: 'x',
      transformation: 'DIRECT/IDENTITY',
      run_id: 'r',
      at: 0,
    },
  })
  const long = Array.from({ length: 10_000 }, (_, index) => edge(`c${index}`, `c${index + 1}`))
  // 26 layers of 20: each table of a layer feeds each of the next, and the last feeds the first.
  const layers = Array.from({ length: 26 }, (_, layer) =>
    Array.from({ length: 400 }, (_unused, pair) =>
      edge(`l${layer}.${pair % 20}`, `l${(layer + 1) % 26}.${Math.floor(pair / 20)}`),
    ),
  ).flat()
  const rows = [...long, ...layers]
  for (let from = 0; from < rows.length; from += 1_000)
    await store.db
      .insertInto('lineage_edges')
      .values(rows.slice(from, from + 1_000))
      .execute()
  const upstream = await findLineage(counted, { name: 'c10000', field: 'x', direction: 'upstream' })
  expect([upstream.nodes.length, upstream.edges.length]).toEqual([10_001, 10_000])
  const crossing = await findLineage(counted, { name: 'l3.7', field: 'x', direction: 'downstream' })
  expect([crossing.nodes.length, crossing.edges.length]).toEqual([520, 10_400])
  expect((await findLineage(counted, { name: 'l3.7', field: 'x', depth: 2 })).nodes).toHaveLength(81)
  expect(queries).toBe(3 + 3 + 4)
})
