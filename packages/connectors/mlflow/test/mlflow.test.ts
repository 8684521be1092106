import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest'
import { jsonSchema } from '@ecokit/contracts'
import { startMlflow, type Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { connect, connectUnknown, isIntegrationError, mlflow, type CallEvent } from '../src/index.ts'

const peer = await requirePeer('mlflow')
const caught = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

test.each([
  ['trackingUri', { trackingUri: 'file:///tmp/mlruns' }],
  ['trackingUri', { trackingUri: 'mlflow.example.com' }],
  ['trackingUri', { trackingUri: 'http://ada:secret@mlflow.example.com' }],
  ['trackingUri', { trackingUri: 'https://mlflow.example.com/?a=1' }],
  ['lag', { trackingUri: 'https://mlflow.example.com', lag: 'soon' }],
  ['tracking_uri', { trackingUri: 'https://mlflow.example.com', tracking_uri: 'x' }],
])('a config is refused by the name of its field: %s %j', (field, config) => {
  const error = caught(() => connectUnknown(mlflow, { config }))
  expect(isIntegrationError(error, 'invalid_config') && error.details.field).toBe(`config.${field}`)
  expect(String(error)).not.toContain('secret')
})

test('everything about it can be known without connecting', () => {
  expect(Object.keys(mlflow.manifest.streams)).toEqual([
    'experiments',
    'runs',
    'metrics',
    'registered_models',
    'model_versions',
  ])
  const { properties } = jsonSchema(mlflow.manifest.streams.metrics.schema) as { properties: Record<string, object> }
  expect(properties).toMatchObject({
    value: { type: 'number', format: 'double' },
    step: { type: 'integer', format: 'int64' },
    timestamp: { type: 'string', format: 'date-time' },
  })
  const config = jsonSchema(mlflow.manifest.config, 'input') as { required: string[]; additionalProperties: boolean }
  expect([config.required, config.additionalProperties]).toEqual([['trackingUri'], false])
})

test('its import opens no way to the network: undici is not loaded', async () => {
  const script = `
    const { registerHooks } = await import('node:module')
    const loaded = []
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
    const { connect, mlflow } = await import(process.argv[1])
    connect(mlflow, { config: { trackingUri: 'http://127.0.0.1:1' }, credentials: { scheme: 'none' } })
    console.log(JSON.stringify(loaded.filter((url) => url.includes('node_modules')).map((url) => url.split('node_modules/').at(-1).split('/')[0])))`
  const entry = new URL('../src/index.ts', import.meta.url).href
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, '--', entry])
  expect([...new Set(JSON.parse(stdout) as string[])]).toEqual(['zod'])
})

peer.describe('the connector and a real server', () => {
  let folder: string
  let server: Mlflow
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-mlflow-'))
    server = await startMlflow({ folder: path.join(folder, 'open') })
  }, 240_000)
  afterAll(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  test('the README begins with lines that run', async () => {
    const tracking = connect(mlflow, { config: { trackingUri: server.url }, credentials: { scheme: 'none' } })
    const { id } = await tracking.runs.create({ experimentId: '0' })
    await tracking.metrics.log({ runId: id, key: 'loss', value: 0.25 })
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const file = new URL('../.cache/readme.ts', import.meta.url)
    await mkdir(new URL('.', file), { recursive: true })
    const [imports = '', ...lines] = code.split('\n')
    await writeFile(file, `${imports}\nconst trackingUri = process.argv[2] ?? ''\n${lines.join('\n')}`)
    const { stdout } = await promisify(execFile)(process.execPath, [file.pathname, `${server.url}/`])
    expect(stdout).toContain(id)
    expect(stdout).toContain('loss: 0.25')
    await tracking.close()
  })

  test('a check tells version and parts, and what is wrong', async () => {
    const events: CallEvent[] = []
    const as = (trackingUri: string) =>
      ({ name: 'prod', config: { trackingUri }, credentials: { scheme: 'none' } }) as const
    await using tracking = connect(mlflow, as(server.url), { observer: (event) => events.push(event) })
    const health = await tracking.check()
    expect(health).toMatchObject({ status: 'healthy', parts: { experiments: 'ok', models: 'ok' } })
    expect(health.version).toMatch(/^\d+\.\d+/)
    expect(events).toMatchObject([{ kind: 'check', requests: 3 }])
    await using nobody = connect(mlflow, as('http://127.0.0.1:1'), { policy: { attempts: 1 } })
    expect(await nobody.check()).toMatchObject({ status: 'unhealthy', code: 'unavailable' })
  })

  test('answers are typed and checked', async () => {
    await using tracking = connect(mlflow, { config: { trackingUri: server.url }, credentials: { scheme: 'none' } })
    const run = await tracking.runs.create({
      experimentId: '0',
      startedAt: '2026-01-01T01:00:00+01:00',
      tags: { a: 'b' },
    })
    expectTypeOf(run.metrics).toEqualTypeOf<Record<string, number>>()
    expect(run).toMatchObject({ status: 'running', startedAt: '2026-01-01T00:00:00.000Z', tags: { a: 'b' } })
    const steps: bigint[] = []
    for await (const batch of tracking.read('metrics'))
      if (batch.encoding === 'records') steps.push(...batch.records.map(({ step }) => step))
    expect(steps).toContain(0n)
    // @ts-expect-error there is no such stream
    const nothing = tracking.read('nope')[Symbol.asyncIterator]().next()
    await expect(nothing).rejects.toSatisfy((error) => isIntegrationError(error, 'unsupported'))
    const wrong = tracking.runs.create({ experimentId: '0', startedAt: 'now' })
    await expect(wrong).rejects.toSatisfy(
      (error) => isIntegrationError(error, 'invalid_input') && error.details.field === 'startedAt',
    )
  })

  test('a search without an experiment covers all of them, and stops at its limit', async () => {
    const paths: string[] = []
    await using tracking = connect(
      mlflow,
      { config: { trackingUri: server.url }, credentials: { scheme: 'none' } },
      { observe: (exchange) => void paths.push(exchange.path) },
    )
    const ids: string[] = []
    for (const name of ['one', 'two']) {
      const experiment = await tracking.experiments.create({ name })
      for (let count = 0; count < 3; count += 1)
        ids.push((await tracking.runs.create({ experimentId: experiment.id, tags: { batch: 'x' } })).id)
    }
    const found = await Array.fromAsync(tracking.runs.search({ filter: "tags.batch = 'x'" }))
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    paths.length = 0
    expect((await Array.fromAsync(tracking.runs.search({ limit: 2 }))).length).toBe(2)
    expect(paths.length).toBe(2)
    const ended = await tracking.runs.update({ id: ids[0]!, status: 'killed', name: 'over' })
    expect(ended).toMatchObject({ status: 'killed', name: 'over' })
    expect(Date.parse(ended.endedAt!)).toBeGreaterThan(Date.parse(ended.startedAt!))
  })

  test('a server behind a path that wants a token', async () => {
    const token = 'a-token-of-mine'
    const proxy = createServer((incoming, outgoing) => {
      const { url = '', headers, method } = incoming
      if (headers.authorization !== `Bearer ${token}`) return void outgoing.writeHead(401).end('who are you?')
      if (!url.startsWith('/ml/tracking/')) return void outgoing.writeHead(404).end()
      const target = new URL(url.slice('/ml/tracking'.length), server.url)
      const passed = forward(target, { method, headers: { ...headers, host: target.host } }, (reply) => {
        outgoing.writeHead(reply.statusCode ?? 502, reply.headers)
        reply.pipe(outgoing)
      })
      incoming.pipe(passed)
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const trackingUri = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/ml/tracking/`
    await using tracking = connect(mlflow, { config: { trackingUri }, credentials: { scheme: 'token', token } })
    expect(await tracking.check()).toMatchObject({ status: 'healthy' })
    const { id } = await tracking.runs.create({ experimentId: '0' })
    await tracking.artifacts.upload({ runId: id, path: 'a b/c.txt', body: new TextEncoder().encode('here') })
    const { body, size } = await tracking.artifacts.download({ runId: id, path: 'a b/c.txt' })
    expect([await new Response(body as BodyInit).text(), size]).toEqual(['here', 4])
    expect(
      (await Array.fromAsync(tracking.artifacts.list({ runId: id, recursive: true }))).map((file) => file.path),
    ).toEqual(['a b', 'a b/c.txt'])
    await using stranger = connect(mlflow, {
      config: { trackingUri },
      credentials: { scheme: 'token', token: 'another' },
    })
    expect(await stranger.check()).toMatchObject({ status: 'unhealthy', code: 'unauthenticated' })
    proxy.close()
    proxy.closeAllConnections()
  })

  test("MLflow's own users and passwords", async () => {
    await using locked = await startMlflow({
      folder: path.join(folder, 'locked'),
      serverArguments: ['--app-name', 'basic-auth'],
      environment: {
        MLFLOW_FLASK_SERVER_SECRET_KEY: 'only for this test',
        MLFLOW_AUTH_ADMIN_PASSWORD: 'not-the-old-default-1',
      },
    })
    const as = (username: string, password: string) =>
      ({ config: { trackingUri: locked.url }, credentials: { scheme: 'basic', username, password } }) as const
    await using admin = connect(mlflow, as('admin', 'not-the-old-default-1'))
    expect(await admin.check()).toMatchObject({ status: 'healthy', parts: { models: 'ok' } })
    const { id } = await admin.experiments.create({ name: 'private' })
    const users = admin.http(locked.url)
    const body = new TextEncoder().encode(JSON.stringify({ username: 'guest', password: 'guest-password-1' }))
    await users.request({
      method: 'POST',
      path: 'api/2.0/mlflow/users/create',
      headers: { 'content-type': 'application/json' },
      body,
    })

    await using wrong = connect(mlflow, as('admin', 'wrong-password'))
    expect(await wrong.check()).toMatchObject({ status: 'unhealthy', code: 'unauthenticated' })
    await using guest = connect(mlflow, as('guest', 'guest-password-1'))
    expect(await guest.check()).toMatchObject({ status: 'healthy' })
    const refused = guest.experiments.delete({ id })
    await expect(refused).rejects.toSatisfy((error) => isIntegrationError(error, 'forbidden'))
    await using nobody = connect(mlflow, { config: { trackingUri: locked.url }, credentials: { scheme: 'none' } })
    const error: unknown = await nobody.experiments.get({ id }).catch((thrown: unknown) => thrown)
    expect(isIntegrationError(error, 'unauthenticated')).toBe(true)
  }, 240_000)
})
