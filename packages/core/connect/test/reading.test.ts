import { expect, test } from 'vitest'
import { z } from 'zod'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import {
  batches,
  each,
  inOrder,
  pageFor,
  readCheckpoint,
  resumePage,
  shrinkingPages,
  timeBound,
} from '../src/reading.ts'

test('work at once keeps its order, and is aborted when one fails or the caller leaves', async () => {
  const items = Array.from({ length: 50 }, (_, index) => index)
  let running = 0
  let most = 0
  const work = async (item: number): Promise<number> => {
    running += 1
    most = Math.max(most, running)
    for (let turn = 0; turn <= (item * 7) % 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
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

test('items may come as they are found, and their source ends with the work', async () => {
  let ended = false
  const source = async function* () {
    try {
      for (let item = 0; ; item += 1) yield item
    } finally {
      ended = true
    }
  }
  for await (const item of inOrder(source(), 3, undefined, (one) => Promise.resolve(one))) if (item === 7) break
  expect(ended).toBe(true)
})

test('pages shrink after too_large and stay so; another error, or the smallest page, is told', async () => {
  const ask = shrinkingPages(5)
  const tooLarge = integrationError('too_large', { what: 'too large', details: { limit: 1 } })
  const sizes: number[] = []
  const take = (most: number) => (size: number) => {
    sizes.push(size)
    return size > most ? Promise.reject(tooLarge) : Promise.resolve(size)
  }
  expect([await ask(take(2)), await ask(take(5))]).toEqual([2, 2])
  await expect(ask(take(0))).rejects.toBe(tooLarge)
  expect(sizes).toEqual([5, 3, 2, 2, 2, 1])
})

test('a page whose token is refused is asked for from the beginning, any other refusal is told', async () => {
  const rejected = integrationError('rejected', { what: 'no', details: {} })
  let told = 0
  const ask = (token: string | undefined) => (token === 'old' ? Promise.reject(rejected) : Promise.resolve(token))
  expect(await resumePage('old', ask, () => (told += 1))).toBeUndefined()
  expect([await resumePage('new', ask), told]).toEqual(['new', 1])
  await expect(resumePage(undefined, () => Promise.reject(rejected))).rejects.toBe(rejected)
})

test('what is handed on is bounded, and what was remembered is checked', async () => {
  const rows = Array.from({ length: 5 }, (_, row) => ({ row, size: 1_000_000 }))
  const found = [...batches(rows, { checkpoint: { at: 1 } })]
  expect(found.map((batch) => batch.encoding === 'records' && batch.records)).toEqual([[0, 1], [2, 3], [4]])
  expect(found.map(({ checkpoint }) => checkpoint)).toEqual([undefined, undefined, { at: 1 }])
  const pages = async function* () {
    yield [1, 2]
    yield [3]
    throw new Error('one page too many')
  }
  expect(await Array.fromAsync(each(pages(), 3, (item) => item * 2))).toEqual([2, 4, 6])
  expect([pageFor(undefined, 10), pageFor(3, 10), pageFor(30, 10)]).toEqual([10, 3, 10])
  expect(readCheckpoint('p', 's', z.object({ a: z.int() }), { a: 1 })).toEqual({ a: 1 })
  for (const wrong of [
    () => readCheckpoint('p', 's', z.object({ a: z.int() }), { a: 'x' }),
    () => timeBound('p', 'since', 'never'),
  ])
    expect(wrong).toThrow(expect.toSatisfy((error: unknown) => isIntegrationError(error, 'invalid_input')))
  expect(timeBound('p', 'since', '1970-01-01T00:00:01Z')).toBe(1000)
})
