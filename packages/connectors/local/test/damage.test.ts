import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { isIntegrationError } from '@ecokit/contracts'
import { open, openBoth, openLake, openWriter, put, readAll, records, table, writing } from './support.ts'

const described = table({ id: { type: 'integer' }, name: { type: 'string' } })
const rows = (from: number) => Array.from({ length: 50 }, (_, at) => ({ id: from + at, name: `row ${from + at}` }))
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (isIntegrationError(error) ? `${error.code}: ${error.message}` : String(error)),
  )

for (const sink of ['parquet', 'csv', 'ndjson'])
  test(`${sink}: a part with one changed or missing byte is refused when it is read`, async () => {
    const { connection, folder } = await openBoth()
    await put(connection, writing(described), rows(0), sink)
    const place = path.join(folder, 't')
    const part = (await readdir(place)).find((name) => name.startsWith('part-')) ?? ''
    const file = path.join(place, part)
    const whole = await readFile(file)
    for (const at of [Math.floor(whole.length / 2), whole.length - 3]) {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ 1
      await writeFile(file, changed)
      expect(await codeOf(readAll(connection))).toMatch(/^invalid_data: .*is damaged/)
    }
    await writeFile(file, whole)
    expect(await readAll(connection)).toHaveLength(50)
    await truncate(file, whole.length - 1)
    expect(await codeOf(readAll(connection))).toMatch(/^invalid_data: .*is damaged/)
    // A writer does not go on upon it either: it could only add to what is lost.
    expect(await codeOf(openWriter(connection, writing(described), sink))).toMatch(/^invalid_data: .*is damaged/)
    await put(connection, writing(described, { disposition: 'overwrite' }), rows(100), sink)
    expect((await readAll(connection)).map(({ id }) => id)).toEqual(rows(100).map(({ id }) => id))
  })

test('a manifest with one changed byte is refused', async () => {
  const { connection, folder } = await openBoth()
  const writer = await openWriter(connection, writing(described), 'ndjson')
  await writer.write(records(...rows(0)))
  await writer.commit({ after: 119 }, { final: true })
  await writer[Symbol.asyncDispose]()
  await connection.close()
  const file = path.join(folder, 't', '_manifest.json')
  const whole = await readFile(file, 'utf8')
  const changed = whole.replace('"after": 119', '"after": 118')
  expect(changed).not.toBe(whole)
  await writeFile(file, changed)
  const again = open({ folder })
  expect(await codeOf(readAll(again))).toMatch(/^invalid_data: .*it is damaged/)
  expect(await codeOf(openWriter(again, writing(described), 'ndjson'))).toMatch(/^invalid_data: .*it is damaged/)
  await writeFile(file, whole)
  expect(await readAll(again)).toHaveLength(50)
})

test('a DuckDB file that the disk changed is told as damaged, with what to do', async () => {
  const { connection, database } = await openLake()
  await put(connection, writing(described), rows(0))
  await connection.close()
  const whole = await readFile(database)
  for (const length of [whole.length - 1, 12_288, 5_000]) {
    await truncate(database, length)
    expect(await codeOf(readAll(open({ database })))).toMatch(/^unavailable: .*The file is damaged/)
    await writeFile(database, whole)
  }
  // Each block of the file has a checksum of its own.
  const found = new Set<string>()
  for (let step = 0; step < 16; step += 1) {
    const at = 8200 + Math.floor((step * (whole.length - 8200)) / 16)
    const changed = Buffer.from(whole)
    changed[at] = (changed[at] ?? 0) ^ 4
    await writeFile(database, changed)
    const again = open({ database })
    const read = await codeOf(readAll(again).then((records) => expect(records).toEqual(rows(0))))
    found.add(read.replace(/^(unavailable: ).*(The file is damaged).*$/, '$1$2'))
    await again.close()
  }
  expect([...found].filter((one) => one !== 'ok')).toEqual(['unavailable: The file is damaged'])
})
