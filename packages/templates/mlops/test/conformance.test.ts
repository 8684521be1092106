import { expect, test } from 'vitest'
import { defineConnector, jsonSchema, type AnyConnector } from '@ecokit/contracts'
import { testConnector, type ConformanceOptions, type RuleResult } from '@ecokit/testkit'
import { z } from 'zod'
import { mlopsRules } from '../src/conformance.ts'
import { experiments, runs } from '../src/index.ts'
import { memoryConnector, type Platform } from './memory-platform.ts'

/** A platform with something in it, and the options to prove it with. */
const filled = async (change?: (platform: Platform) => Partial<Platform>) => {
  const { platform, connector } = memoryConnector(change)
  const { id: experimentId } = await platform.experiments.create({ name: 'first' })
  const runIds: string[] = []
  for (const value of [1, 2, 3]) {
    const { id } = await platform.runs.create({ experimentId })
    await platform.metrics.log({ runId: id, key: 'loss', value: value + 1, step: 0n })
    await platform.metrics.log({ runId: id, key: 'loss', value, step: 1n })
    await platform.artifacts.upload({ runId: id, path: 'note.txt', body: new TextEncoder().encode('note') })
    runIds.push(id)
  }
  const other = await platform.experiments.create({ name: 'other' })
  await platform.runs.create({ experimentId: other.id })
  const [runId = ''] = runIds
  await platform.runs.update({ id: runId, status: 'finished', endedAt: '2026-01-02T00:00:00Z' })
  await platform.runs.delete({ id: runIds[2] ?? '' })
  await platform.models.create({ name: 'model' })
  const { version } = await platform.models.createVersion({ name: 'model', source: 'memory:/model' })
  await platform.models.setAlias({ name: 'model', alias: 'champion', version })
  const options: ConformanceOptions = {
    config: { name: 'here' },
    rules: mlopsRules,
    samples: {
      'experiments.search': {},
      'experiments.get': { id: experimentId },
      'experiments.getByName': { name: 'first' },
      'experiments.create': { name: 'proof' },
      'runs.search': {},
      'runs.get': { id: runId },
      'runs.create': { experimentId },
      'metrics.history': { runId, key: 'loss' },
      'metrics.log': { runId, key: 'probe', value: 1 },
      'models.search': {},
      'models.get': { name: 'model' },
      'models.create': { name: 'proof' },
      'models.createVersion': { name: 'model', source: 'memory:/model' },
      'models.searchVersions': {},
      'models.getVersion': { name: 'model', version },
      'models.getVersionByAlias': { name: 'model', alias: 'champion' },
      'artifacts.list': { runId },
      'artifacts.download': { runId, path: 'note.txt' },
      'artifacts.upload': { runId, path: 'probe', body: new Uint8Array(1) },
    },
  }
  return { connector, options }
}
const prove = async (connector: AnyConnector, options: ConformanceOptions): Promise<readonly RuleResult[]> =>
  (await testConnector(connector, options)).results.filter(({ rule }) => rule.startsWith('mlops.'))

test('a platform in memory keeps every rule of the template', async () => {
  const { connector, options } = await filled()
  const results = await prove(connector, options)
  expect(results.filter(({ status }) => status !== 'passed')).toEqual([])
  expect(results.length).toBe(mlopsRules.length)
})

async function* nothing(): AsyncGenerator<never> {}

const mutants: readonly (readonly [rule: string, what: string, change: (platform: Platform) => Partial<Platform>])[] = [
  [
    'run-by-id',
    'get forgets the name',
    ({ runs: given }) => ({
      runs: { ...given, get: async (input) => ({ ...(await given.get(input)), params: { odd: '1' } }) },
    }),
  ],
  [
    'runs-of-experiment',
    'search ignores the experiment',
    ({ runs: given }) => ({ runs: { ...given, search: ({ view, limit }) => given.search({ view, limit }) } }),
  ],
  [
    'limit',
    'search ignores the limit',
    ({ runs: given }) => ({ runs: { ...given, search: ({ limit: _limit, ...rest }) => given.search(rest) } }),
  ],
  [
    'view',
    'search shows deleted runs always',
    ({ runs: given }) => ({ runs: { ...given, search: (input) => given.search({ ...input, view: 'all' }) } }),
  ],
  [
    'last-value',
    'the history is that of another metric',
    ({ metrics: given }) => ({ metrics: { ...given, history: ({ runId }) => given.history({ runId, key: 'probe' }) } }),
  ],
  [
    'aliases',
    'an alias leads to another version',
    ({ models: given }) => ({
      models: {
        ...given,
        getVersionByAlias: async (input) => ({ ...(await given.getVersionByAlias(input)), version: '0' }),
      },
    }),
  ],
  [
    'artifact-sizes',
    'a download is cut short',
    ({ artifacts: given }) => ({ artifacts: { ...given, download: async () => ({ body: new Uint8Array(1) }) } }),
  ],
  [
    'no-such-run',
    'any id gives a run',
    ({ runs: given }) => ({
      runs: {
        ...given,
        get: async ({ id }) => ({
          id,
          experimentId: '1',
          status: 'running',
          lifecycle: 'active',
          params: {},
          metrics: {},
          tags: {},
        }),
      },
    }),
  ],
  [
    'no-such-model',
    'any name gives a model',
    ({ models: given }) => ({ models: { ...given, get: async ({ name }) => ({ name, tags: {}, aliases: {} }) } }),
  ],
  [
    'experiment-life',
    'rename does nothing',
    ({ experiments: given }) => ({ experiments: { ...given, rename: async () => undefined } }),
  ],
  [
    'experiment-life',
    'a deleted experiment stays',
    ({ experiments: given }) => ({ experiments: { ...given, delete: async () => undefined } }),
  ],
  [
    'run-life',
    'only 100 params are kept',
    ({ runs: given }) => ({
      runs: {
        ...given,
        logBatch: ({ params = {}, ...rest }) =>
          given.logBatch({ ...rest, params: Object.fromEntries(Object.entries(params).slice(0, 100)) }),
      },
    }),
  ],
  [
    'run-life',
    'numbers are rounded',
    ({ runs: given }) => ({
      runs: {
        ...given,
        logBatch: ({ metrics: points = [], ...rest }) =>
          given.logBatch({ ...rest, metrics: points.map((point) => ({ ...point, value: Math.fround(point.value) })) }),
      },
    }),
  ],
  [
    'run-life',
    'the end is forgotten',
    ({ runs: given }) => ({ runs: { ...given, update: ({ id, status }) => given.update({ id, status }) } }),
  ],
  [
    'history',
    'steps lose their last digits',
    ({ metrics: given }) => ({
      metrics: {
        ...given,
        history: async function* (input) {
          for await (const point of given.history(input)) yield { ...point, step: BigInt(Number(point.step)) - 1n }
        },
      },
    }),
  ],
  ['history', 'the history is empty', ({ metrics: given }) => ({ metrics: { ...given, history: () => nothing() } })],
  [
    'model-life',
    'an alias does not move',
    ({ models: given }) => ({
      models: {
        ...given,
        setAlias: async (input) => {
          const { aliases } = await given.get(input)
          if (aliases[input.alias] === undefined) await given.setAlias(input)
        },
      },
    }),
  ],
  [
    'model-life',
    'a deleted version stays',
    ({ models: given }) => ({ models: { ...given, deleteVersion: async () => undefined } }),
  ],
  [
    'artifact-life',
    'a stream loses its first part',
    ({ artifacts: given }) => ({
      artifacts: {
        ...given,
        upload: async (input) => {
          if (input.body instanceof ReadableStream) {
            const reader = input.body.getReader()
            await reader.read()
            reader.releaseLock()
          }
          await given.upload(input)
        },
      },
    }),
  ],
  [
    'artifact-life',
    'the list is empty',
    ({ artifacts: given }) => ({ artifacts: { ...given, list: () => nothing() } }),
  ],
]
test.each(mutants)('mlops.%s finds it when %s', async (rule, _what, change) => {
  const { connector, options } = await filled(change)
  const failed = (await prove(connector, options))
    .filter(({ status }) => status === 'failed')
    .map((result) => result.rule)
  expect(failed).toContain(`mlops.${rule}`)
})

test('a capability that lacks an operation is found without calling anything', async () => {
  const { search: _search, ...rest } = runs.operations
  const connector = defineConnector(
    {
      id: 'half',
      title: 'Half',
      config: z.strictObject({}),
      hosts: [],
      provides: { runs: { ...runs, operations: rest } },
    },
    () => ({ check: async () => ({}), provides: { runs: {} as never } }),
  )
  const results = await prove(connector, { config: {}, rules: mlopsRules })
  expect(results.find(({ rule }) => rule === 'mlops.operations')).toMatchObject({
    status: 'failed',
    message: 'mlops.runs lacks the operation search',
  })
})

test('without samples nothing is written', async () => {
  const { connector, options } = await filled()
  const {
    'experiments.create': _one,
    'runs.create': _two,
    'models.create': _three,
    'metrics.log': _four,
    'artifacts.upload': _five,
    ...samples
  } = options.samples ?? {}
  const results = await prove(connector, { ...options, samples })
  expect(results.filter(({ status }) => status === 'not_applicable').map(({ rule }) => rule)).toEqual([
    'mlops.experiment-life',
    'mlops.run-life',
    'mlops.history',
    'mlops.model-life',
    'mlops.artifact-life',
  ])
})

test('every input can be drawn as a form', () => {
  const schema = jsonSchema(runs.operations.search.input, 'input')
  expect(Object.keys(schema['properties'] as object)).toEqual([
    'experimentId',
    'experimentIds',
    'filter',
    'orderBy',
    'view',
    'limit',
  ])
  expect(schema['additionalProperties']).toBe(false)
  expect(jsonSchema(experiments.operations.search.output)).toMatchObject({ properties: { name: { type: 'string' } } })
})
