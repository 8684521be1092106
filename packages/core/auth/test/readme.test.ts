import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const module = new URL('../.cache/readme.ts', import.meta.url)
  await mkdir(new URL('.', module), { recursive: true })
  await writeFile(module, `${code}\nexport { auth }\n`)
  const { auth } = (await import(module.href)) as { auth: Record<string, { kind: string }> }
  expect(Object.values(auth).map(({ kind }) => kind)).toEqual(['none', 'bearer', 'basic', 'api_key'])
})
