import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isIntegrationError, toJson } from '@ecokit/contracts'
import { batchBodies, checkLength, limits } from '../src/limits.ts'

interface Body {
  run_id: string
  params: { key: string; value: string }[]
  tags: { key: string; value: string }[]
  metrics: { key: string; value: number }[]
}
const bodiesOf = (...given: Parameters<typeof batchBodies>) => batchBodies(...given) as Body[]

test('a batch of any size is cut within every limit, and nothing is lost', () => {
  const text = (most: number) => fc.string({ unit: 'grapheme', maxLength: most })
  const pairs = (most: number) =>
    fc.dictionary(fc.string({ minLength: 1, maxLength: 40 }), text(most), { maxKeys: 350 })
  const metric = fc.record({
    key: fc.string({ minLength: 1, maxLength: 20 }),
    value: fc.double(),
    timestamp: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    step: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  })
  fc.assert(
    fc.property(pairs(50), pairs(50), fc.array(metric, { maxLength: 2_400, size: 'max' }), (params, tags, metrics) => {
      const bodies = bodiesOf('p', 'r', { params, tags, metrics })
      for (const body of bodies) {
        expect(body.params.length).toBeLessThanOrEqual(limits.batch.params)
        expect(body.tags.length).toBeLessThanOrEqual(limits.batch.tags)
        expect(body.metrics.length).toBeLessThanOrEqual(limits.batch.metrics)
        expect(body.params.length + body.tags.length + body.metrics.length).toBeLessThanOrEqual(limits.batch.entities)
        expect(Buffer.byteLength(toJson(body))).toBeLessThanOrEqual(limits.batch.bytes)
      }
      const pairsOf = (part: 'params' | 'tags') =>
        bodies.flatMap((body) => body[part]).map(({ key, value }): [string, string] => [key, value])
      expect(pairsOf('params')).toEqual(Object.entries(params))
      expect(pairsOf('tags')).toEqual(Object.entries(tags))
      expect(bodies.flatMap((body) => body.metrics)).toEqual(metrics)
    }),
    { numRuns: 25, seed: 1 },
  )
})

test('a megabyte is the most that one request holds', () => {
  const params = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`p${index}`, '数'.repeat(6_000)]))
  const bodies = bodiesOf('p', 'r', { params })
  expect(bodies.length).toBe(2)
  for (const body of bodies) expect(Buffer.byteLength(toJson(body))).toBeLessThanOrEqual(1_000_000)
})

test.each([
  ['a key', { params: { ['k'.repeat(251)]: 'v' } }],
  ['an empty key', { tags: { '': 'v' } }],
  ['the value of a param', { params: { k: 'v'.repeat(6_001) } }],
  ['the value of a tag', { tags: { k: 'v'.repeat(8_001) } }],
  ['the key of a metric', { metrics: [{ key: 'k'.repeat(251), value: 1, timestamp: 1, step: 0 }] }],
])('%s that MLflow would cut or refuse is refused before anything is sent', (_name, batch) => {
  const refused = (): unknown => {
    try {
      return batchBodies('prod', 'r', batch)
    } catch (error) {
      return error
    }
  }
  expect(isIntegrationError(refused(), 'invalid_input')).toBe(true)
  expect(String(refused())).toMatch(/prod: .*(characters|empty)/)
})

test('characters are counted, not UTF-16 units', () => {
  expect(() => checkLength('p', 'key', '🙂'.repeat(250), 250)).not.toThrow()
  expect(() => checkLength('p', 'key', '🙂'.repeat(251), 250)).toThrow('251 characters')
})
