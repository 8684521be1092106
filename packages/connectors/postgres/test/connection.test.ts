import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { requirePeer } from '@ecokit/peers/vitest'
import { connectUnknown, postgres } from '../src/index.ts'
import type { AnyConnection, Runtime } from '../src/index.ts'
import { configOf, endServer, open, openWriter, put, readAll, records, server, table, writing } from './support.ts'
import type { Login } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)

const as = async (login: Login, more: object = {}, password?: string, runtime?: Runtime): Promise<AnyConnection> => {
  const running = await server()
  const connection = connectUnknown(
    postgres,
    {
      name: 'base',
      config: configOf(running, more),
      credentials: { scheme: 'password', ...running.logins[login], ...(password !== undefined && { password }) },
    },
    runtime,
  )
  onTestFinished(() => connection.close())
  return connection
}
/** A server that takes connections and says what it is told, or nothing. */
const speaking = async (say: (bytes: Buffer) => Buffer | undefined): Promise<number> => {
  const listening = createServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', (bytes) => {
        const words = say(bytes)
        if (words !== undefined) socket.write(words)
      })
  }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  onTestFinished(() => void listening.close())
  return (listening.address() as AddressInfo).port
}
const failure = (connection: AnyConnection) => connection.check()

peer.describe('connection', () => {
  test('the check says who we are, the version, and whether tables can be made', async () => {
    expect(await (await as('writer')).check()).toMatchObject({
      status: 'healthy',
      account: 'writer',
      version: expect.stringMatching(/^PostgreSQL \d/) as string,
    })
    expect(await (await as('reader')).check()).toMatchObject({ account: 'reader', parts: { tables: 'denied' } })
    const running = await server()
    const trusted = connectUnknown(postgres, {
      config: configOf(running),
      credentials: { scheme: 'none', username: 'trusted' },
    })
    onTestFinished(() => trusted.close())
    expect(await trusted.check()).toMatchObject({ account: 'trusted' })
    const nobody = connectUnknown(postgres, {
      config: configOf(running),
      credentials: { scheme: 'none', username: 'writer' },
    })
    onTestFinished(() => nobody.close())
    expect(await failure(nobody)).toMatchObject({ code: 'unauthenticated' })
  })

  test('TLS: the certificate is looked at by default, and each mode does what it says', async () => {
    const { ca } = await server()
    expect(await failure(await as('secure'))).toMatchObject({ code: 'unauthenticated' })
    expect(await failure(await as('secure', { ssl: 'verify-full' }))).toMatchObject({
      code: 'unavailable',
    })
    expect(await failure(await as('secure', { ssl: 'verify-ca' }))).toMatchObject({
      code: 'unavailable',
    })
    for (const more of [
      { ssl: 'require' },
      { ssl: 'verify-ca', ca },
      { ssl: 'verify-full', ca },
      { ssl: 'verify-full', ca, host: 'localhost' },
    ])
      expect(await (await as('secure', more)).check()).toMatchObject({ account: 'secure' })
    // The authority may also come with the runtime.
    expect(await (await as('secure', { ssl: 'verify-full' }, undefined, { tls: { ca } })).check()).toMatchObject({
      account: 'secure',
    })
    const connection = await as('secure', { ssl: 'verify-full', ca })
    const running = await server()
    await running.sql(
      'CREATE TABLE IF NOT EXISTS over_tls (a int); INSERT INTO over_tls VALUES (1); GRANT SELECT ON over_tls TO secure; CREATE VIEW sleepy AS SELECT pg_sleep(60)::text; GRANT SELECT ON sleepy TO secure',
    )
    expect(await readAll(connection, 'over_tls')).toEqual([{ a: 1 }])
    const controller = new AbortController()
    const waiting = (async () => {
      for await (const batch of connection.read?.('sleepy', { signal: controller.signal }) ?? [])
        expect(batch).toBeUndefined()
    })()
    const asleep = () => running.sql("SELECT 1 FROM pg_stat_activity WHERE usename = 'secure' AND query LIKE 'COPY%'")
    await expect.poll(async () => (await asleep()).length).toBe(1)
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    await expect.poll(async () => (await asleep()).length, { timeout: 10_000 }).toBe(0)
  })

  test('the name in the certificate counts with verify-full alone', async () => {
    const { ca } = await server()
    const lookup = () => Promise.resolve([{ address: '127.0.0.1' }])
    const runtime = { lookup, privateNetworks: 'allow' as const }
    expect(await failure(await as('secure', { host: 'db.example.com', ca }, undefined, runtime))).toMatchObject({
      code: 'unavailable',
    })
    expect(
      await (await as('secure', { host: 'db.example.com', ca, ssl: 'verify-ca' }, undefined, runtime)).check(),
    ).toMatchObject({ account: 'secure' })
  })

  test('a server without TLS is not spoken to where TLS is asked for', async () => {
    const port = await speaking(() => Buffer.from('N'))
    expect(await failure(await as('writer', { port, ssl: 'verify-full' }))).toMatchObject({ code: 'invalid_config' })
  })

  test('a password goes in clear text to nobody who has not proved who it is', async () => {
    expect(await (await as('plain')).check()).toMatchObject({ account: 'plain' })
    const runtime = { lookup: () => Promise.resolve([{ address: '127.0.0.1' }]), privateNetworks: 'allow' as const }
    expect(
      await failure(await as('plain', { host: 'db.example.com', ssl: 'require' }, undefined, runtime)),
    ).toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('clear text') as string })
  })

  test('what goes wrong has a code, and never the password', async () => {
    const wrong = 'not-the-password-8271'
    const error = await failure(await as('writer', {}, wrong))
    expect(error).toMatchObject({ code: 'unauthenticated' })
    expect(JSON.stringify(error) + String(error.message)).not.toContain(wrong)
    expect(await failure(await as('writer', { database: 'nowhere' }))).toMatchObject({ code: 'not_found' })
    expect(await failure(await as('writer', { port: 1 }))).toMatchObject({ code: 'unavailable' })
    expect(await failure(await as('writer', { host: 'no-such-host.invalid', ssl: 'disable' }))).toMatchObject({
      code: 'unavailable',
    })
    const running = await server()
    await running.sql("CREATE ROLE single LOGIN PASSWORD 'one' CONNECTION LIMIT 0")
    const full = connectUnknown(postgres, {
      config: configOf(running),
      credentials: { scheme: 'password', username: 'single', password: 'one' },
    })
    onTestFinished(() => full.close())
    expect(await failure(full)).toMatchObject({ code: 'rate_limited' })
    await expect(
      openWriter(await as('writer', { schema: 'nowhere' }), writing(table({ a: {} }))),
    ).rejects.toMatchObject({ code: 'not_found' })
  })

  test('addresses that no partner has are refused', async () => {
    expect(
      await failure(await as('writer', { host: '127.0.0.1' }, undefined, { privateNetworks: 'refuse' })),
    ).toMatchObject({ code: 'host_not_allowed' })
    const lookup = () => Promise.resolve([{ address: '169.254.169.254' }])
    expect(await failure(await as('writer', { host: 'db.example.com' }, undefined, { lookup }))).toMatchObject({
      code: 'host_not_allowed',
    })
  })

  test('nothing is taken from the environment', async () => {
    vi.stubEnv('PGUSER', 'admin')
      .stubEnv('PGPASSWORD', 'x')
      .stubEnv('PGHOST', 'elsewhere')
      .stubEnv('PGSSLMODE', 'verify-full')
      .stubEnv('PGOPTIONS', '-c default_transaction_read_only=on')
    onTestFinished(() => void vi.unstubAllEnvs())
    const connection = await as('writer')
    expect(await connection.check()).toMatchObject({ account: 'writer' })
    expect(await put(connection, writing(table({ a: {} })), [{ a: 1 }])).toEqual([])
  })

  test('a server that says nothing is given up: by the signal, by the time of the check, and at close', async () => {
    const port = await speaking(() => undefined)
    expect(await failure(await as('writer', { port }, undefined, { checkTimeoutMs: 200 }))).toMatchObject({
      code: 'timeout',
    })
    const connection = await as('writer', { port })
    const controller = new AbortController()
    const opening = connection.write?.('tables', writing(table({ a: {} }), { signal: controller.signal }))
    controller.abort()
    await expect(opening).rejects.toMatchObject({ code: 'cancelled' })
    const reading = readAll(connection, 'x')
    await connection.close()
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' })
  })

  test('a write that is cancelled while it waits for a lock ends, and the writer takes nothing more', async () => {
    const connection = await open()
    const running = await server()
    const t = table({ id: { type: 'integer' } }, ['id'])
    await put(connection, writing(t), [{ id: 1 }])
    const writer = await openWriter(connection, writing(t))
    const holding = running.sql(`BEGIN; LOCK TABLE ${t.name}; SELECT pg_sleep(5); COMMIT`)
    await expect
      .poll(
        async () =>
          (
            await running.sql(
              `SELECT 1 FROM pg_locks WHERE relation = '${t.name}'::regclass AND mode = 'AccessExclusiveLock'`,
            )
          ).length,
      )
      .toBe(1)
    const controller = new AbortController()
    const write = writer.write(records({ id: 2 }), { signal: controller.signal })
    await expect.poll(async () => (await running.sql('SELECT 1 FROM pg_locks WHERE NOT granted')).length).toBe(1)
    controller.abort()
    await expect(write).rejects.toMatchObject({ code: 'cancelled' })
    await expect(writer.write(records({ id: 3 }))).rejects.toMatchObject({ code: 'cancelled' })
    await writer[Symbol.asyncDispose]()
    await holding
    expect(await readAll(connection, t.name)).toEqual([{ id: 1 }])
  })

  test('a commit that a deadlock ended is tried again', { timeout: 30_000 }, async () => {
    const connection = await open()
    const running = await server()
    await running.sql('ALTER DATABASE ecokit SET deadlock_timeout TO 1000')
    const t = table({ id: { type: 'integer' }, value: { type: 'integer' } }, ['id'])
    await put(connection, writing(t, { disposition: 'merge' }), [
      { id: 1, value: 0 },
      { id: 2, value: 0 },
    ])
    const writer = await openWriter(connection, writing(t, { disposition: 'merge' }))
    await writer.write(records({ id: 1, value: 1 }, { id: 2, value: 1 }))
    // Holds row 2, waits until the commit has row 1 and waits for row 2, and then wants row 1; its own deadlock timeout is longer, so the commit is the one that is ended.
    const other = running.sql(`BEGIN; SET LOCAL deadlock_timeout TO '60s'; UPDATE ${t.name} SET value = 7 WHERE id = 2;
      DO $$ BEGIN FOR i IN 1..400 LOOP EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted); PERFORM pg_sleep(0.02); END LOOP; END $$;
      UPDATE ${t.name} SET value = 7 WHERE id = 1; COMMIT`)
    await expect
      .poll(
        async () =>
          (
            await running.sql(
              `SELECT 1 FROM pg_locks WHERE relation = '${t.name}'::regclass AND mode = 'RowExclusiveLock'`,
            )
          ).length,
      )
      .toBeGreaterThan(0)
    await writer.commit({ page: 1 })
    await other
    expect(await readAll(connection, t.name)).toEqual([
      { id: 1, value: 1 },
      { id: 2, value: 1 },
    ])
  })
})
