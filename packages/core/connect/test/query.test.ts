import { defineConnector, sink, type AnyRecord, type Writer } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { connect } from '../src/index.ts'

const lake = sink({ accepts: ['records'], dispositions: ['append'], commit: 'transaction' })
const plain: Writer<AnyRecord> = {
  resumesFrom: () => Promise.resolve(undefined),
  write: () => Promise.resolve({ rows: 0, rejected: [] }),
  commit: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}
const asked: string[] = []
const talking: Writer<AnyRecord> = {
  ...plain,
  query: (sql) => {
    asked.push(sql)
    return sql === 'broken' ? Promise.reject(new Error('no such column')) : Promise.resolve([{ count: 1n }])
  },
}
const connector = defineConnector(
  { id: 'lake', title: 'Lake', config: z.strictObject({}), hosts: [], sinks: { mute: lake, talking: lake } },
  () => ({
    check: () => Promise.resolve({}),
    write: { mute: () => Promise.resolve(plain), talking: () => Promise.resolve(talking) },
  }),
)
const options = { table: { name: 't', schema: {} }, disposition: 'append', run: 'r', key: 'p/t' } as const

test('a sink that can be asked is asked through the connection, with typed errors, until it is closed', async () => {
  const connection = connect(connector, { config: {} })
  const writer = await connection.write('talking', options)
  expect(await writer.query?.('SELECT 1 AS count')).toEqual([{ count: 1n }])
  expect(asked).toEqual(['SELECT 1 AS count'])
  await expect(writer.query?.('broken')).rejects.toMatchObject({ ecokit: 1, partner: 'lake' })
  await writer[Symbol.asyncDispose]()
  await expect(writer.query?.('SELECT 1')).rejects.toMatchObject({ code: 'cancelled' })
  expect((await connection.write('mute', options)).query).toBeUndefined()
  await connection.close()
})
