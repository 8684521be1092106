import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { Health } from '@ecokit/contracts'
import { expect, test } from 'vitest'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = new URL('../.cache/', import.meta.url)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL('readme.ts', folder), `${code}\nexport { health }\n`)
  const module = (await import(new URL('readme.ts', folder).href)) as { health: Health }
  expect(module.health).toMatchObject({ status: 'healthy' })
})
