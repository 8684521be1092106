import { expect, test } from 'vitest'
import { memoryTokens } from '../src/index.ts'

test('a token is kept until it expires', async () => {
  let now = 1000
  const tokens = memoryTokens(() => now)
  expect(await tokens.get('a')).toBeUndefined()
  await tokens.set('a', 'one', 2000)
  expect(await tokens.get('a')).toBe('one')
  now = 2000
  expect(await tokens.get('a')).toBeUndefined()
})

test('all that ask at once share one piece of work, and its failure does not stick', async () => {
  const tokens = memoryTokens(Date.now)
  let started = 0
  let fail: (error: Error) => void = () => undefined
  const work = () => {
    started += 1
    return new Promise<string>((_resolve, reject) => (fail = reject))
  }
  const shared = ['a', 'a', 'a'].map((key) => tokens.once(key, work))
  const other = tokens.once('b', () => Promise.resolve('b'))
  expect(await other).toBe('b')
  fail(new Error('no'))
  for (const each of shared) await expect(each).rejects.toThrow('no')
  expect(started).toBe(1)
  expect(await tokens.once('a', () => Promise.resolve('two'))).toBe('two')
  await expect(
    tokens.once('a', () => {
      throw new Error('at once')
    }),
  ).rejects.toThrow('at once')
  expect(await tokens.once('a', () => Promise.resolve('three'))).toBe('three')
})
