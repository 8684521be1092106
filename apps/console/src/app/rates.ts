import type { LineageEvent, Run } from './api.ts'

/** How many rows a stream had read at a moment, epoch milliseconds. */
export interface Sample {
  readonly at: number
  readonly read: number
}
/** Rows a second between two moments. */
export interface Rate {
  readonly from: number
  readonly to: number
  readonly perSecond: number
}

const keptRuns = 20
const keptSamples = 600
/** What was seen of runs while this page was open, by run and stream: the store keeps only where each stands now. */
const seen = new Map<string, Map<string, Sample[]>>()

/** Notes where the streams of a run stand. */
export const remember = (run: Run, now: number): void => {
  const streams = seen.get(run.id) ?? new Map<string, Sample[]>()
  seen.delete(run.id)
  seen.set(run.id, streams)
  for (const old of [...seen.keys()].slice(0, -keptRuns)) seen.delete(old)
  for (const { stream, status, read, startedAt, endedAt } of run.streams) {
    if (startedAt === null) continue
    const samples = streams.get(stream) ?? [{ at: Date.parse(startedAt), read: 0 }]
    streams.set(stream, samples)
    const last = samples.at(-1)
    const at = endedAt === null ? now : Date.parse(endedAt)
    if (status === 'running' || last?.read !== read) samples.push({ at, read })
    // Long runs: every second sample says enough.
    if (samples.length > keptSamples)
      streams.set(
        stream,
        samples.filter((_, index) => index % 2 === 0),
      )
  }
}

/** The same out of the run's OpenLineage events, which are stored: one every ten seconds at most. */
const fromEvents = (run: Run, stream: string, events: readonly LineageEvent[]): readonly Sample[] =>
  events
    .filter(({ job }) => job.name === `${run.pipeline}.${stream}`)
    .map(({ eventTime, inputs }) => ({
      at: Date.parse(eventTime),
      read: inputs?.[0]?.inputFacets?.inputStatistics?.rowCount ?? 0,
    }))

/** How fast a stream was over time: from what this page has seen, and from what is stored. */
export const ratesOf = (run: Run, stream: string, events: readonly LineageEvent[]): readonly Rate[] => {
  const found = run.streams.find((one) => one.stream === stream)
  if (found === undefined || found.startedAt === null) return []
  const start = { at: Date.parse(found.startedAt), read: 0 }
  const end = found.endedAt === null ? [] : [{ at: Date.parse(found.endedAt), read: found.read }]
  const all = [start, ...fromEvents(run, stream, events), ...(seen.get(run.id)?.get(stream) ?? []), ...end]
  const rates: Rate[] = []
  let last = start
  const ordered = all.sort((a, b) => a.at - b.at)
  for (const sample of ordered) {
    // Below a quarter of a second a page more or less is the whole rate; but a stream may end sooner.
    const least = sample === ordered.at(-1) ? 1 : 250
    if (sample.at - last.at < least || sample.read < last.read) continue
    rates.push({ from: last.at, to: sample.at, perSecond: ((sample.read - last.read) * 1000) / (sample.at - last.at) })
    last = sample
  }
  return rates
}
