import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isIntegrationError } from '@ecokit/contracts'
import { afterEach, expect, test } from 'vitest'
import { makeVaultKey, openEcosystem, openVaultOf } from '../src/ecosystem.ts'
import { until } from './ask.ts'
import { connectors, follow, openSetting } from './setting.ts'
import type { Setting } from './setting.ts'

const admin = { actor: 'ada', reason: 'a test' }
let setting: Setting | undefined
afterEach(async () => {
  await setting?.close()
  setting = undefined
})

/** Does something with the vault as somebody who manages it, in another process as far as this one knows. */
const manage = async (file: string, work: (safe: Awaited<ReturnType<typeof openVaultOf>>) => Promise<unknown>) => {
  const safe = await openVaultOf({ file, access: admin, env: {} })
  try {
    await work(safe)
  } finally {
    await safe.close()
  }
}
const withSecret = (value: string, partner = 'lab') => ({
  token: '${secret:lab-token}',
  prepare: async (file: string) => {
    await makeVaultKey(file, {})
    await manage(file, async (safe) => (await safe.vault()).put({ partner, name: 'lab-token' }, value, admin))
  },
})
const caught = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (isIntegrationError(error)) return error
  throw new Error(`not the error that was expected: ${String(error)}`)
}
const acts = async ({ runtime }: Setting) =>
  (await (await runtime.safe.audit()).list({ limit: 1000 })).map(
    ({ actor, action, target, outcome, reason = '' }) => `${actor}: ${action} ${target} ${outcome} (${reason})`,
  )

test("a partner's credential is changed, and changed back, under calls of which none fails", async () => {
  setting = await openSetting(withSecret('first-key'))
  const { partner, runtime, file } = setting
  const accepts = (...tokens: string[]) => (partner.accepts = new Set(tokens))
  const name = { partner: 'lab', name: 'lab-token' }
  accepts('first-key')
  const connections = await Promise.all(Array.from({ length: 3 }, () => runtime.connect('lab')))
  const state = { going: true, calls: 0, failed: [] as unknown[] }
  const callers = connections.flatMap((connection) =>
    Array.from({ length: 4 }, async () => {
      while (state.going)
        try {
          await connection.call('samples', 'get', { id: 'a' })
          state.calls += 1
        } catch (error) {
          state.failed.push(error)
        }
    }),
  )
  const more = async () => {
    const before = state.calls
    await until(() => (state.calls > before + 60 || state.failed.length > 0 ? true : undefined))
  }
  const used = (token: string) => partner.seen.filter(({ authorization }) => authorization === `Bearer ${token}`).length
  await more()
  await manage(file, async (safe) => {
    const vault = await safe.vault()
    expect(await vault.put(name, 'second-key', admin, { stage: true })).toBe(2)
    accepts('first-key', 'second-key')
    await more()
    expect(used('second-key')).toBe(0)
    await vault.activate(name, 2, admin)
    accepts('second-key')
    await more()
    expect(used('second-key')).toBeGreaterThan(60)
    // And back.
    accepts('first-key', 'second-key')
    await vault.activate(name, 1, admin)
    accepts('first-key')
    await more()
  })
  state.going = false
  await Promise.all(callers)
  expect(state.failed).toEqual([])
  const last = partner.seen.at(-1)
  expect(last?.authorization).toBe('Bearer first-key')
  // A connection that is opened now begins with the active one.
  await (await runtime.connect('lab')).close()
  for (const connection of connections) await connection.close()

  // Where no version helps, the refusal arrives.
  accepts('third-key')
  const connection = await runtime.connect('lab')
  expect(await caught(connection.call('samples', 'get', { id: 'a' }) as Promise<unknown>)).toMatchObject({
    code: 'unauthenticated',
  })
  await connection.close()
  for (const file of ['state.db', 'state.db-wal', 'vault.key'])
    expect(await readFile(join(setting.folder, '.ecokit', file), 'latin1').catch(() => '')).not.toContain('second-key')
})

test('the server reads the secrets of its partners, changes none, and each access stands in the log', async () => {
  setting = await openSetting(withSecret('one-key', '*'))
  const { runtime } = setting
  const vault = await runtime.safe.vault()
  const server = runtime.safe.access
  await until(async () => ((await runtime.health.state('lab')) === undefined ? undefined : true))
  expect(await caught(vault.get({ partner: 'stranger', name: 'lab-token' }, server))).toMatchObject({
    code: 'forbidden',
  })
  for (const change of [
    vault.put({ partner: 'lab', name: 'lab-token' }, 'x', server),
    vault.list(server),
    vault.export('a long enough passphrase', server),
    vault.remove({ partner: '*', name: 'lab-token' }, server),
  ])
    expect(await caught(change)).toMatchObject({ code: 'forbidden' })
  const who = `${server.actor}: vault.`
  expect(await acts(setting)).toEqual(
    expect.arrayContaining([
      `ada: vault.put */lab-token allowed (a test)`,
      `${who}get lab/lab-token allowed (${server.reason})`,
      `${who}get stranger/lab-token denied (${server.reason})`,
      `${who}put lab/lab-token denied (${server.reason})`,
      `${who}export */* denied (${server.reason})`,
    ]),
  )
  expect(await (await runtime.safe.audit()).verify()).toMatchObject({ ok: true })
})

test('without a secret in the file no key is asked for; with one, its partner says what is missing', async () => {
  setting = await openSetting({ token: '${secret:lab-token}' })
  const down = await until(async () => setting?.runtime.health.state('lab'))
  expect(down).toMatchObject({ status: 'unhealthy', code: 'invalid_config' })
  expect(down.message).toMatch(/the vault has no key: .*ecokit init/)
  // The key is made while the server runs, and found.
  await makeVaultKey(setting.file, {})
  expect((await setting.runtime.health.checkNow('lab')).message).toContain('ecokit vault set lab-token --partner lab')
  await manage(setting.file, async (safe) =>
    (await safe.vault()).put({ partner: 'lab', name: 'lab-token' }, 'late-key', admin),
  )
  expect(await setting.runtime.health.checkNow('lab')).toMatchObject({ status: 'healthy', circuit: 'closed' })
})

test('what the API changes, and the runs that it starts, stand in the log', async () => {
  setting = await openSetting()
  const { send, partner } = setting
  const lab = { connector: 'lab', config: { url: partner.url } }
  expect((await send('POST', '/api/partners', { name: 'second', ...lab })).status).toBe(201)
  expect((await send('PATCH', '/api/partners/second', { owner: 'me' })).status).toBe(200)
  expect((await send('PATCH', '/api/partners/lab', { policy: { concurrency: 2 } })).status).toBe(200)
  expect((await send('PATCH', '/api/partners/lab', { policy: { concurrency: 0 } })).status).toBe(400)
  expect((await send('DELETE', '/api/partners/second')).status).toBe(200)
  expect((await send('POST', '/api/pipelines/lab-to-lake/runs', {})).status).toBe(202)
  await until(async () => ((await acts(setting!)).some((act) => act.includes('pipeline.sync')) ? true : undefined))
  expect(await acts(setting)).toEqual([
    'api: pipeline.sync pipeline/lab-to-lake allowed (POST /api/pipelines/{name}/runs)',
    'api: partner.remove partner/second allowed (DELETE /api/partners/{name})',
    'api: partner.change partner/lab failed (PATCH /api/partners/{name})',
    'api: partner.change partner/lab allowed (PATCH /api/partners/{name})',
    'api: partner.change partner/second allowed (PATCH /api/partners/{name})',
    'api: partner.add partner/second allowed (POST /api/partners)',
  ])
})

test('named credentials go nowhere but where the file sends them, whoever asks', async () => {
  setting = await openSetting()
  const { send, partner } = setting
  const there = { name: 'same', connector: 'lab', config: { url: partner.url }, credentials: 'lab-token' }
  expect((await send('POST', '/api/partners', there)).status).toBe(201)
  const elsewhere = { ...there, name: 'other', config: { url: 'http://127.0.0.1:9' } }
  const refused = await send('POST', '/api/partners', elsewhere)
  expect([refused.status, refused.body]).toMatchObject([
    400,
    {
      error: {
        code: 'invalid_config',
        field: 'partners.other.credentials',
        message: expect.stringContaining('may not be sent to http://127.0.0.1:9') as string,
      },
    },
  ])
  expect((await send('PATCH', '/api/partners/same', { config: { url: 'http://127.0.0.1:9' } })).status).toBe(400)
  for (const credentials of ['${secret:lab-token}', '${file:/etc/passwd}', { scheme: 'token', token: '${secret:x}' }])
    expect((await send('POST', '/api/partners', { ...there, name: 'third', credentials })).status).toBe(400)
  expect(
    (await send('POST', '/api/partners', { ...there, name: 'fourth', config: { url: '${secret:x}' } })).status,
  ).toBe(400)
})

interface Shown {
  readonly name: string
  readonly circuit: string | null
  readonly policy: Readonly<Record<string, unknown>>
  readonly health: { readonly code?: string; readonly circuit?: string } | null
}

test('a policy is in force at once; a circuit that opens is shown, told and refuses for all connections', async () => {
  setting = await openSetting()
  const { send, get, partner, server } = setting
  const client = await follow(server.url)
  const policy = { attempts: 1, breakAfter: 3, breakAt: 0.5, breakFor: '300ms', deadline: '20s' }
  const patched = (await send('PATCH', '/api/partners/lab', { policy })).body as Shown
  expect(patched.policy).toEqual({ attempts: 1, breakAfter: 3, breakAt: 0.5, breakForMs: 300, deadlineMs: 20_000 })
  await partner.stop()
  const call = () => send('POST', '/api/partners/lab/call/samples/get', { id: 'a' })
  const refused = await until(async () => {
    const answer = await call()
    return (answer.body as { error: { code: string } }).error.code === 'circuit_open' ? answer : undefined
  })
  expect(refused.status).toBe(503)
  expect((refused.body as { error: { message: string } }).error.message).toMatch(/^lab: .*nothing was sent/)
  await until(() => (client.of<Shown>('partner').some(({ circuit }) => circuit === 'open') ? true : undefined))
  await until(async () => (((await get('/api/partners/lab')).body as Shown).circuit === 'open' ? true : undefined))
  const { health } = setting.runtime
  const seen = await until(async () => {
    const one = await health.checkNow('lab')
    return one.code === 'circuit_open' ? one : undefined
  })
  expect(seen).toMatchObject({ status: 'unhealthy', circuit: expect.stringMatching('open') as string })
  await partner.start()
  await until(async () => ((await call()).status === 200 ? true : undefined))
  await until(() => (client.of<Shown>('partner').at(-1)?.circuit === 'closed' ? true : undefined))
  await client.close()
})

test('two openings of one ecosystem share the pace of a partner', async () => {
  setting = await openSetting()
  const { runtime, file, env, partner } = setting
  const other = await openEcosystem({ file, connectors, env })
  const policy = { rate: { perSecond: 0.01, burst: 2 }, deadline: '5s', attempts: 1 }
  const { health } = runtime
  await health.checkNow('lab')
  for (const one of [runtime, other]) await one.partners.update('lab', { policy })
  const before = partner.seen.length
  const codes: string[] = []
  for (const one of [runtime, other, runtime, other]) {
    const connection = await one.connect('lab')
    const { code = 'sent' } = await connection.check()
    codes.push(code)
    await connection.close()
  }
  expect(codes.filter((code) => code === 'sent').length).toBeLessThanOrEqual(2)
  expect(codes).toContain('rate_limited')
  expect(partner.seen.length - before).toBeLessThanOrEqual(2)
  await other.close()
})
