import { expect, test } from 'vitest'
import type { AnyConnection, Discovered } from '@ecokit/contracts'
import { planStreams, type PipelineStream } from '../src/index.ts'
import { newTable, sinkOf, sourceOf } from './support.ts'

const source = sourceOf(newTable([]))
const sink = sinkOf('/nowhere/never-opened.db')
const plan = (wanted?: readonly (string | PipelineStream)[], sinkName = 'tables') =>
  planStreams(source, sink, sinkName, wanted)
const code = (error: string, message: RegExp) => ({ code: error, message: expect.stringMatching(message) as string })

test('defaults: incremental merge with cursor and key, else full refresh with overwrite', async () => {
  expect(await plan()).toEqual([
    { stream: 'items', table: 'items', mode: 'incremental', disposition: 'merge' },
    { stream: 'plain', table: 'plain', mode: 'full_refresh', disposition: 'overwrite' },
  ])
  expect(await plan([{ stream: 'items', mode: 'full_refresh', table: 'copy', lagMs: 5 }])).toEqual([
    { stream: 'items', table: 'copy', mode: 'full_refresh', disposition: 'overwrite', lagMs: 5 },
  ])
  expect(await plan([{ stream: 'items', disposition: 'append' }])).toMatchObject([{ mode: 'incremental' }])
  expect(await plan([{ stream: 'items', disposition: 'overwrite' }])).toMatchObject([{ mode: 'full_refresh' }])
  expect(await plan([{ stream: 'items', mode: 'full_refresh' }], 'loose')).toMatchObject([{ disposition: 'merge' }])
})

test.each([
  ['an unknown stream', [{ stream: 'prices' }], 'tables', code('unsupported', /no stream prices.*items, plain/)],
  ['an unknown sink', ['items'], 'parquet', code('unsupported', /no sink parquet.*tables/)],
  [
    'a cursor that is not there',
    [{ stream: 'plain', mode: 'incremental' }],
    'tables',
    code('invalid_config', /no cursor/),
  ],
  [
    'a key that is not there',
    [{ stream: 'plain', disposition: 'merge' }],
    'tables',
    code('invalid_config', /no primary key/),
  ],
  [
    'a disposition that the sink lacks',
    [{ stream: 'items', disposition: 'append' }],
    'again',
    code('unsupported', /cannot append/),
  ],
  [
    'incremental overwrite',
    [{ stream: 'items', mode: 'incremental', disposition: 'overwrite' }],
    'tables',
    code('invalid_config', /newest rows alone/),
  ],
  [
    'append where a crash could double rows',
    [{ stream: 'items', disposition: 'append' }],
    'loose',
    code('invalid_config', /rows twice.*allow_duplicates/),
  ],
  [
    'one table for two streams',
    [{ stream: 'items' }, { stream: 'plain', table: 'items' }],
    'tables',
    code('invalid_config', /written twice/),
  ],
  [
    'one stream twice',
    ['items', { stream: 'items', table: 'other' }],
    'tables',
    code('invalid_config', /written twice/),
  ],
] as const)('refused: %s', async (_name, wanted, sinkName, error) => {
  await expect(plan(wanted as never, sinkName)).rejects.toMatchObject(error)
})

test('append into such a sink is taken when duplicates are accepted', async () => {
  const wanted = [{ stream: 'items', disposition: 'append', allowDuplicates: true }] as const
  expect(await plan(wanted, 'loose')).toMatchObject([{ mode: 'incremental', disposition: 'append' }])
})

test('a source without streams and a sink without sinks are refused', async () => {
  await expect(planStreams(sink, sink, 'tables')).rejects.toMatchObject({ code: 'unsupported' })
  await expect(planStreams(source, source, 'tables')).rejects.toMatchObject({ code: 'unsupported' })
})

test('discovered tables are asked for only where they are needed', async () => {
  let asked = 0
  const found: Discovered = { name: 'orders', schema: { type: 'object' }, primaryKey: ['id'] }
  const discovering: AnyConnection = {
    ...source,
    discover: async function* () {
      asked += 1
      yield await Promise.resolve(found)
    },
  }
  await planStreams(discovering, sink, 'tables', ['items'])
  expect(asked).toBe(0)
  expect((await planStreams(discovering, sink, 'tables')).map(({ stream }) => stream)).toEqual([
    'items',
    'plain',
    'orders',
  ])
  expect(await planStreams(discovering, sink, 'tables', ['orders'])).toEqual([
    { stream: 'orders', table: 'orders', mode: 'full_refresh', disposition: 'overwrite' },
  ])
})
