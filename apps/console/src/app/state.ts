import { useEffect, useState } from 'preact/hooks'
import { api, type ApiError, type Health, type Partner, type Pipeline, type Run, type RunSummary } from './api.ts'
import { remember } from './rates.ts'

export interface State {
  readonly partners: readonly Partner[] | undefined
  readonly pipelines: readonly Pipeline[] | undefined
  /** With their streams where they run, or ended while this page was open. */
  readonly runs: readonly (RunSummary | Run)[] | undefined
  /** Whether the stream of events is open: what is shown is what is. */
  readonly live: boolean
  readonly signedOut: boolean
  /** The sentence of the last thing that went wrong by a click. */
  readonly notice: string | undefined
}

let state: State = {
  partners: undefined,
  pipelines: undefined,
  runs: undefined,
  live: false,
  signedOut: false,
  notice: undefined,
}
const listeners = new Set<() => void>()
const change = (part: Partial<State>): void => {
  state = { ...state, ...part }
  for (const listener of listeners) listener()
}

export const useConsole = (): State => {
  const [, redraw] = useState(0)
  useEffect(() => {
    const listener = (): void => redraw((count) => count + 1)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }, [])
  return state
}

/** A time that moves, for "3 s ago". */
export const useNow = (everyMs: number): number => {
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}

/** Shows what went wrong, or that there is no session any more. */
export const tellFailure = (error: unknown): void => {
  const status = (error as Partial<ApiError>).status
  if (status === 401) change({ signedOut: true })
  else change({ notice: error instanceof Error ? error.message : String(error) })
}
/** Runs what a click asks for, and shows what went wrong. */
export const act = (work: () => Promise<unknown>): void => {
  change({ notice: undefined })
  work().then(undefined, tellFailure)
}
export const dismiss = (): void => change({ notice: undefined })

/** What events say while everything is loaded: it may be newer than what comes, and is said again then. */
const loading = new Set<(() => void)[]>()
const load = async (): Promise<void> => {
  const said: (() => void)[] = []
  loading.add(said)
  try {
    await loadAll()
  } finally {
    loading.delete(said)
  }
  for (const again of said) again()
}
const loadAll = async (): Promise<void> => {
  const [partners, pipelines, listed] = await Promise.all([api.partners(), api.pipelines(), api.runs(30)])
  const runs = await Promise.all(
    listed.map(async (one) => (one.status === 'running' ? api.run(one.id).catch(() => one) : one)),
  )
  change({ partners, pipelines, runs, signedOut: false })
}

/** Loads the pipelines again, for what no event tells. */
export const reload = (): void => {
  api.pipelines().then((pipelines) => change({ pipelines }), tellFailure)
}

const putPartner = (partner: Partner): void => {
  const partners = state.partners ?? []
  const known = partners.some((item) => item.name === partner.name)
  change({
    partners: known ? partners.map((item) => (item.name === partner.name ? partner : item)) : [...partners, partner],
  })
}
/** `health` is the partner's state, `check` the single check that was just made: a state may wait for a second failure. */
const putCheck = ({ partner: name, health, check }: { partner: string; health: Health; check: Health }): void => {
  const partner = state.partners?.find((item) => item.name === name)
  if (partner === undefined) return
  const seen = { status: check.status, latencyMs: check.latencyMs ?? null, checkedAt: check.checkedAt }
  const others = partner.history.filter(({ checkedAt }) => checkedAt !== seen.checkedAt)
  putPartner({ ...partner, health: { ...partner.health, ...health }, history: [...others, seen].slice(-60) })
}
const removePartner = ({ name }: { name: string }): void =>
  change({ partners: state.partners?.filter((item) => item.name !== name) })
const putRun = (run: Run): void => {
  remember(run, Date.now())
  const others = (state.runs ?? []).filter((item) => item.id !== run.id)
  const runs = [run, ...others].sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt)).slice(0, 30)
  const pipelines = state.pipelines?.map((item) =>
    item.name === run.pipeline ? { ...item, running: run.status === 'running' } : item,
  )
  change({ runs, pipelines })
  // What the run has found out about its schema, and when the next one is, only the list of pipelines says.
  if (run.status !== 'running') reload()
}
/** Of a run that got on only the streams that did. */
const putProgress = ({ id, totals, streams }: Pick<Run, 'id' | 'totals' | 'streams'>): void => {
  const run = state.runs?.find((item) => item.id === id)
  if (run === undefined || !('streams' in run)) return
  const changed = new Map(streams.map((one) => [one.stream, one]))
  remember({ ...run, streams }, Date.now())
  const now = { ...run, totals, streams: run.streams.map((one) => changed.get(one.stream) ?? one) }
  change({ runs: state.runs?.map((item) => (item.id === id ? now : item)) })
}

/** Loads everything once and then follows the server's events; the browser reconnects by itself, and then all is loaded again. */
export const follow = (): void => {
  load().catch(tellFailure)
  const events = new EventSource('/api/events')
  const on = <T>(name: string, put: (data: T) => void): void =>
    events.addEventListener(name, (event) => {
      const data = JSON.parse((event as MessageEvent<string>).data) as T
      for (const said of loading) said.push(() => put(data))
      put(data)
    })
  events.onopen = () => {
    change({ live: true })
    load().catch(tellFailure)
  }
  events.onerror = () => change({ live: false })
  on('partner', putPartner)
  on('partner-removed', removePartner)
  on('check', putCheck)
  on('run', putRun)
  on('run-progress', putProgress)
}
