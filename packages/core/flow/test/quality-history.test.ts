import path from 'node:path'
import { expect, test } from 'vitest'
import { listQuality } from '../src/index.ts'
import { planRules } from '../src/quality-rules.ts'
import { judgeTable } from '../src/quality-table.ts'
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

test('a time without a zone, as databases have them, is one of UTC on every machine', async () => {
  const rule = { rule: 'freshness', field: 'at', maxAgeMs: 1 } as const
  const newest = async (value: unknown) => {
    const query = (sql: string) => Promise.resolve([sql.includes('MAX') ? { newest: value } : { rows_there: 1 }])
    const facts = { query, soft: false, now: 0, read: 1, earlier: () => Promise.resolve([]), newest: () => undefined }
    return (await judgeTable({ name: 'fresh', severity: 'warn', rule, fields: ['at'] }, facts)).message.split(',')[0]
  }
  const zone = process.env['TZ']
  process.env['TZ'] = 'Asia/Kolkata'
  try {
    expect(new Date(0).getHours()).toBe(5)
    for (const text of [
      '2026-01-01 10:00:00',
      '2026-01-01T10:00:00.000',
      '2026-01-01 15:30:00+05:30',
      '2026-01-01 10:00:00+00',
    ])
      expect(await newest(text)).toBe('newest 2026-01-01T10:00:00.000Z')
    expect(await newest('2026-01-01')).toBe('newest 2026-01-01T00:00:00.000Z')
  } finally {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  }
})

test('the name of another table cannot end its place in a query', () => {
  const plan = (table: string) =>
    planRules({
      ...{ partner: 'shop', stream: 'items', declared: [], columnOf: (field: string) => field },
      schema: { properties: { id: {} } },
      added: [{ rule: 'referential', field: 'id', table, references: 'id' }],
    })
  expect(plan('my "table"')).toHaveLength(1)
  for (const table of ['a} AS there, (SELECT 1) AS x {table', '{', ''])
    expect(() => plan(table)).toThrow(expect.objectContaining({ code: 'invalid_config' }))
})
