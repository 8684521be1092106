import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, expect, test, vi } from 'vitest'
import { startPostgres } from '../index.ts'
import { requirePeer } from '../vitest.ts'

const moto = await requirePeer('moto')
const azurite = await requirePeer('azurite')
const postgres = await requirePeer('postgres')
const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-servers-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

const reached = (url: string): Promise<boolean> =>
  fetch(url).then(
    () => true,
    // azurite's certificate is trusted by nobody, which is an answer too.
    (error: unknown) => (error as { cause?: { code?: string } }).cause?.code !== 'ECONNREFUSED',
  )
/** Starts a server in a process of its own and kills that process; gives the server's address. */
const orphan = async (call: string): Promise<string> => {
  const script = `
    const { startAzurite, startMoto, startPostgres } = await import(${JSON.stringify(new URL('../index.ts', import.meta.url).href)})
    console.log((await ${call}).url)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
  expect(await reached(url)).toBe(true)
  child.kill('SIGKILL')
  await once(child, 'exit')
  return url
}
const gone = (url: string) => vi.waitFor(async () => expect(await reached(url)).toBe(false), { timeout: 15_000 })

moto.describe('moto', () => {
  test('moto goes with a caller that was killed', async () => {
    await gone(await orphan('startMoto({ folder: process.argv[1] })'))
  })
})
azurite.describe('azurite', () => {
  test('azurite goes with a caller that was killed', async () => {
    await gone(await orphan('startAzurite({ folder: process.argv[1] })'))
  })
})

postgres.describe('PostgreSQL', () => {
  test('goes with a caller that was killed', async () => {
    const port = 'startPostgres().then(({ port }) => ({ url: `http://127.0.0.1:${port}` }))'
    // It speaks no HTTP, and ends what it does not understand: an answer too.
    await gone(await orphan(port))
  })

  test('keeps its data through a stop and a kill', async () => {
    await using server = await startPostgres({ settings: { max_connections: '10' } })
    await server.sql('CREATE TABLE t (a int); INSERT INTO t VALUES (1)')
    await server.stop()
    await server.restart()
    await server.sql('INSERT INTO t VALUES (2)')
    await server.kill()
    await expect(server.sql('SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await server.restart()
    expect(await server.sql("SELECT count(*)::int AS n, current_setting('max_connections') AS m FROM t")).toEqual([
      { n: 2, m: '10' },
    ])
  })
})
