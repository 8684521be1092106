import type { CallOptions } from '@ecokit/contracts'
import type { MlflowRest, MlflowRun } from '@ecokit/protocol-mlflow-rest'
import { shrinkingPages } from './pages.ts'
import { conclude, isOpen, learn, noRuns, type Pass, type Phase, type Position, type RunState } from './run-state.ts'

/** A server's database takes so many ids in one statement: SQL Server 2,100 parameters (https://learn.microsoft.com/sql/sql-server/maximum-capacity-specifications-for-sql-server). */
const idsPerSearch = 1_000
const missingPerSearch = 25

/** `status IN (…)` and `end_time IS NULL` are refused: LIST_SUPPORTED_KEYS and the IS NULL rule in mlflow/utils/search_utils.py. */
const openFilter = ['FINISHED', 'FAILED', 'KILLED'].map((status) => `attributes.status != '${status}'`)

/** Experiment ids in an order of their own: by number where they are numbers of one kind. */
const compareIds = (one: string, other: string): number =>
  one.length - other.length || (one < other ? -1 : one > other ? 1 : 0)

export interface Visit {
  readonly run: MlflowRun
  /** False for a run that ended lately and is as it was at the last pass. */
  readonly changed: boolean
}
/** Some runs in their order, and what to remember once the first `count` of them are done. */
export interface Visits {
  readonly runs: readonly Visit[]
  readonly after: (count: number) => RunState
  /** Unfinished runs of the last pass that are gone for good. */
  readonly gone: readonly string[]
}

export interface Walk {
  readonly api: MlflowRest
  readonly before: RunState | undefined
  /** Instead of what has changed: the phases to read, and the bounds of the end time. */
  readonly window?: { readonly phases: readonly Phase[]; readonly since?: number; readonly until?: number } | undefined
  readonly lagMs: number
  readonly pageSize: number
  /** Default 1,000. */
  readonly experimentsPerSearch?: number
  /** Stands for all of a run that matters to the stream. */
  readonly digestOf: (run: MlflowRun) => string
  readonly options: CallOptions
}

const allExperiments = async (api: MlflowRest, options: CallOptions): Promise<readonly string[]> => {
  const ids: string[] = []
  for await (const page of api.experiments.search({ view: 'all', pageSize: idsPerSearch }, options))
    ids.push(...page.map(({ id }) => id))
  return ids.sort(compareIds)
}

/**
 * Visits every run, or those that may have changed since the last pass: unfinished ones, those that ended since then less the lag, and those that were unfinished then.
 * Pages are cut by a time (`>=` in the filter and ascending order), not by MLflow's page token, which is an offset that a change in between shifts; the token is used only among
 * runs of the same millisecond. Deleted runs and those of deleted experiments are visited too.
 */
export async function* walkRuns(walk: Walk): AsyncGenerator<Visits> {
  const { api, window, lagMs, digestOf, options, experimentsPerSearch = idsPerSearch } = walk
  const wanted = window !== undefined ? 'window' : walk.before === undefined ? 'full' : 'changes'
  const before = walk.before ?? noRuns
  const goesOn = before.pass !== undefined && (before.pass.kind === 'window') === (wanted === 'window')
  const kind = goesOn && before.pass !== undefined ? before.pass.kind : wanted
  const phases: readonly Phase[] = window?.phases ?? (kind === 'full' ? ['all'] : ['open', 'ended', 'missing'])
  let pass: Pass = (goesOn ? before.pass : undefined) ?? {
    kind,
    startedAt: Date.now(),
    position: { phase: phases[0] ?? 'all', seen: [] },
    learnt: { recent: [], open: [] },
    missing: kind === 'changes' ? before.open : [],
  }
  const known = new Map(pass.kind === 'changes' ? before.recent.map(([id, , digest]) => [id, digest]) : [])
  const ask = shrinkingPages(walk.pageSize)
  const experiments = await allExperiments(api, options)
  const keep = (next: Pass): RunState => ({ ...strip(before), pass: next })

  const isChanged = (run: MlflowRun, phase: Phase, open: ReadonlySet<string>): boolean =>
    phase !== 'ended' || (isOpen(run) ? !open.has(run.id) : known.get(run.id) !== digestOf(run))

  for (let at = Math.max(0, phases.indexOf(pass.position.phase)); at < phases.length; at += 1) {
    const phase = phases[at] ?? 'all'
    if (pass.position.phase !== phase) pass = { ...pass, position: { phase, seen: [] } }
    if (phase === 'missing') {
      for (;;) {
        const some = pass.missing.slice(0, missingPerSearch)
        if (some.length === 0) break
        const found: MlflowRun[] = []
        for (let first = 0; first < experiments.length; first += experimentsPerSearch) {
          const filter = `attributes.run_id IN (${some.map((id) => `'${id}'`).join(',')})`
          const experimentIds = experiments.slice(first, first + experimentsPerSearch)
          const asked = { experimentIds, filter, view: 'all', pageSize: missingPerSearch } as const
          found.push(...(await api.runs.page(asked, options)).items)
        }
        const here = pass
        const ids = new Set(found.map(({ id }) => id))
        const after = (count: number): RunState => {
          const done = found.slice(0, count)
          const rest =
            count < found.length
              ? here.missing.filter((id) => !done.some((run) => run.id === id))
              : here.missing.slice(some.length)
          return keep({ ...here, missing: rest, learnt: learn(here.learnt, done, digestOf, lagMs) })
        }
        yield { runs: found.map((run) => ({ run, changed: true })), after, gone: some.filter((id) => !ids.has(id)) }
        pass = after(found.length).pass ?? pass
      }
      continue
    }
    const time = phase === 'ended' ? 'end_time' : 'start_time'
    const timeOf = (run: MlflowRun) => (phase === 'ended' ? run.endedAt : run.startedAt)
    const from =
      phase !== 'ended'
        ? undefined
        : window !== undefined
          ? (window.since ?? 0)
          : Math.max(0, (before.ended ?? 0) - lagMs)
    const until = phase === 'ended' ? window?.until : undefined
    for (;;) {
      const { position } = pass
      const { after: done } = position
      const rest = done === undefined ? experiments : experiments.filter((id) => compareIds(id, done) > 0)
      const chunk = rest.slice(0, experimentsPerSearch)
      const last = chunk.at(-1)
      if (last === undefined) break
      const lower = position.at ?? from
      const filter = [
        ...(phase === 'open' ? openFilter : []),
        ...(lower === undefined ? [] : [`attributes.${time} >= ${lower}`]),
        ...(until === undefined ? [] : [`attributes.${time} < ${until}`]),
      ].join(' and ')
      const page = await ask((pageSize) =>
        api.runs.page(
          {
            experimentIds: chunk,
            filter,
            orderBy: [`attributes.${time} ASC`],
            view: 'all',
            pageSize,
            pageToken: position.token,
          },
          options,
        ),
      )
      const seen = new Set(position.seen)
      const fresh = page.items.filter(({ id }) => !seen.has(id))
      const here = pass
      const open = new Set(here.learnt.open)
      const after = (count: number): RunState => {
        const runs = fresh.slice(0, count)
        const ids = new Set(runs.map(({ id }) => id))
        return keep({
          ...here,
          position:
            count === fresh.length && page.next === undefined
              ? { phase, after: last, seen: [] }
              : moveOn(position, runs, count === fresh.length ? page.next : position.token, timeOf),
          learnt: learn(here.learnt, runs, digestOf, lagMs),
          missing: here.missing.filter((id) => !ids.has(id)),
        })
      }
      yield { runs: fresh.map((run) => ({ run, changed: isChanged(run, phase, open) })), after, gone: [] }
      pass = after(fresh.length).pass ?? pass
    }
  }
  const end = conclude(before, pass, lagMs)
  yield { runs: [], after: () => end, gone: [] }
}

const strip = ({ pass: _pass, history: _history, ...rest }: RunState): RunState => rest

/** The position after some runs of a page: from the last one's time on, or, while that has not moved, on by the page token. */
const moveOn = (
  position: Position,
  runs: readonly MlflowRun[],
  token: string | undefined,
  timeOf: (run: MlflowRun) => number | undefined,
): Position => {
  const last = runs.at(-1)
  const time = last === undefined ? undefined : timeOf(last)
  const { phase, after, at } = position
  const base = { phase, ...(after === undefined ? {} : { after }) }
  // A negative time cannot stand in a filter.
  if (time !== undefined && time >= 0 && time > (at ?? -1))
    return { ...base, at: time, seen: runs.filter((run) => timeOf(run) === time).map(({ id }) => id) }
  const movedPage = token !== position.token
  return {
    ...base,
    ...(at === undefined ? {} : { at }),
    ...(token === undefined ? {} : { token }),
    seen: movedPage ? position.seen : [...position.seen, ...runs.map(({ id }) => id)],
  }
}
