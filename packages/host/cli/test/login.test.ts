import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { browse, startOidc } from '@ecokit/peers'
import type { Oidc } from '@ecokit/peers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { crm as connector } from './crm.ts'
import { binWithCrm, carryOut, openFolder, start, until } from './run.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

let folder: string
let remove: () => Promise<void>
let oidc: Oidc
const tokens = new Set<string>()

const crm = (args: readonly string[], env: NodeJS.ProcessEnv = {}, input = '') =>
  start(folder, args, env, input, binWithCrm)
/** In this process, for what needs none of its own. */
const run = (...args: string[]) =>
  carryOut([...args, '--file', join(folder, 'ecosystem.yaml')], [], () => Promise.resolve([connector]))

beforeAll(async () => {
  ;({ folder, remove } = await openFolder())
  oidc = await startOidc({
    accessTokenSeconds: 600,
    clients: [
      {
        client_id: 'cli',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
      { client_id: 'robot', client_secret: 'canary-robot-secret', redirect_uris: [] },
    ],
    features: { deviceFlow: { enabled: true }, userinfo: { enabled: true } },
    configure: (provider) => {
      for (const kind of ['access_token', 'refresh_token'])
        provider.on(`${kind}.saved`, (token) => {
          const { jti } = token as unknown as { readonly jti?: string }
          if (jti !== undefined) tokens.add(jti)
        })
    },
  })
  await writeFile(
    join(folder, 'ecosystem.yaml'),
    `version: 1
partners:
  people: { connector: crm, config: { issuer: '${oidc.url}' }, credentials: { scheme: browser, clientId: cli } }
  remote: { connector: crm, config: { issuer: '${oidc.url}' }, credentials: { scheme: device, clientId: cli } }
  robots: { connector: crm, config: { issuer: '${oidc.url}' }, credentials: { scheme: machine, clientId: robot, clientSecret: '\${env:ROBOT}' } }
  nobody: { connector: crm, config: { issuer: '${oidc.url}' } }
`,
  )
})
afterAll(async () => {
  process.chdir(import.meta.dirname)
  await oidc.stop()
  await remove()
})

interface Status {
  readonly partner: string
  readonly state: string
  readonly loginNeeded: boolean
  readonly expiresAt: string | null
}
const statusOf = async (name: string): Promise<Status> =>
  (JSON.parse((await run('auth', 'status', name, '--json')).out) as Status[])[0]!

test('without a key nobody is sent through a login: the refusal says how to make one', async () => {
  const { code, out, err } = await run('login', 'people', '--no-browser')
  expect([code, out]).toEqual([2, ''])
  expect(err).toMatch(/^error: the vault has no key: .*made by: ecokit init/)
  expect(await readdir(join(folder, '.ecokit'))).not.toContain('vault.key')
  expect((await run('init')).code).toBe(0)
})

test('a browser logs in, the tokens are sealed, and every process uses them', async () => {
  const before = await run('auth', 'status', 'people')
  expect(before.code).toBe(1)
  expect(before.out).toMatch(/people +browser +missing/)
  expect(before.out).toContain('people: log in with: ecokit login people')
  const unhealthy = await crm(['check', 'people', '--json']).ended
  expect(unhealthy.code).toBe(1)
  expect(JSON.parse(unhealthy.out)).toMatchObject([
    {
      status: 'unhealthy',
      code: 'reauthorization_required',
      message: expect.stringContaining('ecokit login people') as string,
    },
  ])

  const { so, ended } = crm(['login', 'people', '--no-browser'])
  const address = await until(() => /open this address:\s+(http\S+)/.exec(so.err)?.[1])
  expect(new URL(address).searchParams.get('code_challenge_method')).toBe('S256')
  expect((await browse(address)).status).toBe(200)
  const { code, out, err } = await ended
  expect([code, out]).toEqual([0, ''])
  expect(err).toContain('Logged in to people; the token is renewed by itself before ')

  expect((await crm(['check', 'people', '--json']).ended).code).toBe(0)
  const after = await run('auth', 'status', '--json')
  const states = JSON.parse(after.out) as Status[]
  expect(states.find(({ partner }) => partner === 'people')).toMatchObject({ state: 'ready', loginNeeded: false })
  expect(states.find(({ partner }) => partner === 'nobody')).toMatchObject({ state: 'static' })
  expect(states.find(({ partner }) => partner === 'robots')).toMatchObject({ state: 'failed' })
  // A variable that is not set is ours to mend, as everywhere else.
  expect(after.code).toBe(2)
  expect(tokens.size).toBeGreaterThan(1)
  const written = await Promise.all(
    (await readdir(join(folder, '.ecokit'))).map((file) => readFile(join(folder, '.ecokit', file), 'latin1')),
  )
  for (const token of tokens)
    for (const text of [...written, err, so.err, after.out, unhealthy.out]) expect(text.includes(token)).toBe(false)
})

test('a code is typed elsewhere; with --json each step is a line', async () => {
  const { so, ended } = crm(['login', 'remote', '--json'], { SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22' })
  const line = await until(() => (so.out.includes('\n') ? so.out.split('\n')[0] : undefined))
  const { url, code, partner } = JSON.parse(line) as { url: string; code: string; partner: string }
  expect([partner, code.length > 3, url.startsWith(oidc.url)]).toEqual(['remote', true, true])
  const address = new URL(url)
  address.searchParams.set('user_code', code)
  expect((await browse(address.href)).status).toBeLessThan(400)
  const { code: exit, out } = await ended
  expect(exit).toBe(0)
  expect(JSON.parse(out.trim().split('\n').at(-1)!)).toMatchObject({ partner: 'remote', state: 'ready' })
  expect((await run('check', 'remote')).code).toBe(0)
})

test('Ctrl-C gives up, and nothing is kept', async () => {
  expect((await run('auth', 'logout', 'people')).out).toBe('Forgot the tokens of people.\n')
  expect(await statusOf('people')).toMatchObject({ state: 'missing', loginNeeded: true })
  const { child, so, ended } = crm(['login', 'people', '--no-browser'], { SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22' })
  await until(() => (so.err.includes('Waiting') ? true : undefined))
  expect(so.err).toMatch(/ssh -L (\d+):127\.0\.0\.1:\1 /)
  child.kill('SIGINT')
  const { code, err } = await ended
  expect(code).toBe(1)
  expect(err).toContain('the login was cancelled')
  expect(await statusOf('people')).toMatchObject({ state: 'missing' })
})

test('a partner that needs no person says so', async () => {
  const { code, err } = await crm(['login', 'robots'], { ROBOT: 'canary-robot-secret' }).ended
  expect(code).toBe(2)
  expect(err).toContain('robots needs no login: its scheme machine works without a person')
  expect((await run('login', 'nobody')).err).toContain('nobody needs no login: ')
  expect((await run('login', 'peopel')).err).toContain('Did you mean `people`?')
  const robots = await crm(['auth', 'status', 'robots', '--json'], { ROBOT: 'canary-robot-secret' }).ended
  expect([robots.code, (JSON.parse(robots.out) as Status[])[0]]).toMatchObject([0, { loginNeeded: false }])
})

test('logins and logouts stand in the audit log, with who it was, and the failed one as failed', async () => {
  const { out } = await run('audit', 'list', '--json', '--limit', '200')
  const acts = (JSON.parse(out) as { action: string; target: string; outcome: string; actor: string; reason: string }[])
    .filter(({ action }) => ['login', 'logout'].includes(action))
    .map(({ action, target, outcome, reason }) => `${action} ${target} ${outcome} (${reason})`)
  expect(acts).toEqual([
    'login partner/people failed (ecokit login)',
    'logout partner/people allowed (ecokit auth logout)',
    'login partner/remote allowed (ecokit login)',
    'login partner/people allowed (ecokit login)',
  ])
  for (const token of tokens) expect(out).not.toContain(token)
  expect((await run('audit', 'verify')).code).toBe(0)
})
