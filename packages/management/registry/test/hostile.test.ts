import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readSource } from '../src/source.ts'
import { parse, sample } from './support.ts'

const firstMessage = (text: string): string | undefined => parse(text).problems[0]?.message

test('aliases that expand without end are refused', () => {
  const levels = Array.from({ length: 12 }, (_, index) => {
    const before = Array.from({ length: 9 }, () => `*a${index}`).join(', ')
    return `a${index + 1}: &a${index + 1} [${before}]`
  })
  expect(firstMessage(`a0: &a0 [x]\n${levels.join('\n')}`)).toBe('more than 100000 values; aliases may expand too far')
  expect(firstMessage('version: 1\npartners: &self { one: *self, two: *self }')).toBe('nested more than 64 levels deep')
})

test('a file that is too large or too deep is refused', () => {
  expect(firstMessage('#'.repeat(1024 * 1024 + 1))).toBe('the file is larger than 1048576 characters; split it')
  expect(firstMessage('['.repeat(200_000))).toBe('nested too deeply')
  expect(firstMessage(`version: ${'['.repeat(100)}${']'.repeat(100)}`)).toBe('nested more than 64 levels deep')
})

test('names of the language mean nothing', () => {
  const { ecosystem, problems } = parse(`version: 1
partners:
  constructor: { connector: lake, config: { database: a } }
  tostring: { connector: lake, config: { database: b } }
pipelines:
  hasownproperty: { source: constructor, sink: tostring, streams: [constructor] }
`)
  expect(problems).toEqual([])
  expect(ecosystem?.partners.map(({ name }) => name)).toEqual(['constructor', 'tostring'])
  expect(parse('version: 1\npartners: { one: { connector: constructor } }').problems).toMatchObject([
    { field: 'partners.one.connector' },
  ])
  expect(
    parse(
      'version: 1\npartners: { one: { connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: constructor } } }',
    ).problems,
  ).toMatchObject([{ field: 'partners.one.credentials.scheme' }])
  expect(parse('version: 1\npartners: { one: { __proto__: { connector: lake } } }').problems).toMatchObject([
    { field: 'partners.one.connector' },
    { field: 'partners.one.__proto__' },
  ])
  expect(({} as Record<string, unknown>)['connector']).toBeUndefined()
})

test('many mistakes in a large file are told without end neither of time nor of list', () => {
  const text = `version: 1\npartners:\n${Array.from({ length: 20_000 }, (_, index) => `  P${index}: { connector: x }`).join('\n')}`
  expect(parse(text).problems).toHaveLength(500)
})

test('whatever stands in the file, the answer is an ecosystem or problems inside the text', () => {
  const lines = sample.split('\n')
  const pieces = fc.constantFrom(
    ...Array.from('{}[]:,&*!|>-\'"#%@`\t\n ~'),
    '<<: *a',
    '&a ',
    '*a',
    '!!set',
    '\u2028',
    '\uFEFF',
    '${env:A}',
    '__proto__: 1',
  )
  const damaged = fc
    .array(fc.record({ line: fc.nat(lines.length - 1), at: fc.nat(40), piece: pieces, cut: fc.nat(6) }), {
      minLength: 1,
      maxLength: 4,
    })
    .map((edits) => {
      const copy = [...lines]
      for (const { line, at, piece, cut } of edits) {
        const old = copy[line] ?? ''
        copy[line] = old.slice(0, at) + piece + old.slice(at + cut)
      }
      return copy.join('\n')
    })
  fc.assert(
    fc.property(fc.oneof(damaged, fc.string({ unit: 'binary' }), fc.json()), (given) => {
      const text = given.replace(/^\uFEFF/, '')
      const { ecosystem, problems } = parse(given)
      expect(ecosystem === undefined).toBe(problems.length > 0)
      const rows = text.split('\n')
      for (const { line, column, endLine, endColumn, message } of problems) {
        expect(message).not.toBe('')
        expect(line).toBeGreaterThanOrEqual(1)
        expect(endLine).toBeLessThanOrEqual(rows.length)
        expect(column).toBeLessThanOrEqual((rows[line - 1]?.length ?? 0) + 1)
        expect(endColumn).toBeLessThanOrEqual((rows[endLine - 1]?.length ?? 0) + 1)
        expect(endLine > line || endColumn >= column).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})

test('every JSON value is read as JSON.parse reads it', () => {
  const nameless = fc
    .jsonValue({ maxDepth: 6, depthSize: 'medium' })
    .filter((value) => !JSON.stringify(value).includes('"__proto__"'))
  fc.assert(
    fc.property(nameless, fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
      const { value: read, problems } = readSource(JSON.stringify(value, null, indent))
      expect(problems).toEqual([])
      expect(JSON.stringify(read)).toBe(JSON.stringify(value))
    }),
    { numRuns: 1000 },
  )
})
