import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { temporaryFolder } from './support.ts'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = await temporaryFolder()
  await mkdir(path.join(folder, 'exports'))
  await writeFile(path.join(folder, 'exports', 'people.csv'), 'id,name\n1,Ada\n2,Grace\n')
  const inFolder = (name: string): string => JSON.stringify(path.join(folder, name))
  const placed = code.replace(/'(exports|lake\.duckdb|\.ecokit\/state\.db)' ?(?=[})])/g, (_all, name: string) =>
    inFolder(name),
  )
  const cache = new URL('../.cache/', import.meta.url)
  await mkdir(cache, { recursive: true })
  await writeFile(new URL('readme.ts', cache), placed)
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  onTestFinished(() => log.mockRestore())
  await import(new URL('readme.ts', cache).href)
  expect(log).toHaveBeenCalledExactlyOnceWith('people', 2, 2, 0)
})
