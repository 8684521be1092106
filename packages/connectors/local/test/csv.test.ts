import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { InvalidRecord } from '@ecokit/contracts'
import { readDiscovered } from '../src/read.ts'
import { csvCases } from './csv-cases.ts'
import { csvReader } from '../src/folder/csv.ts'
import { csvCell } from '../src/folder/text.ts'
import { open, readAll, temporaryFolder } from './support.ts'

const parse = (...texts: readonly string[]) => {
  const reader = csvReader()
  return [...texts.flatMap((text) => reader.push(text)), ...reader.end()].flatMap((found) =>
    'cells' in found ? [found] : [],
  )
}

test('what is written is read, however it is cut', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }).chain((width) =>
        fc.array(
          fc.array(fc.option(fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'é') })), {
            minLength: width,
            maxLength: width,
          }),
          {
            minLength: 1,
          },
        ),
      ),
      fc.array(fc.nat(30)),
      (rows, cuts) => {
        const text = rows
          .map((row) => `${row.map((cell) => (cell === null ? '' : csvCell(cell))).join(',')}\r\n`)
          .join('')
        const pieces: string[] = []
        let rest = text
        for (const cut of cuts) {
          pieces.push(rest.slice(0, cut))
          rest = rest.slice(cut)
        }
        expect(parse(...pieces, rest).map(({ cells }) => cells)).toEqual(rows)
      },
    ),
    { seed: 7, numRuns: 300 },
  )
})

test('line ends may be LF or CRLF, and the last one may be missing', () => {
  for (const text of ['a,b\n1,2', 'a,b\r\n1,2\r\n', 'a,b\n1,2\n'])
    expect(parse(text).map(({ cells }) => cells)).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ])
})

const faults: readonly (readonly [string, string, number, number])[] = [
  ['a,b\n1\n', '1 cells where the header has 2', 2, 2],
  ['a,b\n1,2,3\n', '3 cells where the header has 2', 2, 6],
  ['a,b\n1,2\n\n', '1 cells where the header has 2', 3, 1],
  ['a\nx"y\n', 'a quote inside a cell that is not quoted', 2, 2],
  ['a\n"x"y\n', 'text after the closing quote', 2, 4],
  ['a\n"x', 'a quote that is never closed', 2, 1],
  ['a,b\n1,"x\n\n3,4\n', 'a quote that is never closed', 2, 3],
  ['a\rb\n', 'a carriage return without a line feed', 1, 3],
  ['a\nb\r', 'a carriage return without a line feed', 2, 3],
]
for (const [text, fault, line, column] of faults)
  test(`malformed CSV is an error with line and column: ${JSON.stringify(text)}`, async () => {
    const folder = await temporaryFolder()
    const file = path.join(folder, 't.csv')
    await writeFile(file, text)
    await expect(readAll(open({ folder }))).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining(`${file}:${line}:${column}: ${fault}`) as string,
    })
  })

const broken: readonly (readonly [string, Buffer, string])[] = [
  ['t.csv', Buffer.concat([Buffer.from('a\n\ufffdé'), Buffer.from([0xff]), Buffer.from('\n')]), ':2:3: not UTF-8'],
  ['t.csv', Buffer.from(''), ':1:1: there is no header line'],
  ['t.csv', Buffer.from('a,,b\n'), ':1:1: column 2 has no name'],
  ['t.csv', Buffer.from('a,a\n'), ':1:1: two columns have the same name'],
  ['t.ndjson', Buffer.from('{"a":1}\n\n{"a":}\n'), ':3: not JSON'],
  ['t.ndjson', Buffer.from('[1]\n'), ':1: not a JSON object'],
]
for (const [name, bytes, place] of broken)
  test(`a file that cannot be read says where: ${place}`, async () => {
    const folder = await temporaryFolder()
    const file = path.join(folder, name)
    await writeFile(file, bytes)
    await expect(readAll(open({ folder }))).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining(`${file}${place}`) as string,
    })
  })

test('a line that is no record keeps nobody from seeing the table, and is put aside when it is read', async () => {
  const folder = await temporaryFolder()
  await writeFile(path.join(folder, 't.ndjson'), '{"a":1}\n{"a":}\n[1]\n{"a":2,"b":"x"}\n')
  const [table] = await Array.fromAsync(open({ folder }).discover?.() ?? [])
  expect(Object.keys(table?.schema['properties'] ?? {})).toEqual(['a', 'b'])
  const aside: string[] = []
  const onInvalid = ({ field }: InvalidRecord) => aside.push(field)
  const rows: unknown[] = []
  for await (const batch of open({ folder }).read?.('t', { onInvalid }) ?? [])
    if (batch.encoding === 'records') rows.push(...batch.records)
  expect(rows).toEqual([{ a: 1 }, { a: 2, b: 'x' }])
  expect(aside).toEqual(['t.ndjson:2', 't.ndjson:3'])
})

test('a quoted cell over many reads of the disk keeps its text', async () => {
  const folder = await temporaryFolder()
  const long = `é\n"${'x\r\ny'.repeat(600_000)}`
  await writeFile(path.join(folder, 't.csv'), `a,b\n1,${csvCell(long)}\n2,z\n`)
  const rows = await readAll(open({ folder }))
  expect(rows.map((row) => row['a'])).toEqual(['1', '2'])
  expect(rows[0]?.['b'] === long).toBe(true)
})

test('the corpus of CSV files: what is read, and what is put aside with line and column', async () => {
  expect(csvCases.length).toBeGreaterThanOrEqual(100)
  const wrong: unknown[] = []
  for (const { text, utf8, rows = [], faults = [], header } of csvCases) {
    const folder = await temporaryFolder()
    await writeFile(path.join(folder, 't.csv'), Buffer.from(text, utf8 === true ? 'utf8' : 'latin1'))
    const read = async (tolerant: boolean) => {
      const [found, aside]: [string[], string[]] = [[], []]
      const onInvalid = ({ field, reason }: InvalidRecord) => aside.push(`${field.replace('t.csv:', '')} ${reason}`)
      try {
        for await (const batch of readDiscovered(
          { database: undefined, folder },
          'lake',
          't',
          tolerant ? { onInvalid } : {},
        ))
          if (batch.encoding === 'records')
            for (const row of batch.records)
              found.push(
                Object.values(row)
                  .map((cell) => (cell === null ? '~' : cell === '' ? '^' : (cell as string)))
                  .join('|'),
              )
        return { found, aside, ended: '' }
      } catch (thrown) {
        return { found, aside, ended: (thrown as Error).message }
      }
    }
    const tolerant = await read(true)
    const strict = await read(false)
    const first = header ?? faults[0]
    const told = first === undefined ? '' : `t.csv:${first.replace(' ', ': ')}`
    const right =
      (header === undefined
        ? JSON.stringify([tolerant.found, tolerant.aside, tolerant.ended]) === JSON.stringify([rows, faults, ''])
        : tolerant.ended.includes(told)) && (first === undefined ? strict.ended === '' : strict.ended.includes(told))
    if (!right) wrong.push({ text, tolerant, strict, wanted: { rows, faults, header } })
  }
  expect(wrong).toEqual([])
}, 60_000)
