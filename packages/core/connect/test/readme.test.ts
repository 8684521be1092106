import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { answer, startServer } from './platform.ts'

test('the README begins with lines that run', async () => {
  const server = await startServer((request, response) => {
    const found = { items: [{ id: '1', text: 'hello' }] }
    answer(response, 200, request.url === '/about' ? { version: '1' } : found)
  })
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = new URL('../.cache/', import.meta.url)
  await mkdir(folder, { recursive: true })
  const before = `import { platform } from '../test/platform.ts'\nconst url = '${server.url}'\nconst shown: unknown[] = []\nconst console = { log: (...words: unknown[]) => shown.push(words) }\n`
  await writeFile(new URL('readme.ts', folder), `${before}${code}\nexport { shown }\n`)
  const { shown } = (await import(new URL('readme.ts', folder).href)) as { shown: unknown[] }
  expect(shown).toEqual([[expect.objectContaining({ status: 'healthy', version: '1' })], ['1', 'hello']])
  await server.stop()
})
