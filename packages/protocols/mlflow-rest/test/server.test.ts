import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isIntegrationError, type ErrorCode } from '@ecokit/contracts'
import { openNetwork, type Exchange, type Network } from '@ecokit/http'
import { startMlflow, type Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { openMlflowRest, type MlflowRest } from '../src/index.ts'

const peer = await requirePeer('mlflow')
const now = Date.UTC(2026, 0, 2)

const collect = async <T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> => {
  const all: T[] = []
  for await (const page of pages) all.push(...page)
  return all
}
const fails = async (code: ErrorCode, work: Promise<unknown>, details: object = {}): Promise<void> => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(isIntegrationError(error) ? error.code : error).toBe(code)
  expect((error as { details: object }).details).toMatchObject(details)
}
const connectTo = (url: string, exchanges: Exchange[] = []): { network: Network; api: MlflowRest } => {
  const runtime = { observe: (exchange: Exchange) => void exchanges.push(exchange) }
  const network = openNetwork({ partner: 'tracking', hosts: ['{url}'], config: { url }, runtime })
  return { network, api: openMlflowRest({ http: network.http, url, partner: 'tracking' }) }
}

peer.describe('a real MLflow server', () => {
  let folder: string
  let mlflow: Mlflow
  let network: Network
  let api: MlflowRest
  const exchanges: Exchange[] = []
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-rest-'))
    mlflow = await startMlflow({ folder })
    ;({ network, api } = connectTo(mlflow.url, exchanges))
  }, 240_000)
  afterAll(async () => {
    await network.close()
    await mlflow.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const newRun = async (): Promise<string> => (await api.runs.create({ experimentId: '0', startedAt: now })).id

  test('the README begins with lines that run', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const module = new URL('../.cache/readme.ts', import.meta.url)
    await mkdir(new URL('.', module), { recursive: true })
    await writeFile(module, `${code}\nexport { names }\n`)
    process.env['MLFLOW_TRACKING_URI'] = mlflow.url
    expect(((await import(module.href)) as { names: unknown }).names).toContain('Default')
  })

  test('says that it runs, and its version', async () => {
    expect(await api.health()).toBe('OK')
    expect(await api.version()).toMatch(/^\d+\.\d+\.\d+/)
  })

  test('experiments, from their creation to their return from the dead', async () => {
    const { experiments } = api
    const name = 'Übung № 1: 数据 🚀'
    const id = await experiments.create({ name, tags: { owner: 'Ärzte', 'a.b/c': '' } })
    expect(await experiments.get(id)).toMatchObject({
      id,
      name,
      lifecycle: 'active',
      tags: { owner: 'Ärzte', 'a.b/c': '' },
    })
    await experiments.rename(id, `${name}!`)
    await experiments.setTag(id, 'owner', 'new')
    await experiments.deleteTag(id, 'a.b/c')
    const found = await experiments.getByName(`${name}!`)
    expect(found).toMatchObject({ id, tags: { owner: 'new' } })
    expect(found.updatedAt).toBeGreaterThanOrEqual(found.createdAt ?? Infinity)

    await experiments.delete(id)
    const ids = async (view: 'active' | 'deleted' | 'all') =>
      (await collect(experiments.search({ view, pageSize: 2 }))).map((one) => one.id)
    expect(await ids('active')).not.toContain(id)
    expect(await ids('deleted')).toContain(id)
    await experiments.restore(id)
    expect(await ids('active')).toContain(id)
    expect((await ids('all')).length).toBe(new Set(await ids('all')).size)
  })

  test('a run and everything that can be logged to it', async () => {
    const { runs } = api
    const made = await runs.create({ experimentId: '0', name: 'first', user: 'ada', startedAt: now, tags: { a: '1' } })
    expect(made).toMatchObject({ name: 'first', user: 'ada', status: 'RUNNING', startedAt: now, endedAt: undefined })
    const { id } = made
    await runs.setTag(id, 'b', 'ß')
    await runs.deleteTag(id, 'a')
    await runs.logParam(id, 'depth', '3')
    await runs.logParam(id, 'depth', '3')
    await fails('rejected', runs.logParam(id, 'depth', '4'), { partnerCode: 'INVALID_PARAMETER_VALUE', status: 400 })
    await api.metrics.log(id, { key: 'loss', value: 0.5, timestamp: now, step: 1 })
    await runs.update(id, { status: 'FINISHED', endedAt: now + 5, name: 'renamed' })
    expect(await runs.get(id)).toMatchObject({
      name: 'renamed',
      status: 'FINISHED',
      endedAt: now + 5,
      params: { depth: '3' },
      tags: { b: 'ß', 'mlflow.runName': 'renamed' },
      metrics: [{ key: 'loss', value: 0.5, timestamp: BigInt(now), step: 1n }],
    })
    await runs.delete(id)
    expect((await runs.get(id)).lifecycle).toBe('deleted')
    await runs.restore(id)
    expect((await runs.get(id)).lifecycle).toBe('active')
  })

  test('a batch far beyond the limits of one request arrives whole', async () => {
    const id = await newRun()
    const numbered = (count: number, prefix: string) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, index) => [`${prefix}${index}`, `${'x'.repeat(5_000)}${index}`]),
      )
    const params = numbered(260, 'p')
    const tags = numbered(150, 't')
    const metrics = Array.from({ length: 2_500 }, (_, step) => ({
      key: 'loss',
      value: 1 / (step + 1),
      timestamp: now + step,
      step,
    }))
    const before = exchanges.length
    await api.runs.logBatch(id, { params, tags, metrics })
    const sent = exchanges.slice(before)
    expect(sent.length).toBeGreaterThan(4)
    expect(Math.max(...sent.map((exchange) => exchange.requestBytes))).toBeLessThanOrEqual(1_000_000)
    const stored = await api.runs.get(id)
    expect(stored.params).toEqual(params)
    expect(stored.tags).toMatchObject(tags)
    const history = await collect(api.metrics.history({ runId: id, key: 'loss', pageSize: 400 }))
    expect(history).toEqual(
      metrics.map((one) => ({ ...one, timestamp: BigInt(one.timestamp), step: BigInt(one.step) })),
    )
  })

  test('numbers keep their value: NaN, infinities, int64 and doubles at their edges', async () => {
    const id = await newRun()
    const largest = 2n ** 63n - 1n
    const values = [NaN, 1e20, 5e-324, -1.7976931348623157e308, 123456789012345680, 0.1]
    const metrics = values.map((value, index) => ({
      key: 'm',
      value,
      timestamp: BigInt(index),
      step: BigInt(index) - 3n,
    }))
    await api.runs.logBatch(id, { metrics })
    expect(await collect(api.metrics.history({ runId: id, key: 'm', pageSize: 100 }))).toEqual(metrics)
    await api.metrics.log(id, { key: 'edge', value: NaN, timestamp: largest, step: -(2n ** 63n) })
    await api.metrics.log(id, { key: 'edge', value: 1, timestamp: largest, step: largest })
    expect(await collect(api.metrics.history({ runId: id, key: 'edge', pageSize: 1 }))).toEqual([
      { key: 'edge', value: NaN, timestamp: largest, step: -(2n ** 63n) },
      { key: 'edge', value: 1, timestamp: largest, step: largest },
    ])
    // The SQL store keeps the largest double for an infinity: sanitize_metric_value in mlflow/store/tracking/sqlalchemy_store.py.
    await api.metrics.log(id, { key: 'inf', value: -Infinity, timestamp: 1, step: 0 })
    expect((await api.runs.get(id)).metrics.find(({ key }) => key === 'inf')?.value).toBe(-Number.MAX_VALUE)
  })

  test('searches with filter, order and page tokens, many at once', async () => {
    const experimentId = await api.experiments.create({ name: 'pages' })
    for (let index = 0; index < 23; index += 1) {
      const { id } = await api.runs.create({ experimentId, startedAt: now + index, tags: { half: String(index % 2) } })
      await api.runs.logBatch(id, { metrics: [{ key: 'score', value: index % 5, timestamp: now, step: 0 }] })
    }
    const search = (pageSize: number, filter?: string) =>
      collect(api.runs.search({ experimentIds: [experimentId], pageSize, filter, orderBy: ['metrics.score DESC'] }))
    const sizes = [1, 2, 3, 5, 7, 22, 23, 24, 1_000]
    const all = await Promise.all(sizes.map((size) => search(size)))
    for (const found of all) expect(found.map((one) => one.id)).toEqual(all[0]?.map((one) => one.id))
    expect(all[0]?.length).toBe(23)
    expect(all[0]?.map((one) => one.metrics[0]?.value)).toEqual(
      all[0]
        ?.map((one) => one.metrics[0]?.value)
        .toSorted()
        .reverse(),
    )
    expect((await search(4, "tags.half = '1' and metrics.score >= 3")).length).toBe(4)
    await fails('rejected', search(4, 'nonsense is nonsense'), { partnerCode: 'INVALID_PARAMETER_VALUE' })
  })

  test('registered models, versions, aliases and tags', async () => {
    const { models, versions } = api
    const runId = await newRun()
    const name = 'Modell 数'
    const made = await models.create({ name, description: 'first', tags: { a: '1' } })
    expect(made).toMatchObject({ name, description: 'first', tags: { a: '1' }, aliases: {} })
    await fails('conflict', models.create({ name }), { partnerCode: 'RESOURCE_ALREADY_EXISTS' })
    expect((await models.describe(name, 'second')).description).toBe('second')
    await models.setTag(name, 'b', '2')
    await models.deleteTag(name, 'a')
    const source = `runs:/${runId}/model`
    const first = await versions.create({ name, source, runId, description: 'one', tags: { k: 'v' } })
    expect(first).toMatchObject({ name, version: '1', runId, source, status: 'READY', tags: { k: 'v' }, aliases: [] })
    await versions.create({ name, source, runId })
    await versions.setTag(name, '1', 'k2', 'v2')
    await versions.deleteTag(name, '1', 'k')
    expect((await versions.describe(name, '1', 'changed')).description).toBe('changed')
    await models.setAlias(name, 'champion', '1')
    await models.setAlias(name, 'champion', '2')
    await models.setAlias(name, 'old', '1')
    expect((await models.get(name)).aliases).toEqual({ champion: '2', old: '1' })
    expect((await versions.getByAlias(name, 'champion')).version).toBe('2')
    expect((await versions.get(name, '1')).tags).toEqual({ k2: 'v2' })
    await models.deleteAlias(name, 'old')
    await fails('not_found', versions.getByAlias(name, 'old'))
    expect((await collect(versions.search({ filter: `name = '${name}'`, pageSize: 1 }))).length).toBe(2)
    await versions.delete(name, '1')
    await fails('not_found', versions.get(name, '1'), { partnerCode: 'RESOURCE_DOES_NOT_EXIST', status: 404 })
    expect((await models.rename(name, 'other')).name).toBe('other')
    expect((await collect(models.search({ pageSize: 10 }))).map((one) => [one.name, one.tags])).toEqual([
      ['other', { b: '2' }],
    ])
    await models.delete('other')
    await fails('not_found', models.get('other'))
  })

  test('artifacts of several megabytes go up and come down as streams', async () => {
    const id = await newRun()
    const size = 5 * 1024 * 1024 + 17
    const bytes = randomBytes(size)
    const stream = () =>
      new ReadableStream<Uint8Array>({
        start: (controller) => {
          for (let at = 0; at < size; at += 65_536) controller.enqueue(bytes.subarray(at, at + 65_536))
          controller.close()
        },
      })
    const file = 'models/ü b+%/weights (1).bin'
    await api.artifacts.upload(id, file, stream())
    await api.artifacts.upload(id, 'note.txt', Buffer.from('hello'))
    const reply = await api.artifacts.download(id, file)
    const hash = createHash('sha256')
    let read = 0
    for await (const part of reply.body) {
      read += part.byteLength
      hash.update(part)
    }
    expect([read, hash.digest('hex')]).toEqual([size, createHash('sha256').update(bytes).digest('hex')])

    const list = async (folderPath?: string) => (await api.artifacts.page({ runId: id, path: folderPath })).items
    expect(await list()).toEqual([
      { path: 'models', directory: true, size: undefined },
      { path: 'note.txt', directory: false, size: 5 },
    ])
    expect(await list('models/ü b+%')).toEqual([{ path: file, directory: false, size }])
    expect(await list('nowhere')).toEqual([])
    await fails('not_found', api.artifacts.download(id, 'nothing.txt'), { partnerCode: 'RESOURCE_DOES_NOT_EXIST' })
    await fails('invalid_input', api.artifacts.download(id, '../../other/secret'), { field: 'path' })
  })

  test('errors come with the code that says what to do', async () => {
    const nobody = 'f'.repeat(32)
    await fails('not_found', api.runs.get(nobody), { status: 404, partnerCode: 'RESOURCE_DOES_NOT_EXIST' })
    await fails('not_found', api.experiments.get('424242'))
    await fails('conflict', api.experiments.create({ name: 'Default' }), { partnerCode: 'RESOURCE_ALREADY_EXISTS' })
    await fails('rejected', api.runs.page({ experimentIds: ['0'], pageSize: 60_000 }))
    await fails('invalid_input', api.experiments.create({ name: 'x'.repeat(501) }), { field: 'name' })
    const id = await newRun()
    await fails('invalid_input', api.runs.logParam(id, 'k', 'v'.repeat(6_001)), { field: 'value' })
    await api.runs.delete(id)
    await fails('rejected', api.runs.setTag(id, 'k', 'v'))
    const error: unknown = await api.experiments.create({ name: 'Default' }).catch((thrown: unknown) => thrown)
    expect(String(error)).not.toMatch(/INSERT|sqlite/i)
    const stopped = AbortSignal.abort()
    await fails('cancelled', api.runs.get(nobody, { signal: stopped }))
  })
})

peer.describe('a server whose artifacts do not go through it', () => {
  test('files come through its own access to the store, and uploads are refused', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-rest-'))
    const store = path.join(folder, 'store')
    const serverArguments = ['--no-serve-artifacts', '--default-artifact-root', store]
    await using mlflow = await startMlflow({ folder, serverArguments })
    const { network, api } = connectTo(mlflow.url)
    const { id } = await api.runs.create({ experimentId: '0', startedAt: now })
    await fails('unsupported', api.artifacts.upload(id, 'a.txt', Buffer.from('a')), { what: 'artifacts.upload' })
    const root = (await api.runs.get(id)).artifactUri ?? ''
    await mkdir(root, { recursive: true })
    await writeFile(path.join(root, 'a b.txt'), 'kept here')
    const reply = await api.artifacts.download(id, 'a b.txt')
    expect(await new Response(reply.body).text()).toBe('kept here')
    expect(await readFile(path.join(root, 'a b.txt'), 'utf8')).toBe('kept here')
    await network.close()
    await rm(folder, { recursive: true, force: true })
  }, 240_000)
})
