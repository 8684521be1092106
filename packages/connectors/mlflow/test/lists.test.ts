import fc from 'fast-check'
import { expect, test } from 'vitest'
import { integrationError, type Checkpoint } from '@ecokit/contracts'
import { inOrder } from '../src/streams/in-order.ts'
import { listReader } from '../src/streams/lists.ts'

interface Item {
  readonly name: string
  readonly value: number
}
/** A partner whose pages are offsets into a list that `between` may change before each page, and that takes at most `most` items a page. */
const partner = (items: Item[], most: number, between: (page: number) => void = () => undefined) => {
  let asked = 0
  const read = listReader<Item, Item>({
    name: 'things',
    partner: 'test',
    page: (token, size) => {
      between((asked += 1))
      const from = Number(token ?? 0)
      const to = from + Math.min(size, most)
      return Promise.resolve({ items: items.slice(from, to), next: to < items.length ? String(to) : undefined })
    },
    record: (item) => item,
    changedAt: ({ value }) => value,
  })
  return { read, requests: () => asked }
}
const collect = async (
  batches: AsyncIterable<
    { checkpoint?: Checkpoint } & ({ encoding: 'records'; records: readonly Item[] } | { encoding: 'ndjson' | 'arrow' })
  >,
) => {
  const found: { records: readonly Item[]; checkpoint: Checkpoint | undefined }[] = []
  for await (const batch of batches)
    if (batch.encoding === 'records') found.push({ records: batch.records, checkpoint: batch.checkpoint })
  return { found, records: found.flatMap(({ records }) => records), checkpoint: found.at(-1)?.checkpoint }
}
const listOf = (count: number): Item[] =>
  Array.from({ length: count }, (_, index) => ({ name: `n${index}`, value: index }))

test('what stays is never lost, whatever is removed while the pages are read', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 900 }),
      fc.integer({ min: 50, max: 250 }),
      fc.array(fc.nat(), { maxLength: 4 }),
      async (count, most, removals) => {
        const items = listOf(count)
        const removed = new Set<string>()
        const { read } = partner(items, most, (page) => {
          const at = page > 1 ? removals[page - 2] : undefined
          if (at === undefined || items.length === 0) return
          for (const item of items.splice(at % items.length, 1)) removed.add(item.name)
        })
        const { records } = await collect(read({}))
        const names = new Set(records.map(({ name }) => name))
        expect(listOf(count).filter(({ name }) => !removed.has(name) && !names.has(name))).toEqual([])
      },
    ),
    { numRuns: 150, seed: 3 },
  )
})

test('only slices that have changed are handed on', async () => {
  const items = listOf(450)
  const { read } = partner(items, 200)
  const first = await collect(read({}))
  expect(first.records).toEqual(items)
  expect((await collect(read({ checkpoint: first.checkpoint! }))).records).toEqual([])
  items[120] = { name: 'n120', value: -1 }
  items.push({ name: 'new', value: 1 })
  const second = await collect(read({ checkpoint: first.checkpoint! }))
  expect(second.records.map(({ name }) => name)).toEqual(
    [...items.slice(100, 200), ...items.slice(400)].map(({ name }) => name),
  )
  expect((await collect(read({ checkpoint: second.checkpoint! }))).records).toEqual([])
})

test('a list goes on from each of its checkpoints', async () => {
  const items = listOf(950)
  const { read } = partner(items, 200)
  const { found } = await collect(read({}))
  for (const [at, { checkpoint }] of found.slice(0, 5).entries()) {
    const before = found.slice(0, at + 1).flatMap(({ records }) => records)
    const rest = await collect(read({ checkpoint: JSON.parse(JSON.stringify(checkpoint)) as Checkpoint }))
    expect([...before, ...rest.records]).toEqual(items)
  }
})

test('a page that is too large is asked for in smaller pieces', async () => {
  const items = listOf(700)
  const sizes: number[] = []
  const read = listReader<Item, Item>({
    name: 'things',
    partner: 'test',
    page: (token, size) => {
      sizes.push(size)
      if (size > 150) return Promise.reject(integrationError('too_large', { what: 'too large', details: { limit: 1 } }))
      const from = Number(token ?? 0)
      const to = from + size
      return Promise.resolve({ items: items.slice(from, to), next: to < items.length ? String(to) : undefined })
    },
    record: (item) => item,
    changedAt: ({ value }) => value,
  })
  expect((await collect(read({}))).records).toEqual(items)
  expect(sizes.slice(0, 4)).toEqual([1_000, 500, 250, 125])
})

test('large records are cut into batches of some megabytes, with the checkpoint on the last', async () => {
  const items = Array.from({ length: 90 }, (_, index) => ({ name: `${index}${'x'.repeat(100_000)}`, value: index }))
  const { found, records } = await collect(partner(items, 1_000).read({}))
  expect(records).toEqual(items)
  expect(found.length).toBe(5)
  expect(found.map(({ checkpoint }) => checkpoint !== undefined)).toEqual([false, false, false, false, true])
})

test('a page that asks for itself again ends the read', async () => {
  const read = listReader<Item, Item>({
    name: 'things',
    partner: 'test',
    page: () => Promise.resolve({ items: listOf(1), next: 'again' }),
    record: (item) => item,
    changedAt: () => undefined,
  })
  await expect(collect(read({}))).rejects.toThrow('asked for itself')
})

test('work at once keeps its order, and is aborted when one fails or the caller leaves', async () => {
  const items = Array.from({ length: 50 }, (_, index) => index)
  let running = 0
  let most = 0
  const work = async (item: number): Promise<number> => {
    running += 1
    most = Math.max(most, running)
    for (let turn = 0; turn <= (item * 7) % 5; turn += 1) await Promise.resolve()
    running -= 1
    return item
  }
  expect(await Array.fromAsync(inOrder(items, 8, undefined, work))).toEqual(items)
  expect(most).toBe(8)

  const aborted: number[] = []
  const waits = (item: number, signal: AbortSignal): Promise<number> =>
    item === 0
      ? Promise.resolve(0)
      : new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(item)
            reject(new Error('aborted'))
          })
        })
  for await (const item of inOrder(items, 4, undefined, waits)) {
    expect(item).toBe(0)
    break
  }
  expect(aborted).toEqual([1, 2, 3, 4])
  const fails = (item: number): Promise<number> =>
    item === 3 ? Promise.reject(new Error('three')) : Promise.resolve(item)
  await expect(Array.fromAsync(inOrder(items, 8, undefined, fails))).rejects.toThrow('three')
})
