import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

test('the README’s first lines run', () => {
  const root = join(import.meta.dirname, '..')
  const code = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1] ?? ''
  const file = join(root, 'test', '.readme.ts')
  writeFileSync(file, code.replace('@ecokit/json-scan', '../src/index.ts'))
  try {
    const said = execFileSync(process.execPath, [file], { encoding: 'utf8' })
    expect(said).toContain('{"id":"a","score":0.5}')
    expect(said).toContain('shorter than 1 characters')
  } finally {
    rmSync(file)
  }
})
