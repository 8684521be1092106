import { readFile } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { ecokit, openFolder } from './run.ts'

// Five processes, and the machine may be busy.
vi.setConfig({ testTimeout: 180_000 })

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const lines = (/```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? '').trim().split('\n')
  expect(lines.length).toBe(5)
  const { folder, remove } = await openFolder()
  for (const line of lines) {
    const [command, ...args] = line.split(' ')
    expect(command).toBe('ecokit')
    const { code, err } = await ecokit(folder, ...args)
    expect([line, code, err]).toEqual([line, 0, ''])
  }
  await remove()
})
