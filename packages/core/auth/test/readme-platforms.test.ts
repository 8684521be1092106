import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { secretFields, type AuthScheme } from '@ecokit/contracts'
import * as auth from '../src/index.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const section = readme.slice(readme.indexOf('## Signatures, platforms and certificates'))

test('the lines of the README on signatures and platforms run', async () => {
  const code = /```ts\n([\s\S]*?)```/.exec(section)?.[1] ?? ''
  const module = new URL('../.cache/readme-platforms.ts', import.meta.url)
  await mkdir(new URL('.', module), { recursive: true })
  await writeFile(module, `${code}\nexport { schemes }\n`)
  const { schemes } = (await import(module.href)) as { schemes: Record<string, AuthScheme> }
  expect(Object.values(schemes).map(({ kind, hosts }) => [kind, hosts])).toEqual([
    ['hmac', undefined],
    ['aws_sigv4', undefined],
    ['google_service_account', ['https://oauth2.googleapis.com']],
    ['snowflake_key_pair', undefined],
    ['databricks_m2m', ['{host}']],
    ['entra_certificate', ['https://login.microsoftonline.com']],
  ])
})

const entra = { tenant: 't', scope: 's' }
const made: Readonly<Record<string, AuthScheme>> = {
  hmacSigning: auth.hmacSigning({ signed: ['body'], headers: { a: '{signature}' } }),
  awsSigV4: auth.awsSigV4({ service: 's', region: 'r' }),
  googleServiceAccount: auth.googleServiceAccount({ scopes: [] }),
  snowflakeKeyPair: auth.snowflakeKeyPair({ account: 'a' }),
  databricksMachineToMachine: auth.databricksMachineToMachine({ host: 'h' }),
  microsoftEntraSecret: auth.microsoftEntraSecret(entra),
  microsoftEntraCertificate: auth.microsoftEntraCertificate(entra),
  microsoftEntraFederated: auth.microsoftEntraFederated(entra),
  mutualTls: auth.mutualTls(),
}
test.for(Object.entries(made))('the README has the kind, the fields and the secrets of %s right', ([name, scheme]) => {
  const row = section.split('\n').find((line) => line.startsWith(`| \`${name}(`)) ?? ''
  const [, , kind = '', fields = ''] = row.split('|')
  expect(kind.trim()).toBe(`\`${scheme.kind}\``)
  const named = (pattern: RegExp) => [...fields.matchAll(pattern)].map((match) => match[1])
  expect(named(/`(\w+)`/g)).toEqual(Object.keys(scheme.credentials.shape))
  expect(named(/\*`(\w+)`\*/g)).toEqual(secretFields(scheme.credentials))
})
