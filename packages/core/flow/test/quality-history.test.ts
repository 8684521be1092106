import path from 'node:path'
import { expect, test } from 'vitest'
import { listQuality } from '../src/index.ts'
import { items, newTable, only, run, sinkOf, sourceOf, temporaryFolder, testStore } from './support.ts'

test('the first incremental pass, which brings everything, is no measure for those that bring what is new', async () => {
  const folder = await temporaryFolder()
  const table = newTable(items(500), 50)
  const store = await testStore()
  const rule = { rule: 'row_count', atLeast: 0.5, atMost: 3, severity: 'stop' } as const
  const go = async () => {
    const result = await run({
      pipeline: {
        name: 'p',
        source: sourceOf(table),
        sink: sinkOf(path.join(folder, 'sink.db')),
        sinkName: 'tables',
        streams: [{ stream: 'items', quality: [rule] }],
      },
      store,
    })
    return [only(result).status, (await listQuality(store, { run: result.id }))[0]?.message]
  }
  const more = (count: number) => table.items.push(...items(count, table.items.length))
  expect(await go()).toEqual(['completed', expect.stringMatching(/^500 records, .*no earlier pass/)])
  more(10)
  expect(await go()).toEqual(['completed', expect.stringMatching(/^10 records, .*no earlier pass/)])
  more(9)
  expect(await go()).toEqual([
    'completed',
    '9 records, expected at least 0.5 of the usual 10, at most 3 of the usual 10',
  ])
  more(40)
  expect(await go()).toEqual(['failed', '40 records, expected at most 3 of the usual 9.5'])
})
