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

const watching = (work: string) => `
import { registerHooks } from 'node:module'
const loaded = []
registerHooks({ resolve: (name, context, next) => { const found = next(name, context); loaded.push(found.url); return found } })
const { connectUnknown } = await import('./src/index.ts')
const { desk } = await import('./test/desk.ts')
const connection = connectUnknown(desk, { config: { url: 'http://127.0.0.1:1' } })
${work}
console.log(loaded.some((url) => url.includes('json-scan') || url.endsWith('rest/read.ts')))
await connection.close()
`

test.each([
  ['false', ''],
  ['true', "await connection.read('items').next().catch(() => undefined)"],
])('what reads declared streams is loaded by the first read: %s', async (expected, work) => {
  const cwd = new URL('..', import.meta.url)
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', watching(work)], {
    cwd,
  })
  expect(stdout.trim()).toBe(expected)
})
