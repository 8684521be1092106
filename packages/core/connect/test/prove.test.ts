import { expect, test } from 'vitest'
import { z } from 'zod'
import { int64, stream } from '@ecokit/contracts'
import type { Batch, InvalidRecord } from '@ecokit/contracts'
import { recordChecker } from '../src/data.ts'

const schema = z.object({ id: int64(), name: z.string().optional() })
const lines = (text: string, proven?: boolean): Batch<unknown> => ({
  encoding: 'ndjson',
  bytes: Buffer.from(text),
  count: 99,
  checkpoint: { at: 1 },
  ...(proven && { proven }),
})
const text = (batch: Batch<unknown>) => (batch.encoding === 'records' ? '' : Buffer.from(batch.bytes).toString('utf8'))

test('NDJSON of a connector is proved whatever is said of it, and stays bytes', async () => {
  const refused: InvalidRecord[] = []
  const check = recordChecker('p', 's', stream({ schema }), { onInvalid: (invalid) => refused.push(invalid) })
  for (const proven of [false, true]) {
    const batch = await check(lines('{"id":9007199254740993}\r\n\n{"name":"x","id":1.0}\n{"id":"2"}\nnonsense', proven))
    expect(batch).toMatchObject({ encoding: 'ndjson', count: 2, proven: true, checkpoint: { at: 1 } })
    expect(text(batch)).toBe('{"id":9007199254740993}\n{"id":1,"name":"x"}\n')
    expect(refused.splice(0).map(({ record, field }) => [record, field])).toEqual([
      ['{"id":"2"}', 'id'],
      ['nonsense', ''],
    ])
  }
  // What was given before is not written over by what came after.
  const first = await check(lines('{"id":1}\n'))
  await check(lines('{"id":2}\n'))
  expect(text(first)).toBe('{"id":1}\n')
  const strict = recordChecker('p', 's', stream({ schema }), {})
  await expect(Promise.resolve(strict(lines('{"id":true}')))).rejects.toMatchObject({ code: 'invalid_data' })
  const narrow = recordChecker('p', 's', stream({ schema }), { columns: ['id'] })
  expect(text(await narrow(lines('{"id":1,"name":7}')))).toBe('{"id":1}\n')
})

test('a schema with code in it makes records, and a refinement is never passed by', async () => {
  const coded = z.object({ id: int64().refine((id) => id > 5n), at: z.iso.datetime().refine((at) => at > '2026') })
  const refused: InvalidRecord[] = []
  const check = recordChecker('p', 's', stream({ schema: coded }), { onInvalid: (invalid) => refused.push(invalid) })
  const good = '{"id":9007199254740993,"at":"2026-01-01T00:00:00Z"}\n'
  const batch = await check(
    lines(`${good}{"id":3,"at":"2026-01-01T00:00:00Z"}\n{"id":7,"at":"2025-01-01T00:00:00Z"}\n`, true),
  )
  expect(batch).toEqual({
    encoding: 'records',
    records: [{ id: 9007199254740993n, at: '2026-01-01T00:00:00Z' }],
    checkpoint: { at: 1 },
  })
  expect(refused.map(({ field }) => field)).toEqual(['id', 'at'])
})
