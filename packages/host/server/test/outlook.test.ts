import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { local } from '@ecokit/connector-local'
import type { Run, RunSummary, StreamRun } from '@ecokit/flow'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkState } from '../../../core/flow/test/openlineage.ts'
import { openEcosystem } from '../src/ecosystem.ts'
import { openServer } from '../src/server.ts'
import { ask, until } from './ask.ts'
import { follow, token } from './setting.ts'
import { slow, startSlow } from './slow.ts'

const openStage = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ecokit-outlook-'))
  const partner = await startSlow()
  const file = join(folder, 'ecosystem.yaml')
  await writeFile(
    file,
    `version: 1
partners:
  slow: { connector: slow, config: { url: '${partner.url}' } }
  lake: { connector: local, config: { database: '${join(folder, 'lake.duckdb')}' } }
pipelines:
  slow-to-lake: { source: slow, sink: lake, parallel: 2 }
server: { port: 0 }
`,
  )
  const runtime = await openEcosystem({ file, connectors: [slow, local] })
  const server = await openServer({ runtime, token })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return {
    partner,
    runtime,
    server,
    get: async <T>(path: string) => (await ask(server.url, path, { headers })).body as T,
    start: async (body: object) => {
      const path = '/api/pipelines/slow-to-lake/runs'
      const reply = await ask(server.url, path, { method: 'POST', headers, body: JSON.stringify(body) })
      expect(reply.status).toBe(202)
      return (reply.body as { id: string }).id
    },
    close: async () => {
      await server.close()
      await runtime.close()
      await partner.stop()
      checkState(folder)
      await rm(folder, { recursive: true, maxRetries: 10 })
    },
  }
}

let stage: Awaited<ReturnType<typeof openStage>>
beforeAll(async () => {
  stage = await openStage()
})
afterAll(() => stage.close())

test('a run that goes on tells by REST and by events how much of what is expected it has read, and what is left', async () => {
  const { partner, runtime, server, get, start } = stage
  const first = await runtime.sync('slow-to-lake')
  expect(first).toMatchObject({ status: 'completed', warnings: [] })
  expect(first.streams.map(({ stream, mode, read }) => [stream, mode, read])).toEqual([
    ['rows', 'full_refresh', 60],
    ['log', 'incremental', 60],
  ])
  expect(JSON.stringify(first)).not.toContain('expected')

  Object.assign(partner.mood, { count: 80, pageMs: 300, stopsAt: { rows: 71, log: 71 } })
  const client = await follow(server.url)
  await until(() => (client.of('hello').length > 0 ? true : undefined))
  const id = await start({})
  const told = () => [...client.of<Run>('run'), ...client.of<Pick<Run, 'id' | 'streams'>>('run-progress')]
  const seen = (stream: string): readonly StreamRun[] =>
    told()
      .filter((run) => run.id === id)
      .flatMap(({ streams }) => streams.filter((one) => one.stream === stream))
  // Each event says it as far as it is; what this pass has more than the one before nobody foresees.
  await until(() => (seen('rows').some(({ read }) => read === 70) ? true : undefined))
  const underWay = seen('rows').filter(({ read, durationMs }) => read > 0 && read < 60 && durationMs >= 500)
  expect(underWay.length).toBeGreaterThan(1)
  for (const one of underWay)
    expect(one).toMatchObject({
      expected: 60,
      leftMs: Math.round(((60 - one.read) / one.read) * one.durationMs),
    })
  const beyond = seen('rows').filter(({ read }) => read >= 60)
  expect(beyond.map(({ expected }) => expected)).toEqual(beyond.map(() => 60))
  expect(JSON.stringify(beyond)).not.toContain('leftMs')
  const delta = await until(() => seen('log').find(({ read }) => read > 0))
  expect(delta.mode).toBe('incremental')
  expect(JSON.stringify(seen('log'))).not.toMatch(/expected|leftMs/)

  partner.goOn()
  const ended = await until(async () => {
    const run = await get<Run>(`/api/runs/${id}`)
    return run.status === 'running' ? undefined : run
  })
  expect(ended.streams).toMatchObject([
    { stream: 'rows', status: 'completed', read: 80, expected: 60 },
    { stream: 'log', status: 'completed', read: 20 },
  ])
  await client.close()
})

test('every view of a run says the same, while it goes on', async () => {
  const { partner, server, get, start } = stage
  Object.assign(partner.mood, { pageMs: 300, stopsAt: { rows: 31, log: 31 } })
  const client = await follow(server.url)
  await until(() => (client.of('hello').length > 0 ? true : undefined))
  const id = await start({ full: true })
  const progress = () =>
    client.of<Pick<Run, 'id' | 'totals' | 'streams'>>('run-progress').filter((run) => run.id === id)
  const totalsOfEvents = () => progress().at(-1)?.totals
  const ofEvents = () => {
    const all = progress()
    return ['rows', 'log'].map((name) => all.flatMap((run) => run.streams.filter((one) => one.stream === name)).at(-1))
  }
  // The last of what has been read is told again when it is committed; from then on nothing moves.
  const views = await until(async () => {
    const one = await get<Run>(`/api/runs/${id}`)
    const [listed] = (await get<{ runs: RunSummary[] }>('/api/runs')).runs
    const [pipeline] = (await get<{ pipelines: { lastRun: RunSummary }[] }>('/api/pipelines')).pipelines
    const found = [one.streams, ofEvents()]
    const totals = [listed?.totals, pipeline?.lastRun.totals, totalsOfEvents()]
    const isReady = one.streams.length === 2 && one.streams.every(({ read, leftMs }) => read === 30 && leftMs)
    const same =
      found.every((view) => isDeepStrictEqual(view, one.streams)) &&
      totals.every((view) => isDeepStrictEqual(view, one.totals))
    return isReady && same ? found : undefined
  })
  expect(views[0]).toMatchObject([
    { stream: 'rows', mode: 'full_refresh', expected: 80 },
    { stream: 'log', mode: 'reconcile', expected: 60 },
  ])
  partner.goOn()
  await until(async () => ((await get<Run>(`/api/runs/${id}`)).status === 'completed' ? true : undefined))
  await client.close()
})
