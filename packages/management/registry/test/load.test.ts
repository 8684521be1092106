import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isIntegrationError } from '@ecokit/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadEcosystem, resolveCredentials } from '../src/index.ts'
import { connectors } from './connectors.ts'
import { good, sample } from './support.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registry-'))
})
afterAll(() => rm(folder, { recursive: true }))

const caught = async (work: () => unknown) => {
  try {
    await work()
  } catch (error) {
    if (isIntegrationError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test('a good file is loaded', async () => {
  const path = join(folder, 'ecosystem.yaml')
  await writeFile(path, sample)
  expect(await loadEcosystem(path, connectors)).toEqual(good(sample))
})

test('a bad file is told in lines that an editor and a terminal can jump to', async () => {
  const path = join(folder, 'bad.yaml')
  await writeFile(path, 'version: 1\npartners:\n  one:\n    connector: lake\n    config: { databse: x }\n')
  const error = await caught(() => loadEcosystem(path, connectors))
  expect(error).toMatchObject({ code: 'invalid_config', details: { field: 'partners.one.config.database' } })
  expect(error.message.split('\n')).toEqual([
    'bad.yaml:5:5 partners.one.config.database: missing; expected a text',
    'bad.yaml:5:15 partners.one.config.databse: unknown field `databse`; did you mean `database`?',
  ])
})

test('a file that is not there says what to do', async () => {
  const error = await caught(() => loadEcosystem(join(folder, 'none.yaml'), connectors))
  expect(error.code).toBe('invalid_config')
  expect(error.message).toMatch(/there is no file .*none\.yaml\. Name another file, or make one with `ecokit init`/)
  expect((await caught(() => loadEcosystem(folder, connectors))).message).toContain('cannot be read (EISDIR)')
})

test('credentials get their values from the environment', async () => {
  const ecosystem = good(`version: 1
credentials:
  named: { scheme: token, token: '\${env:NAMED}' }
partners:
  a: { connector: tracker, config: { trackingUri: http://x }, credentials: named }
  b: { connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: basic, username: ada, password: '\${env:INLINE}' } }
  c: { connector: lake, config: { database: x } }
`)
  const env = { NAMED: 'n-secret', INLINE: 'i-secret' }
  expect(await resolveCredentials(ecosystem, 'a', { env })).toEqual({ scheme: 'token', token: 'n-secret' })
  expect(await resolveCredentials(ecosystem, 'b', { env })).toEqual({
    scheme: 'basic',
    username: 'ada',
    password: 'i-secret',
  })
  expect(await resolveCredentials(ecosystem, 'c', { env })).toBeUndefined()
})

test('a variable that is not set is named with its partner and field', async () => {
  const ecosystem = good(sample)
  const missing = await caught(() => resolveCredentials(ecosystem, 'tracking', { env: {} }))
  expect(missing).toMatchObject({
    code: 'invalid_credentials',
    partner: 'tracking',
    details: { field: 'credentials.tracker-token.token' },
  })
  expect(missing.message).toBe(
    'tracking: credentials.tracker-token.token needs the environment variable TRACKER_TOKEN, which is not set. Set it (export TRACKER_TOKEN=…) and start again, or change ecosystem.yaml',
  )
  expect(
    (await caught(() => resolveCredentials(ecosystem, 'tracking', { env: { TRACKER_TOKEN: '' } }))).message,
  ).toContain('which is empty')
  expect(await caught(() => resolveCredentials(ecosystem, 'nobody', { env: {} }))).toMatchObject({ code: 'not_found' })
})

test('a variable cannot be one of the language', async () => {
  const ecosystem = good(sample.replace('TRACKER_TOKEN', 'constructor'))
  expect(await caught(() => resolveCredentials(ecosystem, 'tracking', { env: {} }))).toMatchObject({
    code: 'invalid_credentials',
  })
})

test('a file holds a value: without its last line break, within bounds, and told when it cannot be read', async () => {
  const ecosystem = (path: string) =>
    good(`version: 1
partners:
  a: { connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: token, token: '\${file:${path}}' } }
`)
  const read = (path: string) => resolveCredentials(ecosystem(path), 'a', { env: {}, folder })
  const put = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content)
  await put('plain', 'value\n')
  await put('windows', 'value\r\n')
  await put('two lines', '-----BEGIN-----\nvalue\n\n')
  await put('empty', '\n')
  await put('large', 'x'.repeat(64 * 1024 + 1))
  await put('largest', 'x'.repeat(64 * 1024))
  await put('bytes', Uint8Array.of(0xff, 0xfe, 0x80))
  expect(await read('plain')).toEqual({ scheme: 'token', token: 'value' })
  expect(await read('windows')).toEqual({ scheme: 'token', token: 'value' })
  expect(await read('two lines')).toEqual({ scheme: 'token', token: '-----BEGIN-----\nvalue\n' })
  expect(await read(join(folder, 'plain'))).toEqual({ scheme: 'token', token: 'value' })
  expect((await read('largest'))?.['token']).toHaveLength(64 * 1024)
  for (const [name, why] of [
    ['empty', 'which is empty'],
    ['large', 'which is larger than 65536 bytes'],
    ['bytes', 'which is not UTF-8 text'],
    ['none', 'which is not there'],
    ['.', 'which is no file'],
  ] as const)
    expect(await caught(() => read(name))).toMatchObject({
      code: 'invalid_credentials',
      partner: 'a',
      message: `a: partners.a.credentials.token needs the file \`${name}\`, ${why}. Mend it, or change ecosystem.yaml`,
      details: { field: 'partners.a.credentials.token' },
    })
})

test('a secret without a vault is refused with its name', async () => {
  const ecosystem = good(sample.replace('${env:TRACKER_TOKEN}', '${secret:tracker-token}'))
  const error = await caught(() => resolveCredentials(ecosystem, 'tracking', { env: {} }))
  expect(error).toMatchObject({ code: 'invalid_credentials' })
  expect(error.message).toContain('needs the secret `tracker-token`, and there is no vault here')
})
