import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineConnector, stream } from '@ecokit/contracts'
import type { AnyRecord, InvalidRecord } from '@ecokit/contracts'
import { connect } from '../src/index.ts'
import { openGate } from '../src/own-keys.ts'
import { rowsOf } from './rest-support.ts'

const Row = z.object({
  id: z.int(),
  constructor: z.string().optional(),
  tags: z.record(z.string(), z.object({ n: z.int() })),
})
const read = async (records: readonly unknown[]) => {
  const connector = defineConnector(
    { id: 'code', title: 'Code', config: z.strictObject({}), hosts: [], streams: { rows: stream({ schema: Row }) } },
    () => ({
      check: () => Promise.resolve({}),
      read: {
        rows: async function* () {
          yield await Promise.resolve({ encoding: 'records' as const, records: records as never })
        },
      },
    }),
  )
  await using connection = connect(connector, { config: {} })
  const refused: InvalidRecord[] = []
  const rows: AnyRecord[] = []
  for await (const batch of connection.read('rows', { onInvalid: (one) => refused.push(one) }))
    rows.push(...rowsOf(batch))
  return { rows, refused }
}

test('a stream that is read by code loses no key of a map, and takes nothing that an object inherits for a field', async () => {
  const odd = JSON.parse('{"__proto__":{"n":1},"a":{"n":2}}') as object
  const { rows, refused } = await read([
    { id: 1, tags: odd },
    { id: 2, constructor: 'x', tags: {} },
    { id: 3, tags: JSON.parse('{"__proto__":{"n":"x"}}') as object },
    Object.assign(Object.create(null), { id: 4, tags: {} }),
  ])
  expect(rows.map((row) => JSON.stringify(row))).toEqual([
    '{"id":1,"tags":{"__proto__":{"n":1},"a":{"n":2}}}',
    '{"id":2,"constructor":"x","tags":{}}',
    '{"id":4,"tags":{}}',
  ])
  expect(refused).toMatchObject([{ field: 'tags.__proto__.n', record: { id: 3 } }])
})

test('what code in a schema makes of a map has the key under its own name', () => {
  const gate = openGate(z.object({ made: z.record(z.string(), z.int()).transform((map) => Object.keys(map).join()) }))
  expect(gate({ made: JSON.parse('{"__proto__":1,"b":2}') as object })).toEqual({ value: { made: '__proto__,b' } })
})
