import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { json, serve } from './support.ts'

test('the README begins with lines that run', async () => {
  const { url, received } = await serve((_, response) => json(response, { greeting: 'hello' }))
  vi.stubEnv('API_URL', url)
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const module = new URL('../.cache/readme.ts', import.meta.url)
  await mkdir(new URL('.', module), { recursive: true })
  await writeFile(module, `${code}\nexport { answer }\n`)
  expect(((await import(module.href)) as { answer: unknown }).answer).toEqual({ greeting: 'hello' })
  expect(received.map((request) => request.url)).toEqual(['/v1/hello?name=you'])
})
