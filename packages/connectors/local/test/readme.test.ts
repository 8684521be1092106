import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { temporaryFolder } from './support.ts'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const place = JSON.stringify(path.join(await temporaryFolder(), 'lake.duckdb'))
  const cache = new URL('../.cache/', import.meta.url)
  await mkdir(cache, { recursive: true })
  onTestFinished(() => rm(cache, { recursive: true }))
  await writeFile(new URL('readme.ts', cache), code.replace("'lake.duckdb'", place))
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  onTestFinished(() => log.mockRestore())
  await import(new URL('readme.ts', cache).href)
  expect(log).toHaveBeenCalledExactlyOnceWith([{ id: 'a' }, { id: 'b' }])
})
