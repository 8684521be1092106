import { openStore } from '@ecokit/store'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { sync } from '../src/index.ts'
import { seal, unseal } from '../src/seal.ts'
import type { FlowState } from '../src/state.ts'
import { hookSink, items, newTable, sourceOf } from './support.ts'

const stateOf = (source: Readonly<Record<string, unknown>>): FlowState => ({
  flow: 1,
  source,
  counts: { read: 3, written: 2, quarantined: 1, deduplicated: 0, deleted: 0, bytes: 100 },
  complete: false,
  mode: 'incremental',
  run: 'r',
  table: 't',
  startedAt: 1,
})

test('a state comes back as it was, with integers of any length', () => {
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n }),
    fc.boolean(),
    fc.double(),
  )
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value), (source) => {
      const state = stateOf(source)
      const { crc: _, ...found } = unseal(seal(state), 'k') as FlowState & { crc: number }
      expect(seal(found)).toBe(seal(state))
    }),
  )
})

test('no changed bit of a state goes unseen, or it changes nothing that is read', () => {
  const text = seal(stateOf({ after: 1234 }))
  const { crc: _, ...state } = unseal(text, 'k') as Record<string, unknown>
  for (let at = 0; at < text.length; at += 1)
    for (let bit = 0; bit < 7; bit += 1) {
      const changed = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1)
      let found: unknown
      try {
        found = unseal(changed, 'k')
      } catch {
        continue
      }
      expect(found).toMatchObject(state)
    }
})

test('a checkpoint that the disk changed stops an incremental read; a full one starts anew', async () => {
  const sink = await hookSink()
  const store = await openStore(':memory:')
  onTestFinished(() => store.close())
  const streams = [{ stream: 'items' }]
  const pipeline = { name: 'p', source: sourceOf(newTable(items(25))), sink, sinkName: 'upsert', streams }
  expect((await sync({ pipeline, store })).status).toBe('completed')
  const { checkpoint } = await store.db.selectFrom('flow_state').select('checkpoint').executeTakeFirstOrThrow()
  const changed = checkpoint?.replace('"after":24', '"after":26') ?? ''
  expect(changed).not.toBe(checkpoint)
  await store.db.updateTable('flow_state').set({ checkpoint: changed }).execute()
  const result = await sync({ pipeline, store })
  expect([result.status, result.error?.code]).toEqual(['failed', 'unavailable'])
  expect(result.error?.message).toMatch(/checkpoint of p\/items .*is damaged.*--full/)
  expect((await sync({ pipeline, store, full: true })).status).toBe('completed')
  expect((await sync({ pipeline, store })).streams[0]).toMatchObject({
    status: 'completed',
    mode: 'incremental',
    read: 0,
  })
})

test('what was agreed to and is no JSON any more is told as damage, with the stream and what to do', async () => {
  const sink = await hookSink()
  const store = await openStore(':memory:')
  onTestFinished(() => store.close())
  const streams = [{ stream: 'items' }]
  const pipeline = { name: 'p', source: sourceOf(newTable(items(5))), sink, sinkName: 'upsert', streams }
  await sync({ pipeline, store })
  const { schema } = await store.db.selectFrom('stream_contracts').select('schema').executeTakeFirstOrThrow()
  await store.db
    .updateTable('stream_contracts')
    .set({ schema: schema.replace('":', '"z') })
    .execute()
  const told = await sync({ pipeline, store }).then(
    ({ error }) => error,
    (error: unknown) => error,
  )
  expect(told).toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/p\/items .*damaged.*backup/) as string,
  })
})
