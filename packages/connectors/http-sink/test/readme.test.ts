import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { openEndpoint } from './endpoint.ts'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const endpoint = await openEndpoint({ token: 'right' })
  onTestFinished(() => endpoint.close())
  const cache = new URL('../.cache/', import.meta.url)
  await mkdir(cache, { recursive: true })
  onTestFinished(() => rm(cache, { recursive: true }))
  const given = `const url = ${JSON.stringify(endpoint.url)}\nconst token = 'right'\n`
  await writeFile(new URL('readme.ts', cache), code.replace('\n\n', `\n\n${given}`))
  await import(new URL('readme.ts', cache).href)
  expect(endpoint.tables.get('runs')).toEqual([{ id: 'a' }, { id: 'b' }])
})
