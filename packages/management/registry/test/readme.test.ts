import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { Registry } from '../src/index.ts'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = new URL('../.cache/', import.meta.url)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL('readme.ts', folder), `${code}\nexport { problems, registry }\n`)
  const module = (await import(new URL('readme.ts', folder).href)) as { problems: unknown[]; registry: Registry }
  expect(module.problems).toEqual([])
  expect(await module.registry.list()).toMatchObject([{ name: 'lake', title: 'DuckDB and local files' }])
})
