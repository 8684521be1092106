import type { Capability } from '@ecokit/contracts'
import type { Rule } from '@ecokit/testkit'
import { artifacts } from '../artifacts.ts'
import { experiments } from '../experiments.ts'
import { metrics } from '../metrics.ts'
import { models } from '../models.ts'
import { runs } from '../runs.ts'
import { about, bytesOf, keyOf, mustFail, same, take } from './support.ts'

const template: readonly Capability[] = [experiments, runs, metrics, models, artifacts]
const few = 3

/** Rules that change nothing at the platform. */
export const readingRules: readonly Rule[] = [
  {
    id: 'mlops.operations',
    title: 'Each capability of the template is provided whole, with the template’s effects',
    applies: (manifest) => template.some((capability) => keyOf(manifest, capability) !== undefined),
    run: ({ manifest, fail }) => {
      for (const capability of template) {
        const key = keyOf(manifest, capability)
        const provided = key === undefined ? undefined : manifest.provides?.[key]
        if (provided === undefined) continue
        for (const [name, { effect, many }] of Object.entries(capability.operations)) {
          const found = provided.operations[name]
          if (found === undefined) return fail(`${capability.id} lacks the operation ${name}`)
          if (found.effect !== effect || found.many !== many)
            fail(`${capability.id}.${name} has another effect or form than the template's`)
        }
      }
    },
  },
  about(runs, {
    id: 'mlops.run-by-id',
    title: 'A run that a search finds is the same when it is asked for by its id',
    run: async ({ context, api }) => {
      const found = await take(api.search({ view: 'all' }), few)
      if (found.length === 0) context.skip('there are no runs')
      for (const run of found) {
        const again = await api.get({ id: run.id })
        // What still runs may go on in between.
        if (run.status === 'running' || run.status === 'scheduled') same(context, 'its id', again.id, run.id)
        else same(context, `the run ${run.id}`, again, run)
      }
    },
  }),
  about(runs, {
    id: 'mlops.runs-of-experiment',
    title: 'A search within experiments gives their runs and no others',
    run: async ({ context, api }) => {
      const [run] = await take(api.search({}), 1)
      if (run === undefined) return context.skip('there are no runs')
      const within = await take(api.search({ experimentId: run.experimentId }), 50)
      if (within.length === 0) context.fail(`the experiment ${run.experimentId} has a run, and the search finds none`)
      for (const { experimentId } of within) same(context, 'the experiment of a run', experimentId, run.experimentId)
      const listed = await take(api.search({ experimentIds: [run.experimentId] }), 50)
      same(
        context,
        'the search by experimentIds',
        listed.map(({ id }) => id),
        within.map(({ id }) => id),
      )
    },
  }),
  about(runs, {
    id: 'mlops.limit',
    title: 'A limit is kept, and cuts the same sequence shorter',
    run: async ({ context, api }) => {
      const all = await take(api.search({ view: 'all' }), few)
      if (all.length < 2) context.skip('there are fewer than two runs')
      const one = await take(api.search({ view: 'all', limit: 1 }), few)
      same(
        context,
        'a search with limit 1',
        one.map(({ id }) => id),
        [all[0]?.id],
      )
    },
  }),
  about(runs, {
    id: 'mlops.view',
    title: 'Deleted runs show only where they are asked for',
    run: async ({ context, api }) => {
      for (const view of ['active', 'deleted'] as const)
        for (const { id, lifecycle } of await take(api.search({ view }), 50))
          same(context, `the life of run ${id}, found in the view ${view}`, lifecycle, view)
      for (const { id, lifecycle } of await take(api.search({}), 50))
        same(context, `the life of run ${id}, found by default`, lifecycle, 'active')
    },
  }),
  about(metrics, {
    id: 'mlops.last-value',
    title: 'The last value of a metric is the newest of its history',
    run: async ({ context, api, other }) => {
      const found = await take(other(runs).search({}), 20)
      const withMetrics = found.filter((run) => Object.keys(run.metrics).length > 0).slice(0, few)
      if (withMetrics.length === 0) context.skip('there are no runs with metrics')
      for (const run of withMetrics)
        for (const [key, value] of Object.entries(run.metrics).slice(0, few)) {
          const history = await take(api.history({ runId: run.id, key }), Infinity)
          const newest = history.reduce((last, point) => (point.step >= last ? point.step : last), -(2n ** 63n))
          const last = history.filter((point) => point.step === newest).map((point) => point.value)
          if (!last.some((candidate) => Object.is(candidate, value)))
            context.fail(`${key} of run ${run.id} is ${String(value)}, and its newest step holds ${last.join(', ')}`)
          if (history.some((point) => point.key !== key)) context.fail(`the history of ${key} holds another metric`)
        }
    },
  }),
  about(models, {
    id: 'mlops.aliases',
    title: 'Versions belong to their model, and each alias leads to the version at which it stands',
    run: async ({ context, api }) => {
      const found = await take(api.search({}), few)
      if (found.length === 0) context.skip('there are no registered models')
      for (const model of found) {
        same(context, 'the model', (await api.get({ name: model.name })).name, model.name)
        for (const version of await take(api.searchVersions({ name: model.name }), few)) {
          same(context, 'the model of a version', version.name, model.name)
          const again = await api.getVersion({ name: version.name, version: version.version })
          same(context, 'a version by its number', again.version, version.version)
        }
        for (const [alias, version] of Object.entries(model.aliases)) {
          const target = await api.getVersionByAlias({ name: model.name, alias })
          same(context, `the version behind ${model.name}@${alias}`, target.version, version)
          if (target.aliases?.includes(alias) !== true)
            context.fail(`version ${version} does not know its alias ${alias}`)
        }
      }
    },
  }),
  about(artifacts, {
    id: 'mlops.artifact-sizes',
    title: 'A listed file can be downloaded and has the size that the list says',
    run: async ({ context, api, other }) => {
      for (const run of await take(other(runs).search({}), 20))
        for (const file of await take(api.list({ runId: run.id, recursive: true }), 20)) {
          if (file.directory || file.size === undefined || file.size > 1_000_000) continue
          const { body } = await api.download({ runId: run.id, path: file.path })
          same(context, `the size of ${file.path}`, (await bytesOf(body)).byteLength, file.size)
          return
        }
      context.skip('there are no files to download')
    },
  }),
  about(runs, {
    id: 'mlops.no-such-run',
    title: 'What does not exist ends with not_found',
    run: async ({ context, api }) => {
      const [run] = await take(api.search({}), 1)
      if (run === undefined) return context.skip('there are no runs')
      const id = Array.from(run.id).toReversed().join('')
      if (id === run.id) context.skip('the id of a run reads the same backwards')
      await mustFail(context, 'a run that does not exist', api.get({ id }), 'not_found')
    },
  }),
  about(models, {
    id: 'mlops.no-such-model',
    title: 'A model, version or alias that does not exist ends with not_found',
    run: async ({ context, api }) => {
      const name = 'no-such-model-of-ecokit'
      await mustFail(context, 'a model that does not exist', api.get({ name }), 'not_found')
      await mustFail(context, 'a version that does not exist', api.getVersion({ name, version: '1' }), 'not_found')
      const [model] = await take(api.search({}), 1)
      if (model === undefined) return
      const work = api.getVersionByAlias({ name: model.name, alias: 'no-such-alias' })
      await mustFail(context, 'an alias that does not exist', work, 'not_found')
    },
  }),
]
