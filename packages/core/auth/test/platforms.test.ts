import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { memoryShared } from '@ecokit/http'
import {
  googleServiceAccount,
  microsoftEntraCertificate,
  microsoftEntraFederated,
  microsoftEntraSecret,
  snowflakeKeyPair,
} from '../src/index.ts'
import { snowflakeAccount } from '../src/snowflake.ts'
import { applicationCertificate, applicationKey } from './fixtures/certificates.ts'
import { pem, rsaKeys, startIssuers, type Issuers } from './issuers.ts'
import { refusal, through } from './through.ts'

let issuers: Issuers
let folder = ''
const robot = rsaKeys()
const stranger = rsaKeys()
beforeAll(async () => {
  issuers = await startIssuers()
  folder = await mkdtemp(path.join(tmpdir(), 'ecokit-platforms-'))
  issuers.google.key = robot.publicKey
  issuers.google.scopes = ['scope-a scope-b']
  issuers.snowflake.key = robot.publicKey
  issuers.entra.certificates = [applicationCertificate]
  issuers.entra.cluster.key = robot.publicKey
})
afterAll(async () => {
  await issuers.close()
  await rm(folder, { recursive: true, force: true })
})
const now = () => issuers.now
/** Posts a token request again, as somebody who saw it could. */
const replay = async (): Promise<{ status: number; error: string }> => {
  const { path: place, form } = issuers.asked.at(-1) ?? expect.unreachable('nobody asked')
  const reply = await fetch(issuers.url + place, { method: 'POST', body: form })
  return { status: reply.status, error: ((await reply.json()) as { error: string }).error }
}

const google = () => googleServiceAccount({ scopes: ['scope-a', '{scope}'], tokenUri: '{url}/token' })
const keyFile = (changes: Record<string, unknown> = {}) =>
  JSON.stringify({
    type: 'service_account',
    project_id: 'project',
    private_key_id: issuers.google.keyId,
    private_key: pem(robot.privateKey),
    client_email: issuers.google.email,
    token_uri: 'https://evil.example/token',
    ...changes,
  })
const config = { scope: 'scope-b' }

test('Google: a key file, or its parts, is exchanged for a token that the API takes; many calls need one exchange', async () => {
  const before = issuers.asked.length
  const { status, network } = through(google(), { key: keyFile() }, { url: issuers.url, config, now })
  expect(await Promise.all(Array.from({ length: 20 }, () => status()))).toEqual(Array(20).fill(200))
  expect(issuers.asked.length - before).toBe(1)
  await network.close()
  const parts = { clientEmail: issuers.google.email, privateKey: pem(robot.privateKey).replaceAll('\n', '\\n') }
  const other = through(google(), { ...parts, privateKeyId: issuers.google.keyId }, { url: issuers.url, config, now })
  expect(await other.status()).toBe(200)
  await other.network.close()
})
test('Google: an assertion is good once', async () => {
  const { status, network } = through(google(), { key: keyFile() }, { url: issuers.url, config, now })
  await status()
  await network.close()
  expect(await replay()).toEqual({ status: 400, error: 'invalid_grant' })
})
test('Google: a token is renewed before it expires, and once when the API refuses it', async () => {
  const tokens = memoryShared(now)
  const { status, network } = through(google(), { key: keyFile() }, { url: issuers.url, config, now, tokens })
  await status()
  const before = issuers.asked.length
  issuers.now += 3_595_000
  expect(await status()).toBe(200)
  expect(issuers.asked.length - before).toBe(1)
  issuers.revoke()
  expect(await status()).toBe(200)
  expect(issuers.asked.length - before).toBe(2)
  await network.close()
})
test.for([
  [
    'a key that is not the account\u2019s',
    () => ({ key: keyFile({ private_key: pem(stranger.privateKey) }) }),
    'unauthenticated',
  ],
  ['an account that is not there', () => ({ key: keyFile({ client_email: 'nobody@project.iam' }) }), 'unauthenticated'],
  ['an unknown key id', () => ({ key: keyFile({ private_key_id: 'key-2' }) }), 'unauthenticated'],
] as const)('Google refuses %s', async ([, credentials, code]) => {
  const { status, network } = through(google(), credentials(), { url: issuers.url, config, now })
  const refused = await refusal(status())
  await network.close()
  expect(refused.code).toBe(code)
  expect(refused.text).toContain('google_service_account')
  expect(refused.text).not.toContain(pem(stranger.privateKey).split('\n')[3])
  expect(refused.text).not.toContain(issuers.asked.at(-1)?.form.get('assertion'))
})
test('Google refuses a scope that the account may not have, and a clock that is off', async () => {
  const scoped = through(google(), { key: keyFile() }, { url: issuers.url, config: { scope: 'all' }, now })
  expect(await refusal(scoped.status())).toMatchObject({ code: 'rejected' })
  await scoped.network.close()
  const late = through(
    google(),
    { key: keyFile() },
    { url: issuers.url, config, now: () => issuers.now - 2 * 3_600_000 },
  )
  expect(await refusal(late.status())).toMatchObject({ code: 'unauthenticated' })
  await late.network.close()
})

const entra = (scope = 'https://storage.azure.com/.default') => ({ tenant: '{tenantId}', scope, authority: '{url}' })
const settings = () => ({ url: issuers.url, config: { tenantId: issuers.entra.tenant }, now })

test('Entra: a client secret', async () => {
  const { clientId, secret } = issuers.entra
  const right = through(microsoftEntraSecret(entra()), { clientId, clientSecret: secret }, settings())
  expect(await right.status()).toBe(200)
  await right.network.close()
  const clientSecret = 'wrong~Secret.0123456789_abcdefghij'
  const wrong = through(microsoftEntraSecret(entra()), { clientId, clientSecret }, settings())
  const refused = await refusal(wrong.status())
  await wrong.network.close()
  expect(refused).toMatchObject({ code: 'invalid_credentials', field: 'credentials.clientSecret' })
  // The server quotes the secret, as no server should.
  expect(refused.text).toContain('AADSTS7000215')
  expect(refused.text).not.toContain(clientSecret)
})
test('Entra: a certificate, whose assertion is good once', async () => {
  const { clientId } = issuers.entra
  const credentials = { clientId, certificate: applicationCertificate, privateKey: applicationKey }
  const { status, network } = through(microsoftEntraCertificate(entra()), credentials, settings())
  expect(await status()).toBe(200)
  expect(await replay()).toEqual({ status: 401, error: 'invalid_client' })
  await network.close()
  issuers.entra.certificates = []
  const other = through(microsoftEntraCertificate(entra()), credentials, settings())
  const refused = await refusal(other.status())
  await other.network.close()
  issuers.entra.certificates = [applicationCertificate]
  expect(refused).toMatchObject({ code: 'invalid_credentials', field: 'credentials.certificate' })
  expect(refused.text).not.toContain(applicationKey.split('\n')[3])
})
test('Entra: a federated token, read anew for each exchange', async () => {
  const { clientId, cluster } = issuers.entra
  const tokenFile = path.join(folder, 'token')
  const mount = async (key = robot.privateKey, subject = cluster.subject) => {
    const seconds = Math.floor(issuers.now / 1000)
    const jwt = await new SignJWT()
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(cluster.issuer)
      .setSubject(subject)
      .setAudience('api://AzureADTokenExchange')
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + 3600)
      .setJti('1')
      .sign(key)
    await writeFile(tokenFile, `${jwt}\n`)
    return jwt
  }
  await mount()
  const scheme = microsoftEntraFederated(entra())
  const { status, network } = through(scheme, { clientId, tokenFile }, settings())
  expect(await status()).toBe(200)
  issuers.now += 3_600_000
  const second = await mount()
  expect(await status()).toBe(200)
  expect(issuers.asked.at(-1)?.form.get('client_assertion')).toBe(second)
  await network.close()
  for (const spoil of [
    () => mount(stranger.privateKey),
    () => mount(robot.privateKey, 'system:serviceaccount:default:other'),
  ]) {
    const jwt = await spoil()
    const wrong = through(scheme, { clientId, tokenFile }, settings())
    const refused = await refusal(wrong.status())
    await wrong.network.close()
    expect(refused).toMatchObject({ code: 'invalid_credentials', field: 'credentials.tokenFile' })
    expect(refused.text).not.toContain(jwt)
  }
  await writeFile(tokenFile, 'secret-but-no-jwt')
  for (const file of [tokenFile, path.join(folder, 'nowhere')]) {
    const none = through(scheme, { clientId, tokenFile: file }, settings())
    const refused = await refusal(none.status())
    await none.network.close()
    expect(refused).toMatchObject({ code: 'invalid_credentials', field: 'credentials.tokenFile' })
    expect(refused.text).not.toContain('secret-but-no-jwt')
  }
})

test('Snowflake: the JWT is what the guide asks for, renewed before its hour is over', async () => {
  const scheme = snowflakeKeyPair({ account: '{account}' })
  const at = { url: issuers.url, config: { account: 'xy12345.eu-central-1' }, now }
  const passphrase = 'pass phrase'
  const keys = { user: 'Robot', privateKey: pem(robot.privateKey, passphrase), privateKeyPassphrase: passphrase }
  const { http, network } = through(scheme, keys, at)
  const ask = async () => {
    const reply = await http.request({ method: 'GET', path: 'snowflake' })
    await reply.body.cancel()
    return reply.status
  }
  // Two hours in steps of seven minutes.
  for (let step = 0; step < 18; step++) {
    expect(await ask()).toBe(200)
    issuers.now += 7 * 60_000
  }
  await network.close()
  for (const wrong of [
    { ...keys, user: 'somebody' },
    { user: 'Robot', privateKey: pem(stranger.privateKey) },
  ]) {
    const other = through(scheme, wrong, at)
    const refused = await refusal(other.http.request({ method: 'GET', path: 'snowflake' }))
    await other.network.close()
    expect(refused.code).toBe('unauthenticated')
  }
  const elsewhere = through(scheme, keys, { ...at, config: { account: 'ab1' } })
  expect(await refusal(elsewhere.http.request({ method: 'GET', path: 'snowflake' }))).toMatchObject({
    code: 'unauthenticated',
  })
  await elsewhere.network.close()
})
test('Snowflake: a JWT that is refused is signed anew once, and not where it was new', async () => {
  const scheme = snowflakeKeyPair({ account: 'xy12345' })
  const { http, network } = through(
    scheme,
    { user: 'robot', privateKey: pem(robot.privateKey) },
    { url: issuers.url, now },
  )
  const ask = async () => {
    const before = issuers.snowflake.asked
    const reply = await http.request({ method: 'GET', path: 'snowflake' }).catch(() => undefined)
    await reply?.body.cancel()
    return [reply?.status, issuers.snowflake.asked - before]
  }
  expect(await ask()).toEqual([200, 1])
  issuers.now += 10 * 60_000
  issuers.snowflake.since = issuers.now - 60_000
  expect(await ask()).toEqual([200, 2])
  issuers.snowflake.since = issuers.now + 60_000
  expect(await ask()).toEqual([undefined, 1])
  issuers.snowflake.since = 0
  await network.close()
})
test.for([
  ['xy12345', 'XY12345'],
  ['xy12345.eu-central-1', 'XY12345'],
  ['xy12345.us-east-2.aws', 'XY12345'],
  ['myorg-my_account', 'MYORG-MY_ACCOUNT'],
  ['myorg-account.privatelink', 'MYORG-ACCOUNT'],
  ['account-123abc.global', 'ACCOUNT'],
])('Snowflake names the account %s as %s', ([given = '', named]) => {
  expect(snowflakeAccount(given)).toBe(named)
})

const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const locked = () => pem(robot.privateKey, 'right')
const open = () => pem(robot.privateKey)
const short = pem(rsaKeys(1024).privateKey)
const damaged = () => open().replace(/^(.{200}).{40}/s, '$1')
const schemes = {
  google: google(),
  snowflake: snowflakeKeyPair({ account: 'a' }),
  entra: microsoftEntraCertificate(entra()),
}
test.for([
  ['google', () => ({}), 'key'],
  ['google', () => ({ key: 'not json' }), 'key'],
  ['google', () => ({ key: '{"type":"authorized_user"}' }), 'key'],
  ['google', () => ({ key: keyFile({ client_email: undefined }) }), 'key'],
  ['google', () => ({ key: keyFile({ private_key: undefined }) }), 'key'],
  ['google', () => ({ key: keyFile({ private_key: damaged() }) }), 'key'],
  ['google', () => ({ key: keyFile(), clientEmail: 'a@b' }), 'clientEmail'],
  ['google', () => ({ privateKey: open() }), 'clientEmail'],
  ['google', () => ({ clientEmail: 'a@b' }), 'privateKey'],
  ['google', () => ({ clientEmail: 'a@b', privateKey: damaged() }), 'privateKey'],
  ['google', () => ({ clientEmail: 'a@b', privateKey: 'MIIEvQ' }), 'privateKey'],
  ['google', () => ({ clientEmail: 'a@b', privateKey: pem(elliptic.privateKey) }), 'privateKey'],
  ['snowflake', () => ({ user: 'u', privateKey: damaged() }), 'privateKey'],
  ['snowflake', () => ({ user: 'u', privateKey: short }), 'privateKey'],
  ['snowflake', () => ({ user: 'u', privateKey: locked() }), 'privateKeyPassphrase'],
  ['snowflake', () => ({ user: 'u', privateKey: locked(), privateKeyPassphrase: 'wrong' }), 'privateKeyPassphrase'],
  ['entra', () => ({ clientId: 'c', certificate: applicationCertificate, privateKey: open() }), 'privateKey'],
  ['entra', () => ({ clientId: 'c', certificate: 'x', privateKey: applicationKey }), 'certificate'],
  [
    'entra',
    () => ({ clientId: 'c', certificate: applicationCertificate.replace('MII', 'MXX'), privateKey: applicationKey }),
    'certificate',
  ],
] as const)('%s: bad credentials are refused at their field, without a word of them (%#)', ([name, given, field]) => {
  const credentials: Readonly<Record<string, string>> = given()
  const { error } = schemes[name].credentials.safeParse(credentials)
  expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([field])
  const words = JSON.stringify(error?.issues)
  const shown = Object.values(credentials)
    .flatMap((value) => value.split(/\\n|\n/))
    .filter((line) => line.length > 4 && words.includes(line))
  expect(shown).toEqual([])
})
test('a key file that lacks something says what', () => {
  const { error } = schemes.google.credentials.safeParse({ key: keyFile({ client_email: undefined }) })
  expect(error?.issues[0]?.message).toContain('client_email')
})
test('an expired certificate is refused when the connection is opened', async () => {
  const credentials = { clientId: 'c', certificate: applicationCertificate, privateKey: applicationKey }
  const years = (count: number) => ({ ...settings(), now: () => Date.now() + count * 366 * 86_400_000 })
  const opening = async (count: number) => {
    const { network } = through(schemes.entra, credentials, years(count))
    await network.close()
  }
  await opening(50)
  for (const count of [200, -10])
    expect(await refusal(opening(count))).toMatchObject({
      code: 'invalid_credentials',
      field: 'credentials.certificate',
    })
})
