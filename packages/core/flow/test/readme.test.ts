import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { temporaryFolder } from './support.ts'

/** Runs the README's first lines, with those of one of its sections before they close everything; gives what was printed. */
const runLines = async (section?: string): Promise<readonly (readonly unknown[])[]> => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const blockIn = (text: string): string => /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const first = blockIn(readme)
  const at = first.lastIndexOf('for (const opened of')
  const more = section === undefined ? '' : blockIn(readme.slice(readme.indexOf(`## ${section}\n`)))
  const folder = await temporaryFolder()
  await mkdir(path.join(folder, 'exports'))
  await writeFile(path.join(folder, 'exports', 'people.csv'), 'id,name\n1,Ada\n2,Grace\n')
  const inFolder = (name: string): string => JSON.stringify(path.join(folder, name))
  const code = `${first.slice(0, at)}${more}${first.slice(at)}`
  const placed = code.replace(/'(exports|lake\.duckdb|\.ecokit\/state\.db)' ?(?=[})])/g, (_all, name: string) =>
    inFolder(name),
  )
  const file = `readme-${section ?? 'first'}.ts`.replaceAll(' ', '-')
  const cache = new URL('../.cache/', import.meta.url)
  await mkdir(cache, { recursive: true })
  await writeFile(new URL(file, cache), placed)
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  onTestFinished(() => log.mockRestore())
  await import(new URL(file, cache).href)
  return log.mock.calls
}
const first = ['people', 2, 2, 0]

test('the README begins with lines that run', async () => {
  expect(await runLines()).toEqual([first])
})

test.each([
  [
    'Schema contracts',
    [
      ['people', 1, undefined],
      [0, 'streams go on'],
    ],
  ],
  [
    'Quality rules',
    [
      ['unique(name)', true, 2, 0],
      ['range(id)', true, 2, 0],
      ['not_null(name)', true, 2, 0],
    ],
  ],
  ['Lineage', [[2, 'name']]],
  ['Schedules', [[false, true]]],
] as const)('the lines of %s run as well', async (section, printed) => {
  expect(await runLines(section)).toEqual([first, ...printed])
})
