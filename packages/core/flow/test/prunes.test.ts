import { openStore } from '@ecokit/store'
import { expect, onTestFinished, test } from 'vitest'
import { sync } from '../src/index.ts'
import { checkEvents } from './openlineage.ts'
import { hookSink, items, newTable, sourceOf } from './support.ts'

test('a sink that cannot find what a pass did not bring takes a full pass all the same, and the run says so', async () => {
  const sink = await hookSink()
  const store = await openStore(':memory:')
  onTestFinished(() => store.close())
  const streams = [{ stream: 'items' }]
  const pipeline = { name: 'p', source: sourceOf(newTable(items(25))), sink, sinkName: 'upsert', streams }
  const result = await sync({ pipeline, store, full: true })
  expect([result.status, result.streams[0]?.mode, result.streams[0]?.written]).toEqual(['completed', 'reconcile', 25])
  expect(result.warnings).toEqual(['items: rows that the source no longer has stay: hook cannot find them'])
  await checkEvents(store)
})
