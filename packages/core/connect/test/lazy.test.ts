import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const script = (url: string) => `
import { createRequire } from 'node:module'
const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('undici'))
const { connectUnknown } = await import('./src/index.ts')
const { platform } = await import('./test/platform.ts')
const connection = connectUnknown(platform, { config: { url: '${url}' } })
const before = loaded()
await connection.check()
console.log(JSON.stringify([before, loaded()]))
await connection.close()
`

test('undici is loaded by the first request, not by importing or connecting', async () => {
  const cwd = new URL('..', import.meta.url)
  const arguments_ = ['--input-type=module', '--eval', script('http://127.0.0.1:1')]
  const { stdout } = await promisify(execFile)(process.execPath, arguments_, { cwd })
  expect(JSON.parse(stdout)).toEqual([false, true])
})
