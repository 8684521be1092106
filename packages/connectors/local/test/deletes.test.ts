import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { deletedAt } from '@ecokit/contracts'
import type { AnyRecord, Batch, Disposition } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { openLake, openWriter, put, readAll, records, table, writing } from './support.ts'

const runs = table({ id: { type: 'string' }, value: { type: 'integer' } }, ['id'])
const ids = ['a', 'b', 'c'] as const

type Step = { readonly put: string; readonly value: number } | { readonly gone: string } | 'commit'
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ put: fc.constantFrom(...ids), value: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ gone: fc.constantFrom(...ids) }) },
  { weight: 1, arbitrary: fc.constant('commit' as const) },
)
/** The batch of one step, as records or as proven lines. */
const batchOf = (one: Exclude<Step, 'commit'>, lines: boolean): Batch<AnyRecord> => {
  if ('gone' in one) return { ...records(), deleted: [{ id: one.gone }] }
  const record = { id: one.put, value: one.value }
  return lines
    ? { encoding: 'ndjson', proven: true, bytes: Buffer.from(`${JSON.stringify(record)}\n`), count: 1 }
    : records(record)
}

for (const disposition of ['merge', 'append'] as const satisfies readonly Disposition[])
  for (const deletes of ['hard', 'soft'] as const)
    test(`${disposition}, ${deletes}: rows, lines and deletes in any order give what a model gives`, async () => {
      const { connection } = await openLake()
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(step, fc.boolean()), { maxLength: 14 }), async (steps) => {
          const name = randomUUID()
          const writer = await openWriter(connection, writing({ ...runs, name }, { disposition, deletes }))
          const model: { id: string; value: number; gone: boolean }[] = []
          for (const [one, lines] of steps) {
            if (one === 'commit') {
              await writer.commit(undefined)
              continue
            }
            await writer.write(batchOf(one, lines))
            if ('gone' in one) for (const row of model) row.gone ||= row.id === one.gone
            else {
              const same = model.findIndex(({ id }) => id === one.put)
              if (disposition === 'merge' && same >= 0) model.splice(same, 1)
              model.push({ id: one.put, value: one.value, gone: false })
            }
          }
          await writer.commit(undefined, { final: true })
          const sorted = (rows: readonly AnyRecord[]) => rows.map((row) => JSON.stringify(row)).toSorted()
          const found = await readAll(connection, name)
          expect(
            sorted(found.map(({ id, value, ...rest }) => ({ id, value, gone: (rest[deletedAt] ?? null) !== null }))),
          ).toEqual(sorted(model.filter(({ gone }) => deletes === 'soft' || !gone)))
          expect(found.every((row) => deletedAt in row === (deletes === 'soft'))).toBe(true)
          await writer[Symbol.asyncDispose]()
        }),
        { numRuns: 40, seed: 11 },
      )
    }, 60_000)

test('soft: a pruning pass marks what it did not bring, once, and what comes back is clear again', async () => {
  const { connection } = await openLake()
  const merge = writing(runs, { disposition: 'merge', deletes: 'soft', prune: true })
  await put(
    connection,
    merge,
    ids.map((id) => ({ id, value: 1 })),
  )
  const pass = async (...rows: readonly AnyRecord[]) => {
    const writer = await openWriter(connection, merge)
    await writer.write(records(...rows))
    const committed = await writer.commit(undefined, { final: true })
    await writer[Symbol.asyncDispose]()
    return committed
  }
  expect(await pass({ id: 'a', value: 2 })).toEqual({ pruned: 2 })
  const marked = (await readAll(connection)).find(({ id }) => id === 'b')?.[deletedAt]
  expect(marked).toMatch(/^\d{4}-.*Z$/)
  // What was gone before keeps the time when that was seen.
  expect(await pass({ id: 'c', value: 3 })).toEqual({ pruned: 1 })
  const rows = new Map((await readAll(connection)).map((row) => [row['id'], row]))
  expect(rows.get('b')).toEqual({ id: 'b', value: 1, [deletedAt]: marked })
  expect(rows.get('c')).toEqual({ id: 'c', value: 3, [deletedAt]: null })
  expect(rows.get('a')?.[deletedAt]).not.toBeNull()
})

test('a table that was written with hard deletes gets the column, and one that has it can go back', async () => {
  const { connection } = await openLake()
  await put(connection, writing(runs, { disposition: 'merge' }), [
    { id: 'a', value: 1 },
    { id: 'b', value: 1 },
  ])
  const soft = await openWriter(connection, writing(runs, { disposition: 'merge', deletes: 'soft' }))
  await soft.write({ ...records(), deleted: [{ id: 'a' }] })
  await soft.commit(undefined, { final: true })
  await soft[Symbol.asyncDispose]()
  const hard = await openWriter(connection, writing(runs, { disposition: 'merge' }))
  await hard.write({ ...records({ id: 'c', value: 1 }), deleted: [{ id: 'b' }] })
  await hard.commit(undefined, { final: true })
  const rows = (await readAll(connection)).map((row) => [row['id'], (row[deletedAt] ?? null) === null])
  expect(rows.toSorted()).toEqual([
    ['a', false],
    ['c', true],
  ])
})

test('a field of the name of the mark is refused with soft deletes', async () => {
  const { connection } = await openLake()
  const own = table({ id: { type: 'string' }, _Deleted_At: { type: 'string' } }, ['id'])
  await expect(openWriter(connection, writing(own, { disposition: 'merge', deletes: 'soft' }))).rejects.toMatchObject({
    code: 'invalid_input',
  })
})
