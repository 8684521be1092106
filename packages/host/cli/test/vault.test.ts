import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFile, chmod, copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { startOidc } from '@ecokit/peers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { crm } from './crm.ts'
import { carryOut, openFolder, start, until, waiting } from './run.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

let folder: string
let remove: () => Promise<void>
beforeAll(async () => {
  ;({ folder, remove } = await openFolder())
  await writeFile(join(folder, 'ecosystem.yaml'), 'version: 1\n')
})
afterAll(async () => {
  process.chdir(import.meta.dirname)
  await remove()
})

/** In this process, by somebody who gives these answers. */
const as = (answers: readonly string[], ...args: string[]) =>
  carryOut([...args, '--file', join(folder, 'ecosystem.yaml')], answers, () => Promise.resolve([crm]))
const quick = (...args: string[]) => as([], ...args)
interface Secret {
  readonly name: string
  readonly partner: string
  readonly versions: readonly { readonly version: number; readonly active: boolean }[]
}
const listed = async () => JSON.parse((await quick('vault', 'list', '--json')).out) as Secret[]

test('without a key every command of the vault refuses and says how to make one', async () => {
  for (const args of [['set', 'a'], ['list'], ['status'], ['rotate'], ['export']]) {
    const { code, out, err } = await as(['canary-value'], 'vault', ...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^error: the vault has no key: .* ecokit init/)
  }
  const key = join(folder, '.ecokit', 'vault.key')
  const { code, out } = await quick('init')
  expect([code, out]).toEqual([
    0,
    `${join(folder, 'ecosystem.yaml')} is there already and stays as it is.\nMade the key of the vault: ${key}. Keep a copy in a safe place: without it nobody reads what the vault holds.\n`,
  ])
  // Windows keeps no such bits.
  expect(process.platform === 'win32' ? 0o600 : (await stat(key)).mode & 0o777).toBe(0o600)
  expect(await readFile(join(folder, '.gitignore'), 'utf8')).toBe('.ecokit/\n')
  expect((await quick('init')).code).toBe(2)
})

test('set, list, activate and remove, by a prompt and by standard input; no value is shown or an argument', async () => {
  const typed = await as(['canary-typed'], 'vault', 'set', 'crm-token', '--partner', 'crm')
  expect([typed.code, typed.out]).toEqual([
    0,
    'Kept crm-token of crm as version 1. In ecosystem.yaml: ${secret:crm-token}\n',
  ])
  const piped = await start(
    folder,
    ['vault', 'set', 'crm-token', '-p', 'crm', '--stage', '--stdin'],
    {},
    'canary-piped\n',
  ).ended
  expect([piped.code, piped.err]).toEqual([0, ''])
  expect(piped.out).toContain('Next: ecokit vault activate crm-token 2 --partner crm')
  expect((await quick('vault', 'set', 'crm-token')).err).toContain('Add --stdin')
  expect((await as([''], 'vault', 'set', 'shared')).err).toContain('may not be empty')
  expect((await as(['x'], 'vault', 'set', 'Not A Name')).code).toBe(2)
  const argument = await as(['canary-typed'], 'vault', 'set', 'crm-token', 'canary-argument')
  expect([argument.code, argument.out]).toEqual([2, ''])
  expect(argument.err).toContain('never an argument')
  expect(argument.err).not.toContain('canary')
  expect(await listed()).toMatchObject([
    {
      name: 'crm-token',
      partner: 'crm',
      versions: [
        { version: 2, active: false },
        { version: 1, active: true },
      ],
    },
  ])
  expect((await quick('vault', 'list')).out).toMatch(/^SECRET +PARTNER .*\ncrm-token +crm +1 +2, 1 /)
  const switched = await quick('vault', 'activate', 'crm-token', '2', '-p', 'crm')
  expect(switched.out).toContain('Back: ecokit vault activate crm-token 1 --partner crm')
  expect((await quick('vault', 'activate', 'crm-token', '7', '-p', 'crm')).code).toBe(2)
  expect((await quick('vault', 'activate', 'crm-token', '2')).code).toBe(2)
  expect((await quick('vault', 'remove', 'crm-token', '-p', 'crm', '--version-number', '2', '-y')).err).toContain(
    'is the active one',
  )
  expect((await quick('vault', 'remove', 'crm-token', '-p', 'crm')).err).toContain('Add --yes')
  expect((await as(['n'], 'vault', 'remove', 'crm-token', '-p', 'crm')).code).toBe(1)
  expect((await as(['y'], 'vault', 'remove', 'crm-token', '-p', 'crm', '--version-number', '1')).code).toBe(0)
  expect(await listed()).toMatchObject([{ versions: [{ version: 2, active: true }] }])
})

test('keys: rotated, shown and destroyed, and what is kept stays readable', async () => {
  const before = JSON.parse((await quick('vault', 'status', '--json')).out) as {
    readonly keyEncryptionKey: { readonly current: string }
    readonly dataKeys: readonly { readonly id: string }[]
  }
  const early = await quick('vault', 'destroy', before.keyEncryptionKey.current, '-y')
  expect(early.code).not.toBe(0)
  const rotated = await quick('vault', 'rotate')
  expect(rotated.code).toBe(0)
  expect(rotated.out).toMatch(/The key-encryption key is \S+ now; 1 data keys were wrapped anew/)
  expect(rotated.out).toMatch(/The data key is \S+ now; \d+ records were sealed anew/)
  for (const key of [before.keyEncryptionKey.current, before.dataKeys[0]!.id]) {
    expect(rotated.out).toContain(`ecokit vault destroy ${key}`)
    expect((await quick('vault', 'destroy', key)).err).toContain('Add --yes')
    expect((await quick('vault', 'destroy', key, '-y')).code).toBe(0)
  }
  expect(await listed()).toHaveLength(1)
  expect((await quick('vault', 'rotate', '--data-keys', '--json')).out).toContain('"dataKeys"')
})

test('a vault is carried to another machine under a passphrase, whole or not at all', async () => {
  const passphrase = 'a long enough passphrase'
  const exported = await as([passphrase, passphrase], 'vault', 'export')
  expect(exported.code).toBe(0)
  expect(exported.out).not.toContain('canary')
  expect((await as([passphrase, 'another passphrase'], 'vault', 'export')).code).toBe(2)
  const other = await openFolder()
  const there = (answers: readonly string[], ...args: string[]) =>
    carryOut([...args, '--file', join(other.folder, 'ecosystem.yaml')], answers, () => Promise.resolve([crm]))
  await there([], 'init')
  const document = join(other.folder, 'secrets.ecokit')
  await writeFile(document, exported.out)
  expect((await there(['a wrong passphrase!'], 'vault', 'import', document)).code).not.toBe(0)
  expect(JSON.parse((await there([], 'vault', 'list', '--json')).out)).toEqual([])
  expect((await there([passphrase], 'vault', 'import', document)).out).toBe('Imported 1 secrets.\n')
  expect((await there([passphrase], 'vault', 'import', document)).err).toContain('nothing was imported')
  expect((await there([passphrase], 'vault', 'import', document, '--overwrite')).code).toBe(0)
  expect((await there([passphrase], 'vault', 'import', `${document}.not`)).code).toBe(2)
  expect(JSON.parse((await there([], 'vault', 'list', '--json')).out)).toMatchObject([
    { name: 'crm-token', partner: 'crm' },
  ])
  await other.remove()
})

test('a partner uses its secret; what is missing is exit code 2, with what to do', async () => {
  await using oidc = await startOidc({ clients: [{ client_id: 'robot', client_secret: 'canary-robot-secret' }] })
  await writeFile(
    join(folder, 'ecosystem.yaml'),
    `version: 1
credentials:
  robot: { scheme: machine, clientId: robot, clientSecret: '\${secret:robot}' }
partners:
  one: { connector: crm, config: { issuer: '${oidc.url}' }, credentials: robot }
  two: { connector: crm, config: { issuer: '${oidc.url}' }, credentials: { scheme: token, token: '\${env:NOT_SET}' } }
  three: { connector: crm, config: { issuer: '${oidc.url}' }, credentials: { scheme: token, token: '\${file:token.txt}' } }
`,
  )
  const missing = await quick('check', 'one')
  expect(missing.code).toBe(2)
  expect(missing.out).toContain(
    'one: credentials.robot.clientSecret needs the secret `robot`, which the vault does not have. Set it: ecokit vault set robot --partner one',
  )
  expect((await quick('check', 'two')).code).toBe(2)
  const file = await quick('check', 'three')
  expect([file.code, file.out.includes('needs the file `token.txt`, which is not there')]).toEqual([2, true])
  await as(['a-wrong-secret'], 'vault', 'set', 'robot')
  expect((await quick('check', 'one')).code).toBe(2)
  // One of the partner's own wins over one for all, and is nobody else's.
  await as(['canary-robot-secret'], 'vault', 'set', 'robot', '-p', 'one')
  const reached = await quick('check', 'one', '--json')
  const [health] = JSON.parse(reached.out) as { code: string; message: string; circuit: string }[]
  // The issuer gave a token; that it is not one of a person is what its account page minds.
  expect(oidc.exchanges.filter(({ refused }) => refused === undefined).length).toBeGreaterThan(0)
  expect(health).toMatchObject({ circuit: 'closed' })
  expect(reached.out).not.toContain('canary')
})

test('the log says who did what, is exported and verified, and names the first entry that was changed', async () => {
  const { out } = await quick('audit', 'list', '--json', '--limit', '500')
  const entries = JSON.parse(out) as {
    position: number
    action: string
    target: string
    outcome: string
    reason: string
  }[]
  expect(out).not.toContain('canary')
  const acts = new Set(entries.map(({ action, target, outcome }) => `${action} ${target} ${outcome}`))
  for (const act of [
    'vault.put crm/crm-token allowed',
    'vault.activate crm/crm-token allowed',
    'vault.activate crm/crm-token failed',
    'vault.remove crm/crm-token allowed',
    'vault.rotate */* allowed',
    'vault.destroyKey */* failed',
    'vault.export */* allowed',
    'vault.get one/robot failed',
    'vault.get one/robot allowed',
  ])
    expect(acts).toContain(act)
  expect(entries.find(({ action }) => action === 'vault.get')?.reason).toBe('ecokit check')
  const some = await quick('audit', 'list', '--action', 'vault.rotate', '--limit', '1')
  expect(some.out).toMatch(/^POSITION +AT .*\n +\d+ .* vault\.rotate +\*\/\* +allowed +ecokit vault rotate\n$/)
  const exported = await quick('audit', 'export')
  const log = join(folder, 'log.ndjson')
  await writeFile(log, exported.out)
  expect((await quick('audit', 'verify')).out).toMatch(/^unbroken: \d+ entries, the newest of /)
  expect((await quick('audit', 'verify', log)).out).toMatch(/^unbroken: /)
  await writeFile(log, exported.out.replace('vault.rotate', 'vault.harmls'))
  const edited = await quick('audit', 'verify', log, '--json')
  const position = entries.filter(({ action }) => action === 'vault.rotate').at(-1)?.position
  expect([edited.code, JSON.parse(edited.out)]).toMatchObject([1, { ok: false, kind: 'edited', position }])
  expect(edited.err).toContain('ecokit audit verify')
  expect((await quick('audit', 'verify', join(folder, 'no.such'))).code).toBe(2)

  // Whoever writes the database itself is found out as well.
  const copy = await openFolder()
  await mkdir(join(copy.folder, '.ecokit'))
  for (const file of await readdir(join(folder, '.ecokit')))
    await copyFile(join(folder, '.ecokit', file), join(copy.folder, '.ecokit', file))
  const database = new DatabaseSync(join(copy.folder, '.ecokit', 'state.db'))
  for (const { name } of database.prepare("select name from sqlite_master where type = 'trigger'").all())
    database.exec(`drop trigger "${String(name)}"`)
  database.exec('delete from audit_entries where position = 3')
  database.close()
  const cut = await carryOut(['audit', 'verify', '--file', join(copy.folder, 'ecosystem.yaml')])
  expect([cut.code, cut.out]).toMatchObject([1, expect.stringMatching(/at position 3: /)])
  await copy.remove()
})

test.skipIf(process.platform === 'win32')('a key that others may read is refused', async () => {
  const key = join(folder, '.ecokit', 'vault.key')
  await chmod(key, 0o644)
  const open = await quick('vault', 'list')
  expect([open.code, open.err]).toMatchObject([2, expect.stringContaining('chmod 600')])
  await chmod(key, 0o600)
})

test('where a vault is and its key is not, no new key is made, and what is checked without it is said', async () => {
  const key = join(folder, '.ecokit', 'vault.key')
  const kept = await readFile(key)
  await rm(key)
  const init = await quick('init')
  expect([init.code, init.out]).toEqual([2, ''])
  expect(init.err).toContain(`put the old one back as ${key}`)
  expect(await readdir(join(folder, '.ecokit'))).not.toContain('vault.key')
  expect((await quick('audit', 'verify')).out).toContain('only the hashes were checked and no signature')
  expect((await quick('auth', 'status', 'one')).code).toBe(2)
  await writeFile(key, kept, { mode: 0o600 })
  expect((await quick('auth', 'status', 'one')).code).toBe(0)
})

test('what checks ran before there was a key is no vault yet, and init makes the key', async () => {
  const other = await openFolder()
  await writeFile(join(other.folder, 'ecosystem.yaml'), 'version: 1\n')
  const there = (...args: string[]) => carryOut([...args, '--file', join(other.folder, 'ecosystem.yaml')])
  expect((await there('check')).code).toBe(0)
  expect((await there('init')).code).toBe(0)
  expect((await there('vault', 'list')).err).toContain('ecokit vault set <name>')
  await other.remove()
})

// Windows has no SIGINT that one process could send to another.
test.skipIf(process.platform === 'win32')(
  'Ctrl-C ends a command that waits for a secret, and is no fault',
  async () => {
    const other = await openFolder()
    expect((await start(other.folder, ['init']).ended).code).toBe(0)
    const { child, so, ended } = waiting(other.folder, ['vault', 'set', 'waits', '--stdin'])
    // The database is opened after the command has begun to listen to signals.
    await until(() => (existsSync(join(other.folder, '.ecokit', 'state.db')) ? true : undefined))
    child.kill('SIGINT')
    const { code } = await ended
    expect([code, so.err]).toEqual([1, 'error: stopped before it was done. Run it again when you like\n'])
    await other.remove()
  },
)

test('a key from the environment or a mounted file needs none of ours', async () => {
  const other = await openFolder()
  const env = { ECOKIT_KEY: randomBytes(32).toString('base64') }
  const init = await start(other.folder, ['init'], env).ended
  expect(init.out).toContain('The key of the vault comes from ECOKIT_KEY.')
  expect(await readdir(join(other.folder, '.ecokit')).catch(() => [])).not.toContain('vault.key')
  expect((await start(other.folder, ['vault', 'set', 'a', '--stdin'], env, 'value').ended).code).toBe(0)
  const wrong = await start(other.folder, ['vault', 'list'], { ECOKIT_KEY: randomBytes(32).toString('base64') }).ended
  expect(wrong.code).toBe(2)
  const file = join(other.folder, 'key')
  await appendFile(file, `${env.ECOKIT_KEY}\n`)
  expect((await start(other.folder, ['vault', 'list', '--json'], { ECOKIT_KEY_FILE: file }).ended).out).toContain('"a"')
  await rm(file)
  await other.remove()
})

test.skipIf(process.platform !== 'linux')(
  'a terminal shows nothing of a secret that is typed, and Ctrl-C leaves',
  async () => {
    // `script` gives the command a terminal of its own, and types what it reads.
    const type = (keys: string, ...args: string[]): Promise<string> =>
      new Promise((resolve) => {
        const words = [process.execPath, join(import.meta.dirname, '../src/bin.ts'), ...args].map((word) => `'${word}'`)
        const child = execFile('script', ['-qec', words.join(' '), '/dev/null'], { cwd: folder }, (_error, stdout) => {
          resolve(stdout)
        })
        child.stdout?.on('data', (text: string) => {
          if (text.includes('Value of typed: ')) child.stdin?.write(keys)
        })
      })
    const kept = await type('canary-at-a-terminal\r', 'vault', 'set', 'typed')
    expect(kept).toContain('Kept typed as version 1')
    expect(kept).not.toContain('canary')
    const left = await type('canary\u0003', 'vault', 'set', 'typed')
    expect(left).not.toContain('Kept')
    expect((await listed()).find(({ name }) => name === 'typed')?.versions).toHaveLength(1)
  },
)
