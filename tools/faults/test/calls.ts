import { createHash } from 'node:crypto'
import {
  isIntegrationError,
  toJson,
  type AnyConnection,
  type AnyRecord,
} from '../../../packages/core/contracts/src/index.ts'
import { mlflow } from '../../../packages/connectors/mlflow/src/index.ts'
import type { Direct } from './world.ts'

/** What came of a call, in a form that can be compared: one text for each record, in the order of the texts where the order says nothing. */
export type Answer = readonly string[]

/** Something that a cell does through a connection. */
export interface Call {
  readonly name: string
  readonly kind: 'check' | 'read' | 'stream' | 'write'
  /** True where sending it twice does no harm. */
  readonly repeatable: boolean
  /** Makes what the call needs, past all faults. */
  prepare(direct: Direct, mark: string): Promise<unknown>
  run(connection: AnyConnection, input: unknown): Promise<Answer>
  /** Whether what it should have done is there, asked past all faults; absent for reads, whose answer says it. */
  done?(direct: Direct, input: never, answer: Answer): Promise<boolean>
}

const text = (value: unknown): string => toJson(value)
const drain = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}
const answerOf = async (value: unknown): Promise<Answer> => {
  if (typeof value === 'object' && value !== null && Symbol.asyncIterator in value) {
    const items: string[] = []
    for await (const item of value as AsyncIterable<unknown>) items.push(text(item))
    return items
  }
  const one = await (value as Promise<unknown>)
  if (typeof one !== 'object' || one === null || !('body' in one)) return [text(one)]
  const { body, ...rest } = one as { body: ReadableStream<Uint8Array> }
  return [text({ ...rest, sha256: await drain(body) })]
}

/** Not idempotent as operations, because they may end in another error the second time; the bytes that one call sends are the same in each attempt. */
const sameTwice = new Set(['runs.update', 'runs.logBatch', 'metrics.log'])

const operation = (name: string) => {
  const [capability = '', operationName = ''] = name.split('.')
  const found = (mlflow.manifest.provides as Record<string, { operations: Record<string, { idempotent?: boolean }> }>)[
    capability
  ]?.operations[operationName]
  if (found === undefined) throw new Error(`no such operation: ${name}`)
  return {
    repeatable: found.idempotent === true || sameTwice.has(name),
    run: (connection: AnyConnection, input: unknown) => answerOf(connection.call(capability, operationName, input)),
  }
}

/** A stream as a sink that merges by key would have it. */
const streamRows = async (connection: AnyConnection, name: string): Promise<Answer> => {
  const key = mlflow.manifest.streams[name as 'runs'].primaryKey ?? []
  const rows = new Map<string, string>()
  const keyOf = (row: AnyRecord) => key.map((field) => text(row[field])).join('|')
  for await (const batch of connection.read?.(name) ?? []) {
    if (batch.encoding !== 'records') throw new Error('not records')
    for (const row of batch.records) rows.set(keyOf(row), text(row))
    for (const row of batch.deleted ?? []) rows.delete(keyOf(row))
  }
  return [...rows.values()].sort()
}

/** Every call that changes nothing. */
export const readCalls = async (direct: Direct): Promise<readonly Call[]> => {
  const first = async <T>(sequence: AsyncIterable<T>, wanted: (item: T) => boolean = () => true): Promise<T> => {
    for await (const item of sequence) if (wanted(item)) return item
    throw new Error('the trained server has none of these')
  }
  const run = await first(direct.runs.search({ filter: "attributes.status = 'FINISHED'" }))
  const version = await first(direct.models.searchVersions({}), ({ runId }) => runId !== undefined)
  const runId = version.runId ?? ''
  const [key = ''] = Object.keys((await direct.runs.get({ id: runId })).metrics)
  const file = await first(direct.artifacts.list({ runId: run.id, recursive: true }), ({ directory }) => !directory)
  const experiment = await first(direct.experiments.search({}))
  const { name } = version
  const inputs = {
    'experiments.search': {},
    'experiments.get': { id: experiment.id },
    'experiments.getByName': { name: experiment.name },
    'runs.search': {},
    'runs.get': { id: run.id },
    'metrics.history': { runId, key },
    'models.search': {},
    'models.get': { name },
    'models.searchVersions': {},
    'models.getVersion': { name, version: version.version },
    'models.getVersionByAlias': { name, alias: 'champion' },
    'artifacts.list': { runId: run.id, recursive: true },
    'artifacts.download': { runId: run.id, path: file.path },
  }
  const operations = Object.entries(inputs).map(([call, input]): Call => ({
    name: call,
    kind: 'read',
    ...operation(call),
    repeatable: true,
    prepare: () => Promise.resolve(input),
  }))
  const streams = Object.keys(mlflow.manifest.streams).map((stream): Call => ({
    name: `stream ${stream}`,
    kind: 'stream',
    repeatable: true,
    prepare: () => Promise.resolve(undefined),
    run: (connection) => streamRows(connection, stream),
  }))
  const check: Call = {
    name: 'check',
    kind: 'check',
    repeatable: true,
    prepare: () => Promise.resolve(undefined),
    run: async (connection) => {
      const health = await connection.check()
      return [text({ status: health.status, code: health.code, message: health.message, parts: health.parts })]
    },
  }
  return [check, ...operations, ...streams]
}

/** What the writes are given; each has some of it. */
interface Prepared {
  readonly id: string
  readonly runId: string
  readonly name: string
  readonly newName: string
  readonly version: string
  readonly path: string
}
interface Write {
  readonly prepare: (direct: Direct, mark: string) => Promise<object>
  readonly done: (direct: Direct, input: Prepared, answer: Answer) => Promise<boolean>
}
const experimentOf = (direct: Direct, mark: string) => direct.experiments.create({ name: mark })
const runOf = (direct: Direct, tags = {}) => direct.runs.create({ experimentId: '0', tags })
const modelOf = async (direct: Direct, mark: string, tags = {}) => {
  const { name } = await direct.models.create({ name: mark, tags })
  return name
}
const versionOf = async (direct: Direct, mark: string, tags = {}) => {
  const name = await modelOf(direct, mark)
  return direct.models.createVersion({ name, source: 's3://models/m-1', tags })
}
const gone = (asked: Promise<unknown>): Promise<boolean> =>
  asked.then(
    () => false,
    (error: unknown) => (error as { code?: string }).code === 'not_found',
  )
const idIn = (answer: Answer): string => (JSON.parse(answer[0] ?? '') as { id: string }).id

const probe = Buffer.alloc(10_000, 'probe')
const probeHash = createHash('sha256').update(probe).digest('hex')

const writes: Readonly<Record<string, Write>> = {
  'experiments.create': {
    prepare: (_, mark) => Promise.resolve({ name: mark }),
    done: async (direct, { name }, answer) => (await direct.experiments.get({ id: idIn(answer) })).name === name,
  },
  'experiments.rename': {
    prepare: async (direct, mark) => ({ id: (await experimentOf(direct, mark)).id, name: `${mark} renamed` }),
    done: async (direct, { id, name }) => (await direct.experiments.get({ id: id })).name === name,
  },
  'experiments.delete': {
    prepare: async (direct, mark) => ({ id: (await experimentOf(direct, mark)).id }),
    done: async (direct, { id }) => (await direct.experiments.get({ id: id })).lifecycle === 'deleted',
  },
  'experiments.restore': {
    prepare: async (direct, mark) => {
      const { id } = await experimentOf(direct, mark)
      await direct.experiments.delete({ id })
      return { id }
    },
    done: async (direct, { id }) => (await direct.experiments.get({ id: id })).lifecycle === 'active',
  },
  'experiments.setTag': {
    prepare: async (direct, mark) => ({ id: (await experimentOf(direct, mark)).id, key: 'k', value: 'v' }),
    done: async (direct, { id }) => (await direct.experiments.get({ id: id })).tags['k'] === 'v',
  },
  'experiments.deleteTag': {
    prepare: async (direct, mark) => ({
      id: (await direct.experiments.create({ name: mark, tags: { k: 'v' } })).id,
      key: 'k',
    }),
    done: async (direct, { id }) => (await direct.experiments.get({ id: id })).tags['k'] === undefined,
  },
  'runs.create': {
    prepare: (_, mark) => Promise.resolve({ experimentId: '0', name: mark }),
    done: async (direct, { name }, answer) => (await direct.runs.get({ id: idIn(answer) })).name === name,
  },
  'runs.update': {
    prepare: async (direct) => ({ id: (await runOf(direct)).id, status: 'finished' }),
    done: async (direct, { id }) => (await direct.runs.get({ id: id })).status === 'finished',
  },
  'runs.delete': {
    prepare: async (direct) => ({ id: (await runOf(direct)).id }),
    done: async (direct, { id }) => (await direct.runs.get({ id: id })).lifecycle === 'deleted',
  },
  'runs.restore': {
    prepare: async (direct) => {
      const { id } = await runOf(direct)
      await direct.runs.delete({ id })
      return { id }
    },
    done: async (direct, { id }) => (await direct.runs.get({ id: id })).lifecycle === 'active',
  },
  'runs.setTag': {
    prepare: async (direct) => ({ id: (await runOf(direct)).id, key: 'k', value: 'v' }),
    done: async (direct, { id }) => (await direct.runs.get({ id: id })).tags['k'] === 'v',
  },
  'runs.deleteTag': {
    prepare: async (direct) => ({ id: (await runOf(direct, { k: 'v' })).id, key: 'k' }),
    done: async (direct, { id }) => (await direct.runs.get({ id: id })).tags['k'] === undefined,
  },
  'runs.logParam': {
    prepare: async (direct) => ({ id: (await runOf(direct)).id, key: 'k', value: 'v' }),
    done: async (direct, { id }) => (await direct.runs.get({ id: id })).params['k'] === 'v',
  },
  'runs.logBatch': {
    prepare: async (direct) => ({
      id: (await runOf(direct)).id,
      params: { a: '1' },
      tags: { b: '2' },
      metrics: [{ key: 'c', value: 3, timestamp: '2026-01-01T00:00:00Z' }],
    }),
    done: async (direct, { id }) => {
      const { params, tags, metrics } = await direct.runs.get({ id: id })
      return params['a'] === '1' && tags['b'] === '2' && metrics['c'] === 3
    },
  },
  'metrics.log': {
    prepare: async (direct) => ({ runId: (await runOf(direct)).id, key: 'k', value: 1.5 }),
    done: async (direct, { runId }) =>
      (await Array.fromAsync(direct.metrics.history({ runId: runId, key: 'k' }))).length === 1,
  },
  'models.create': {
    prepare: (_, mark) => Promise.resolve({ name: mark }),
    done: async (direct, { name }) => (await direct.models.get({ name: name })).name === name,
  },
  'models.update': {
    prepare: async (direct, mark) => ({ name: await modelOf(direct, mark), description: 'new' }),
    done: async (direct, { name }) => (await direct.models.get({ name: name })).description === 'new',
  },
  'models.rename': {
    prepare: async (direct, mark) => ({ name: await modelOf(direct, mark), newName: `${mark}-renamed` }),
    done: async (direct, { newName }) => (await direct.models.get({ name: newName })).name === newName,
  },
  'models.delete': {
    prepare: async (direct, mark) => ({ name: await modelOf(direct, mark) }),
    done: (direct, { name }) => gone(direct.models.get({ name: name })),
  },
  'models.setTag': {
    prepare: async (direct, mark) => ({ name: await modelOf(direct, mark), key: 'k', value: 'v' }),
    done: async (direct, { name }) => (await direct.models.get({ name: name })).tags['k'] === 'v',
  },
  'models.deleteTag': {
    prepare: async (direct, mark) => ({ name: await modelOf(direct, mark, { k: 'v' }), key: 'k' }),
    done: async (direct, { name }) => (await direct.models.get({ name: name })).tags['k'] === undefined,
  },
  'models.setAlias': {
    prepare: async (direct, mark) => {
      const { name, version } = await versionOf(direct, mark)
      return { name, version, alias: 'a' }
    },
    done: async (direct, { name }) => (await direct.models.get({ name: name })).aliases['a'] === '1',
  },
  'models.deleteAlias': {
    prepare: async (direct, mark) => {
      const { name, version } = await versionOf(direct, mark)
      await direct.models.setAlias({ name, version, alias: 'a' })
      return { name, alias: 'a' }
    },
    done: async (direct, { name }) => (await direct.models.get({ name: name })).aliases['a'] === undefined,
  },
  'models.createVersion': {
    prepare: async (direct, mark) => ({
      name: await modelOf(direct, mark),
      source: 's3://models/m-1',
    }),
    done: async (direct, { name }) =>
      (await Array.fromAsync(direct.models.searchVersions({ name: name }))).length === 1,
  },
  'models.updateVersion': {
    prepare: async (direct, mark) => {
      const { name, version } = await versionOf(direct, mark)
      return { name, version, description: 'new' }
    },
    done: async (direct, { name, version }) =>
      (await direct.models.getVersion({ name: name, version: version })).description === 'new',
  },
  'models.deleteVersion': {
    prepare: async (direct, mark) => {
      const { name, version } = await versionOf(direct, mark)
      return { name, version }
    },
    done: (direct, { name, version }) => gone(direct.models.getVersion({ name: name, version: version })),
  },
  'models.setVersionTag': {
    prepare: async (direct, mark) => {
      const { name, version } = await versionOf(direct, mark)
      return { name, version, key: 'k', value: 'v' }
    },
    done: async (direct, { name, version }) =>
      (await direct.models.getVersion({ name: name, version: version })).tags['k'] === 'v',
  },
  'models.deleteVersionTag': {
    prepare: async (direct, mark) => {
      const { name, version } = await versionOf(direct, mark, { k: 'v' })
      return { name, version, key: 'k' }
    },
    done: async (direct, { name, version }) =>
      (await direct.models.getVersion({ name: name, version: version })).tags['k'] === undefined,
  },
  'artifacts.upload': {
    prepare: async (direct) => ({
      runId: (await runOf(direct)).id,
      path: 'folder/probe.bin',
      body: probe,
    }),
    done: async (direct, { runId, path }) => {
      try {
        const { body } = await direct.artifacts.download({ runId: runId, path: path })
        return (await drain(body as ReadableStream<Uint8Array>)) === probeHash
      } catch (error) {
        if (isIntegrationError(error, 'not_found')) return false
        throw error
      }
    },
  },
}

/** Every call that changes something. */
export const writeCalls: readonly Call[] = Object.entries(writes).map(([name, { prepare, done }]): Call => ({
  name,
  kind: 'write',
  ...operation(name),
  prepare,
  done,
}))

/** Every operation, stream and the check, by the manifest: what the calls must cover. */
export const allCalls = (): readonly string[] => [
  'check',
  ...Object.entries(mlflow.manifest.provides).flatMap(([capability, { operations }]) =>
    Object.keys(operations).map((name) => `${capability}.${name}`),
  ),
  ...Object.keys(mlflow.manifest.streams).map((name) => `stream ${name}`),
]
