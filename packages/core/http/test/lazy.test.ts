import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { json, serve } from './support.ts'

test('undici is loaded by the first request, and by nothing before it', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const script = `
    import module from 'node:module'
    const loaded = () => Object.keys(module._cache).some((file) => file.includes('undici'))
    const { openNetwork } = await import('${new URL('../src/index.ts', import.meta.url).href}')
    const network = openNetwork({ partner: 'acme', hosts: ['${url}'], config: {} })
    const http = network.http('${url}')
    const before = loaded()
    const { body } = await http.request({ method: 'GET', path: '' })
    await body.cancel()
    await network.close()
    console.log(before, loaded())`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  expect(stdout.trim()).toBe('false true')
})
