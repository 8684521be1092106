import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const module = new URL('../.cache/readme.ts', import.meta.url)
  await mkdir(new URL('.', module), { recursive: true })
  await writeFile(module, code)
  const folder = await mkdtemp(join(tmpdir(), 'ecokit-readme-'))
  await writeFile(
    join(folder, 'ecosystem.yaml'),
    'version: 1\npartners:\n  lake: { connector: local, config: { folder: lake } }\n',
  )
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(module)], { cwd: folder })
  expect(stdout).toMatch(/^described at http:\/\/127\.0\.0\.1:\d+\/openapi\.json\n$/)
  await rm(folder, { recursive: true })
})
