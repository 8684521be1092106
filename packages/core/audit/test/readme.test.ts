import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = new URL('../.cache/', import.meta.url)
  await rm(new URL('example', folder), { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const example = fileURLToPath(new URL('example', folder)).replaceAll('\\', '/')
  await writeFile(new URL('readme.ts', folder), code.replaceAll('.cache/example', example))
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  onTestFinished(() => log.mockRestore())
  await import(new URL('readme.ts', folder).href)
  expect(log).toHaveBeenCalledExactlyOnceWith('1 entries, as they were written')
})
