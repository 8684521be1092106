import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

test('the ./file entry needs neither Node nor a store, so that an editor can bundle it', async () => {
  const outside = new Set<string>()
  const seen = new Set<string>()
  const follow = async (url: URL): Promise<void> => {
    if (seen.has(url.href)) return
    seen.add(url.href)
    const source = await readFile(url, 'utf8')
    for (const [, name = ''] of source.matchAll(/^(?:import|export)(?! type)[^']*?from '([^']+)'/gm))
      if (name.startsWith('.')) await follow(new URL(name, url))
      else outside.add(name)
  }
  await follow(new URL('../src/file.ts', import.meta.url))
  expect([...outside].toSorted()).toEqual(['@ecokit/contracts', 'yaml', 'zod'])
  expect(seen.size).toBeGreaterThan(8)
})
