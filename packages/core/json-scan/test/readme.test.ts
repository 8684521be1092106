import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
  ([, code]) => code,
)

test.each([
  [0, ['{"id":"a","score":0.5}', 'shorter than 1 characters']],
  [1, ['2 BigInt64Array(2) [ 1n, 2n ]']],
])('the README’s lines run (%i)', (index, expected) => {
  const file = join(root, 'test', `.readme-${index}.ts`)
  writeFileSync(file, (blocks[index] ?? '').replace('@ecokit/json-scan', '../src/index.ts'))
  try {
    const said = execFileSync(process.execPath, [file], { encoding: 'utf8' })
    for (const text of expected) expect(said).toContain(text)
  } finally {
    rmSync(file)
  }
})
