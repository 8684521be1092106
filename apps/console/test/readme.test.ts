import { runReadme } from '@ecokit/readme'
import { expect, test } from 'vitest'

test('the lines of the README run', async () => {
  expect(await runReadme(import.meta.url)).toBe('true\n')
})
