import { onward, resumePage, shrinkingPages } from '@ecokit/connect/reading'
import type { CallOptions } from '@ecokit/contracts'
import type { MlflowRest, MlflowRun } from '@ecokit/protocol-mlflow-rest'
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

/** How a pass goes: what it starts from, its phases in their order, and where it stands. */
const begin = ({ before: given, window }: Walk) => {
  const wanted = window !== undefined ? 'window' : given === undefined ? 'full' : 'changes'
  const before = given ?? noRuns
  const under =
    before.pass !== undefined && (before.pass.kind === 'window') === (wanted === 'window') ? before.pass : undefined
  const kind = under?.kind ?? wanted
  const phases: readonly Phase[] = window?.phases ?? (kind === 'full' ? ['all'] : ['open', 'ended', 'missing'])
  const first = phases[0] ?? 'all'
  const pass: Pass = under ?? {
    kind,
    startedAt: Date.now(),
    position: { phase: first, seen: [] },
    learnt: { recent: [], open: [] },
    missing: kind === 'changes' ? before.open : [],
  }
  const known = phases.includes(pass.position.phase)
  return { before, phases, pass: known ? pass : { ...pass, position: { phase: first, seen: [] } } }
}

/**
 * Visits every run, or those that may have changed since the last pass: unfinished ones, those that ended since then less the lag, and those that were unfinished then.
 * Pages are cut by a time (`>=` in the filter and ascending order), not by MLflow's page token, which is an offset that a change in between shifts; the token is used only among
 * runs of the same millisecond. Deleted runs and those of deleted experiments are visited too.
 */
export async function* walkRuns(walk: Walk): AsyncGenerator<Visits> {
  const { api, window, lagMs, digestOf, options, experimentsPerSearch = idsPerSearch } = walk
  const { before, phases, pass: first } = begin(walk)
  const experiments = await allExperiments(api, options)
  const ask = shrinkingPages(walk.pageSize)
  const onto = onward(api.partner, 'runs')
  const known = new Map(first.kind === 'changes' ? before.recent.map(([id, , digest]) => [id, digest]) : [])
  const experimentsAfter = (id: string | undefined): readonly string[] =>
    id === undefined ? experiments : experiments.filter((one) => compareIds(one, id) > 0)
  /** From the phase in work on, those that still have something to ask for. */
  const phasesLeft = ({ position, missing }: Pass): readonly Phase[] =>
    phases
      .slice(phases.indexOf(position.phase))
      .filter((phase, index) =>
        phase === 'missing'
          ? missing.length > 0
          : experimentsAfter(index === 0 ? position.after : undefined).length > 0,
      )
  const stateOf = (pass: Pass): RunState =>
    phasesLeft(pass).length === 0 ? conclude(before, pass, lagMs) : { ...strip(before), pass }
  const learnFrom = (pass: Pass, runs: readonly MlflowRun[]): Pass => {
    const ids = new Set(runs.map(({ id }) => id))
    return {
      ...pass,
      learnt: learn(pass.learnt, runs, digestOf, lagMs),
      missing: pass.missing.filter((id) => !ids.has(id)),
    }
  }

  const visitMissing = async (pass: Pass): Promise<Visits> => {
    const some = pass.missing.slice(0, missingPerSearch)
    const filter = `attributes.run_id IN (${some.map((id) => `'${id}'`).join(',')})`
    const found: MlflowRun[] = []
    for (let at = 0; at < experiments.length; at += experimentsPerSearch) {
      const experimentIds = experiments.slice(at, at + experimentsPerSearch)
      const asked = { experimentIds, filter, view: 'all', pageSize: missingPerSearch } as const
      found.push(...(await api.runs.page(asked, options)).items)
    }
    const gone = some.filter((id) => !found.some((run) => run.id === id))
    const after = (count: number): RunState => {
      const next = learnFrom(pass, found.slice(0, count))
      return stateOf(count < found.length ? next : { ...next, missing: pass.missing.slice(some.length) })
    }
    return { runs: found.map((run) => ({ run, changed: true })), after, gone }
  }

  const visitPage = async (pass: Pass): Promise<Visits> => {
    const { position } = pass
    const { phase, token: pageToken } = position
    // Each search is made once: the same one again would be a circle.
    onto(JSON.stringify([phase, position.after, position.at, pageToken]))
    const experimentIds = experimentsAfter(position.after).slice(0, experimentsPerSearch)
    const time = phase === 'ended' ? 'end_time' : 'start_time'
    const timeOf = (run: MlflowRun) => (phase === 'ended' ? run.endedAt : run.startedAt)
    const lower = position.at ?? (phase === 'ended' ? lowerBound(walk, before) : undefined)
    const filter = [
      ...(phase === 'open' ? openFilter : []),
      ...(lower === undefined ? [] : [`attributes.${time} >= ${lower}`]),
      ...(phase === 'ended' && window?.until !== undefined ? [`attributes.${time} < ${window.until}`] : []),
    ].join(' and ')
    const orderBy = [`attributes.${time} ASC`]
    const page = await resumePage(pageToken, (token) =>
      ask((pageSize) =>
        api.runs.page({ experimentIds, filter, orderBy, view: 'all', pageSize, pageToken: token }, options),
      ),
    )
    const seen = new Set(position.seen)
    const fresh = page.items.filter(({ id }) => !seen.has(id))
    const open = new Set(pass.learnt.open)
    const isChanged = (run: MlflowRun): boolean =>
      phase !== 'ended' || (isOpen(run) ? !open.has(run.id) : known.get(run.id) !== digestOf(run))
    const after = (count: number): RunState => {
      const runs = fresh.slice(0, count)
      const whole = count === fresh.length
      const next: Position =
        whole && page.next === undefined
          ? { phase, after: experimentIds.at(-1), seen: [] }
          : moveOn(position, runs, whole ? page.next : pageToken, timeOf)
      return stateOf({ ...learnFrom(pass, runs), position: next })
    }
    return { runs: fresh.map((run) => ({ run, changed: isChanged(run) })), after, gone: [] }
  }

  for (let pass = first; ;) {
    const [phase] = phasesLeft(pass)
    if (phase === undefined) {
      yield { runs: [], after: () => conclude(before, pass, lagMs), gone: [] }
      return
    }
    if (phase !== pass.position.phase) pass = { ...pass, position: { phase, seen: [] } }
    const visits = phase === 'missing' ? await visitMissing(pass) : await visitPage(pass)
    yield visits
    const state = visits.after(visits.runs.length)
    if (state.pass === undefined) return
    pass = state.pass
  }
}

const lowerBound = ({ window, lagMs }: Walk, before: RunState): number =>
  window !== undefined ? (window.since ?? 0) : Math.max(0, (before.ended ?? 0) - lagMs)

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
