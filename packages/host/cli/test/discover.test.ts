import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { local } from '@ecokit/connector-local'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { carryOut, openFolder } from './run.ts'

let folder: string
let remove: () => Promise<void>
beforeAll(async () => {
  ;({ folder, remove } = await openFolder())
  const inbox = join(folder, 'inbox')
  await mkdir(inbox)
  await writeFile(join(inbox, 'good.csv'), 'a,b\n1,-0.0\n')
  await writeFile(join(inbox, 'doubled.csv'), 'a,a\n1,2\n')
  await writeFile(
    join(folder, 'ecosystem.yaml'),
    `version: 1
partners:
  inbox: { connector: local, config: { folder: '${inbox}' } }
`,
  )
})
afterAll(() => remove())
const quick = (...args: string[]) =>
  carryOut([...args, '--file', join(folder, 'ecosystem.yaml')], [], () => Promise.resolve([local]))

test('a table that cannot be described stands among the others, with what is wrong', async () => {
  const { code, out } = await quick('discover', 'inbox')
  expect(code).toBe(0)
  expect(out).toMatch(/^good .* 2 .*found now *$/m)
  expect(out).toMatch(/^doubled +found now *$/m)
  expect(out).toMatch(
    /^doubled cannot be read: inbox: .*doubled\.csv:1:1: two columns have the same name\. Mend the file$/m,
  )
  const streams = JSON.parse((await quick('discover', 'inbox', '--json')).out) as unknown[]
  expect(streams).toContainEqual(
    expect.objectContaining({
      name: 'doubled',
      modes: [],
      fault: { code: 'invalid_data', message: expect.stringContaining('doubled.csv:1:1') as string },
    }),
  )
  const one = await quick('discover', 'inbox', 'doubled')
  expect([one.code, one.out, one.err]).toEqual([
    1,
    '',
    expect.stringMatching(/^doubled cannot be read: .*same name/) as string,
  ])
  expect((await quick('discover', 'inbox', 'good')).code).toBe(0)
})
