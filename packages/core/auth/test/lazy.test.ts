import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { pem } from './issuers.ts'

test('jose and oauth4webapi are loaded by the first token, and by nothing before it', async () => {
  const key = pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
  const script = `
    import { registerHooks } from 'node:module'
    const seen = []
    registerHooks({ resolve: (name, context, next) => (seen.push(name), next(name, context)) })
    const { snowflakeKeyPair, clientCredentials } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)})
    const libraries = () => seen.filter((name) => /^(jose|oauth4webapi)$/.test(name)).join()
    clientCredentials({ issuer: 'https://issuer.example' })
    const scheme = snowflakeKeyPair({ account: 'a' })
    const authorizer = scheme.open(scheme.credentials.parse({ user: 'u', privateKey: ${JSON.stringify(key)} }), { partner: 'p', config: {}, now: Date.now })
    const before = libraries()
    await authorizer.authorize({ method: 'GET', url: new URL('https://a.example'), headers: new Headers(), body: undefined })
    console.log(JSON.stringify([before, libraries()]))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  expect(JSON.parse(stdout)).toEqual(['', 'jose'])
})
