import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = new URL('../.cache/', import.meta.url)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL('readme.ts', folder), `${code}\nexport { weather }\n`)
  const module = (await import(new URL('readme.ts', folder).href)) as { weather: { manifest: { id: string } } }
  expect(module.weather.manifest.id).toBe('weather')
})
