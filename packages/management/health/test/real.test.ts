import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectUnknown } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { defineConnector } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { openHealthMonitor } from '../src/index.ts'

const listen = async (port: number) => {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end('{"version":"1"}')
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = async (): Promise<void> => {
    const stopped = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await stopped
  }
  return { port: (server.address() as AddressInfo).port, stop }
}

const site = defineConnector(
  { id: 'site', title: 'Site', config: z.strictObject({ url: z.url() }), hosts: ['{url}'] },
  ({ config, http }) => ({
    check: (options) =>
      http(config.url).json({ method: 'GET', path: 'about' }, z.object({ version: z.string() }), options),
  }),
)

test('a server that is stopped turns red at the next check, and green again after its restart', async () => {
  await using store = await openStore(':memory:')
  let server = await listen(0)
  const { port } = server
  await using monitor = openHealthMonitor({
    store,
    partners: () => Promise.resolve([{ name: 'site', everyMs: 50, timeoutMs: 5000 }]),
    connect: (name) => Promise.resolve(connectUnknown(site, { name, config: { url: `http://127.0.0.1:${port}` } })),
  })
  const checks: string[] = []
  monitor.onCheck(({ health, state }) => checks.push(`${health.status} ${health.code ?? ''} ${state.status}`))
  const status = async () => (await monitor.state('site'))?.status
  const wait = { timeout: 20_000, interval: 10 }

  monitor.start()
  await expect.poll(status, wait).toBe('healthy')
  await server.stop()
  await expect.poll(status, wait).toBe('unhealthy')
  expect(await monitor.state('site')).toMatchObject({ code: 'unavailable' })
  // The first check that fails is the one that turns it red.
  expect(checks.find((check) => check.startsWith('unhealthy'))).toBe('unhealthy unavailable unhealthy')
  server = await listen(port)
  await expect.poll(status, wait).toBe('healthy')
  await server.stop()
})

test('a lake whose file is damaged turns red with the reason, and green when it is mended', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'health-lake-'))
  const database = join(folder, 'lake.duckdb')
  await using store = await openStore(':memory:')
  await using monitor = openHealthMonitor({
    store,
    partners: () => Promise.resolve([{ name: 'lake', everyMs: 60_000, timeoutMs: 20_000 }]),
    connect: (name) => Promise.resolve(connectUnknown(local, { name, config: { database } })),
  })
  await writeFile(database, 'this is no database')
  await monitor.checkNow('lake')
  const state = await monitor.state('lake')
  expect(state?.status).toBe('unhealthy')
  expect(state?.message).toContain('lake.duckdb')
  await rm(database)
  expect(await monitor.checkNow('lake')).toMatchObject({
    status: 'healthy',
    version: expect.stringContaining('DuckDB') as string,
  })
  expect((await monitor.state('lake'))?.status).toBe('healthy')
  await monitor.close()
  await rm(folder, { recursive: true })
})
