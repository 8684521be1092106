import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { secretFields, type AuthScheme } from '@ecokit/contracts'

test('the lines of the README on OAuth run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme.slice(readme.indexOf('## OAuth 2.0')))?.[1] ?? ''
  const module = new URL('../.cache/readme-oauth.ts', import.meta.url)
  await mkdir(new URL('.', module), { recursive: true })
  await writeFile(module, `${code}\nexport { auth }\n`)
  const { auth } = (await import(module.href)) as { auth: Record<string, AuthScheme> }
  expect(
    Object.values(auth).map(({ kind, interactive, hosts, credentials }) => [
      kind,
      interactive === true,
      hosts?.join(),
      secretFields(credentials).join(),
    ]),
  ).toEqual([
    ['oauth_client_credentials', false, '{host}', 'clientSecret'],
    ['oauth_client_credentials', false, 'https://login.example.com', 'privateKey'],
    ['oauth_authorization_code', true, '{host}', ''],
    ['oauth_device_code', true, '{host}', ''],
    ['oauth_token_exchange', false, '{host}', 'subjectToken'],
    ['oauth_refresh_token', false, '{host}', 'refreshToken'],
  ])
  for (const { kind } of Object.values(auth)) expect(readme).toContain(`\`${kind}\``)
})
