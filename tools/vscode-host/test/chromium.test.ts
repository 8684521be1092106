import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { findChromium } from '../index.ts'

test('takes the browser that CHROMIUM names, else one on the path, else none', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vscode-host-'))
  const browser = path.join(folder, 'google-chrome')
  await writeFile(browser, '')
  await chmod(browser, 0o755)
  expect(findChromium({ PATH: `/nowhere${path.delimiter}${folder}` })).toBe(browser)
  expect(findChromium({ PATH: '', CHROMIUM: browser })).toBe(browser)
  expect(findChromium({ PATH: folder, CHROMIUM: path.join(folder, 'gone') })).toBeUndefined()
  await rm(folder, { recursive: true })
})
