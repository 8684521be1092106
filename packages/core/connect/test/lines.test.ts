import type { InvalidRecord } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { recordLines } from '../src/lines.ts'

const read = (bytes: Uint8Array) => {
  const refused: InvalidRecord[] = []
  const records = [...recordLines(bytes, (invalid) => void refused.push(invalid))]
  return { records, refused: refused.map(({ reason }) => reason) }
}

test('a line that is not UTF-8 is refused and never changed; the lines around it are read', () => {
  const bytes = Buffer.concat([
    Buffer.from('{"a":"é"}\n{"a":"caf'),
    Buffer.from([0xe9]),
    Buffer.from('"}\n\n{"a":"ok"}'),
  ])
  expect(read(bytes)).toEqual({ records: [{ a: 'é' }, { a: 'ok' }], refused: ['not UTF-8'] })
})

test('lines end with or without a newline, and big integers keep their digits', () => {
  expect(read(Buffer.from('{"a":9007199254740993}\r\n{"a":1}\n')).records).toEqual([{ a: 9007199254740993n }, { a: 1 }])
  expect(read(Buffer.from(''))).toEqual({ records: [], refused: [] })
})
