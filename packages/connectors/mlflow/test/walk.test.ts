import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startMlflow, type Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import type { RunState } from '../src/streams/run-state.ts'
import { walkRuns, type Visits, type Walk } from '../src/streams/walk.ts'
import { openTracking, type Tracking } from './support.ts'

const peer = await requirePeer('mlflow')
const start = Date.UTC(2026, 0, 1)

peer.describe('the walk through runs', () => {
  let folder: string
  let server: Mlflow
  let tracking: Tracking
  /** Every run that was made, and whether it is unfinished. */
  const made = new Map<string, boolean>()
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-walk-'))
    server = await startMlflow({ folder })
    tracking = openTracking(server.url)
    const { api } = tracking
    const experiments = ['0']
    for (const name of ['a', 'b', 'c', 'd']) experiments.push(await api.experiments.create({ name }))
    // Many runs of one millisecond in every experiment, and of the beginning of time, as when a client sends no time.
    for (let index = 0; index < 40; index += 1) {
      const startedAt = index % 10 === 9 ? 0 : start + (index < 20 ? 0 : index)
      const { id } = await api.runs.create({ experimentId: experiments[index % experiments.length]!, startedAt })
      const open = index % 8 === 3
      if (!open)
        await api.runs.update(id, { status: 'FINISHED', endedAt: start + (index < 24 ? 1_000 : 1_000 + index) })
      made.set(id, open)
    }
    await api.experiments.delete(experiments[2]!)
  }, 240_000)
  afterAll(async () => {
    await tracking.connection.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const walk = (options: Partial<Walk> = {}) =>
    walkRuns({
      api: tracking.api,
      before: undefined,
      lagMs: 0,
      pageSize: 3,
      experimentsPerSearch: 2,
      digestOf: (run) => `${run.status} ${run.endedAt ?? ''}`,
      options: {},
      ...options,
    })
  const through = (state: RunState): RunState => JSON.parse(JSON.stringify(state)) as RunState
  const collect = async (visits: AsyncIterable<Visits>) => {
    const all: Visits[] = []
    for await (const some of visits) all.push(some)
    const runs = all.flatMap((some) => some.runs)
    const last = all.at(-1)!
    return {
      all,
      ids: runs.map(({ run }) => run.id),
      changed: runs.filter(({ changed }) => changed).map(({ run }) => run.id),
      state: through(last.after(last.runs.length)),
    }
  }

  test('visits each run once, however small the pages and however many share a moment', async () => {
    for (const [pageSize, experimentsPerSearch] of [
      [1, 1],
      [2, 3],
      [3, 2],
      [7, 5],
      [1_000, 1_000],
    ] as const) {
      const { ids } = await collect(walk({ pageSize, experimentsPerSearch }))
      expect(ids.toSorted()).toEqual([...made.keys()].toSorted())
    }
  }, 180_000)

  test('goes on after any run, in a full pass and in one over changes, without a run twice', async () => {
    const full = await collect(walk())
    const steps = full.all.flatMap((some, at) => some.runs.map((_run, index) => [at, index + 1] as const))
    for (const [at, count] of steps.filter((_step, index) => index % 5 === 0)) {
      const done = full.all.slice(0, at).flatMap((some) => some.runs.map(({ run }) => run.id))
      const here = full.all[at]!.runs.slice(0, count).map(({ run }) => run.id)
      const rest = await collect(walk({ before: through(full.all[at]!.after(count)) }))
      expect([...done, ...here, ...rest.ids]).toEqual(full.ids)
      expect(rest.state.ended).toBe(full.state.ended)
      expect(rest.state.open.toSorted()).toEqual(full.state.open.toSorted())
    }

    // From a state that knows of nothing but one open run that has ended: everything that ended is a change.
    const before: RunState = { runs: 1, recent: [], open: [full.ids[0]!] }
    const changes = await collect(walk({ before }))
    expect(new Set(changes.changed)).toEqual(new Set(made.keys()))
    for (const [at, some] of changes.all.entries()) {
      const done = changes.all.slice(0, at + 1).flatMap(({ runs }) => runs.map(({ run }) => run.id))
      const rest = await collect(walk({ before: through(some.after(some.runs.length)) }))
      const again = at === changes.all.length - 1 ? changes.state.open : []
      expect(new Set([...done, ...rest.changed])).toEqual(new Set(changes.ids))
      expect(done.length + rest.changed.length).toBe(changes.ids.length + again.length)
    }
  }, 180_000)

  test('finds by its id a run that was unfinished and ended at a time long past', async () => {
    const { api } = tracking
    const { id } = await api.runs.create({ experimentId: '0', startedAt: start })
    const { state } = await collect(walk())
    expect(state.open).toContain(id)
    await api.runs.update(id, { status: 'KILLED', endedAt: 5 })
    const next = await collect(walk({ before: state }))
    expect(next.changed).toContain(id)
    expect(next.state.open).not.toContain(id)
    expect((await collect(walk({ before: next.state }))).changed).not.toContain(id)
    made.set(id, false)
  }, 180_000)

  test('is not led astray by a clock that runs ahead', async () => {
    const { api } = tracking
    const newRun = async (endedAt: number) => {
      const { id } = await api.runs.create({ experimentId: '0', startedAt: start })
      await api.runs.update(id, { status: 'FINISHED', endedAt })
      return id
    }
    const ahead = await newRun(Date.now() + 86_400_000)
    const { state } = await collect(walk())
    const right = await newRun(Date.now())
    const next = await collect(walk({ before: state }))
    expect(next.changed).toContain(right)
    expect(next.changed).not.toContain(ahead)
    await api.runs.update(ahead, { status: 'FAILED', endedAt: Date.now() + 86_400_000 })
    expect((await collect(walk({ before: next.state }))).changed).toContain(ahead)
  }, 180_000)

  test('sees a run that goes on after its end, and its new end', async () => {
    const { api } = tracking
    const { id } = await api.runs.create({ experimentId: '0', startedAt: start })
    await api.runs.update(id, { status: 'FINISHED', endedAt: Date.now() })
    const ended = await collect(walk())
    await api.runs.update(id, { status: 'RUNNING' })
    const open = await collect(walk({ before: ended.state }))
    expect(open.changed.filter((one) => one === id)).toEqual([id])
    expect(open.state.open).toContain(id)
    await api.runs.update(id, { status: 'FINISHED', endedAt: Date.now() })
    const again = await collect(walk({ before: open.state }))
    expect(again.changed).toContain(id)
    expect(again.state.open).not.toContain(id)
  }, 180_000)
})
