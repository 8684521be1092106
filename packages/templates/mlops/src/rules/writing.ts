import type { Rule } from '@ecokit/testkit'
import { artifacts } from '../artifacts.ts'
import { experiments } from '../experiments.ts'
import { metrics } from '../metrics.ts'
import { models } from '../models.ts'
import { runs } from '../runs.ts'
import { about, bytesOf, mustFail, same, take, unique } from './support.ts'

type ExperimentInput = { readonly name: string }
type RunInput = { readonly experimentId: string }
type ModelInput = { readonly name: string }
type VersionInput = { readonly source: string; readonly runId?: string }

const startedAt = '2026-01-02T03:04:05.678Z'
const endedAt = '2026-01-02T03:05:00.000Z'

/** Rules that write to the platform; each needs a sample for the operation that creates, and tidies up as far as the platform lets it. */
export const writingRules: readonly Rule[] = [
  about(experiments, {
    id: 'mlops.experiment-life',
    title: 'An experiment is created, found, renamed, tagged, deleted and restored',
    run: async ({ context, api, sample }) => {
      const input = sample('create') as ExperimentInput
      const name = `${input.name} ${unique()} ü数`
      const made = await api.create({ ...input, name, tags: { first: '1' } })
      same(context, 'the new experiment', [made.name, made.lifecycle, made.tags['first']], [name, 'active', '1'])
      const { id } = made
      same(context, 'the id by its name', (await api.getByName({ name })).id, id)
      await api.rename({ id, name: `${name} 2` })
      await api.setTag({ id, key: 'second', value: 'zwei' })
      await api.deleteTag({ id, key: 'first' })
      const changed = await api.get({ id })
      same(context, 'its name', changed.name, `${name} 2`)
      same(context, 'its tags', [changed.tags['first'], changed.tags['second']], [undefined, 'zwei'])
      await mustFail(context, 'a second experiment of the same name', api.create({ name: `${name} 2` }), 'conflict')
      const seen = async (view: 'active' | 'deleted') =>
        (await take(api.search({ view }), Infinity)).some((one) => one.id === id)
      await api.delete({ id })
      same(context, 'after its deletion, among the active', await seen('active'), false)
      same(context, 'after its deletion, among the deleted', await seen('deleted'), true)
      await api.restore({ id })
      same(context, 'after its return, among the active', await seen('active'), true)
      await api.delete({ id })
    },
  }),
  about(runs, {
    id: 'mlops.run-life',
    title: 'A run is started, logged to, ended, deleted and restored, and keeps what was logged exactly',
    run: async ({ context, api, sample }) => {
      const input = sample('create') as RunInput
      const made = await api.create({ ...input, startedAt, tags: { made: 'here' } })
      same(context, 'the new run', [made.status, made.lifecycle, made.startedAt], ['running', 'active', startedAt])
      same(context, 'its end', made.endedAt, undefined)
      const { id } = made
      const params = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`p${index}`, `数 ${index}`]))
      await api.logBatch({
        id,
        params,
        tags: { 'ü key': 'ß' },
        metrics: [
          { key: 'exact', value: 0.1, step: 1n, timestamp: startedAt },
          { key: 'exact', value: 0.30000000000000004, step: 2n, timestamp: startedAt },
          { key: 'undefined', value: NaN, step: 0n, timestamp: startedAt },
        ],
      })
      await api.logParam({ id, key: 'late', value: '1' })
      await api.setTag({ id, key: 'late', value: '1' })
      await api.deleteTag({ id, key: 'made' })
      const open = await api.get({ id })
      same(
        context,
        'its parameters',
        Object.entries(open.params).toSorted(),
        Object.entries({ ...params, late: '1' }).toSorted(),
      )
      same(context, 'its metrics', [open.metrics['exact'], open.metrics['undefined']], [0.30000000000000004, NaN])
      same(context, 'its tags', [open.tags['ü key'], open.tags['late'], open.tags['made']], ['ß', '1', undefined])
      const ended = await api.update({ id, status: 'finished', endedAt })
      same(context, 'the ended run', [ended.status, ended.endedAt], ['finished', endedAt])
      await api.delete({ id })
      same(context, 'its life after its deletion', (await api.get({ id })).lifecycle, 'deleted')
      await api.restore({ id })
      same(context, 'its life after its return', (await api.get({ id })).lifecycle, 'active')
      await api.delete({ id })
    },
  }),
  about(metrics, {
    id: 'mlops.history',
    title: 'Every value that was logged is in the history, with its step, its time and its exact value',
    run: async ({ context, api, other, sample }) => {
      const { runId } = sample('log') as { readonly runId: string }
      const key = `history-${unique()}`
      const largest = 2n ** 63n - 1n
      const logged = [0, 1, 2, largest].map((step, index) => ({
        key,
        value: [1e-300, NaN, -2.5, 3][index] ?? 0,
        step: BigInt(step),
        timestamp: new Date(Date.parse(startedAt) + index).toISOString(),
      }))
      const [first, ...rest] = logged
      if (first !== undefined) await api.log({ runId, ...first })
      await other(runs).logBatch({ id: runId, metrics: rest })
      const history = await take(api.history({ runId, key }), Infinity)
      same(
        context,
        'the history',
        history.toSorted((one, two) => Number(one.step - two.step)),
        logged,
      )
      same(context, 'a history with limit 2', (await take(api.history({ runId, key, limit: 2 }), Infinity)).length, 2)
    },
  }),
  about(models, {
    id: 'mlops.model-life',
    title: 'A model is registered with versions, aliases and tags, and is gone when it is deleted',
    run: async ({ context, api, sample }) => {
      const name = `${(sample('create') as ModelInput).name}-${unique()}`
      const { source, runId } = sample('createVersion') as VersionInput
      const made = await api.create({ name, description: 'one', tags: { a: '1' } })
      same(context, 'the new model', [made.name, made.description, made.tags], [name, 'one', { a: '1' }])
      await mustFail(context, 'a second model of the same name', api.create({ name }), 'conflict')
      const versionInput = { name, source, ...(runId === undefined ? {} : { runId }) }
      const first = await api.createVersion({ ...versionInput, description: 'first', tags: { b: '2' } })
      const second = await api.createVersion(versionInput)
      if (first.version === second.version) context.fail('two versions have the same number')
      await api.setAlias({ name, alias: 'champion', version: first.version })
      await api.setAlias({ name, alias: 'champion', version: second.version })
      same(context, 'the aliases', (await api.get({ name })).aliases, { champion: second.version })
      await api.setVersionTag({ name, version: first.version, key: 'c', value: '3' })
      await api.deleteVersionTag({ name, version: first.version, key: 'b' })
      same(context, 'the tags of a version', (await api.getVersion({ name, version: first.version })).tags, { c: '3' })
      const described = await api.updateVersion({ name, version: first.version, description: 'changed' })
      same(context, 'the description of a version', described.description, 'changed')
      same(context, 'the description', (await api.update({ name, description: 'two' })).description, 'two')
      await api.setTag({ name, key: 'd', value: '4' })
      await api.deleteTag({ name, key: 'a' })
      same(context, 'the tags', (await api.get({ name })).tags, { d: '4' })
      await api.deleteAlias({ name, alias: 'champion' })
      await api.deleteVersion({ name, version: first.version })
      const left = await take(api.searchVersions({ name }), Infinity)
      same(
        context,
        'the versions that are left',
        left.map(({ version }) => version),
        [second.version],
      )
      const renamed = await api.rename({ name, newName: `${name}-2` })
      await api.delete({ name: renamed.name })
      await mustFail(context, 'the deleted model', api.get({ name: renamed.name }), 'not_found')
    },
  }),
  about(artifacts, {
    id: 'mlops.artifact-life',
    title: 'A file goes up and comes down unchanged, as bytes and as a stream, and is in the list',
    run: async ({ context, api, sample }) => {
      const { runId } = sample('upload') as { readonly runId: string }
      const folder = `ecokit-${unique()}`
      const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 251)
      const parts = () =>
        new ReadableStream<Uint8Array>({
          start: (controller) => {
            for (let at = 0; at < bytes.length; at += 50_000) controller.enqueue(bytes.subarray(at, at + 50_000))
            controller.close()
          },
        })
      for (const [path, body] of [[`${folder}/a ü.bin`, bytes] as const, [`${folder}/deep/b.bin`, parts()] as const]) {
        await api.upload({ runId, path, body })
        const reply = await api.download({ runId, path })
        const back = await bytesOf(reply.body)
        if (back.length !== bytes.length || back.some((byte, index) => byte !== bytes[index]))
          context.fail(`${path} came back changed`)
      }
      const listed = (await take(api.list({ runId, path: folder, recursive: true }), Infinity))
        .filter((file) => !file.directory)
        .map(({ path, size }) => `${path} ${size ?? bytes.length}`)
      same(context, 'the list', listed.toSorted(), [`${folder}/a ü.bin 300000`, `${folder}/deep/b.bin 300000`])
      const missing = api.download({ runId, path: `${folder}/missing.bin` })
      await mustFail(context, 'a file that is not there', missing, 'not_found')
    },
  }),
]
