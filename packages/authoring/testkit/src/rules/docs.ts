import { readFile } from 'node:fs/promises'
import { operationsOf } from '../probes.ts'
import type { Rule } from '../types.ts'

export const docsRules: readonly Rule[] = [
  {
    id: 'docs.readme',
    title: 'The README begins with code and names every operation, stream, sink and auth scheme',
    run: async ({ manifest, options, fail, skip }) => {
      if (options.readme === undefined) return skip('no README was given')
      const text = await readFile(options.readme, 'utf8')
      if (!/^```ts\n/m.test(text)) fail('the README has no example')
      const names = [
        ...operationsOf(manifest).map(({ name }) => name),
        ...Object.keys(manifest.streams ?? {}),
        ...Object.keys(manifest.sinks ?? {}),
        ...Object.keys(manifest.auth ?? {}),
      ]
      const missing = names.filter((name) => !text.includes(name))
      if (missing.length > 0) fail(`the README does not name ${missing.join(', ')}`)
    },
  },
]
