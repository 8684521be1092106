import type { LineageEvent, Run } from './api.ts'
import { count } from './format.ts'
import { ratesOf, type Rate } from './rates.ts'

const width = 320
const height = 40
/** Streams that are drawn: those with the most rows. */
const most = 12

/** A stepped line over the time of the run, as high as the fastest stretch of all. */
const path = (rates: readonly Rate[], from: number, span: number, top: number): string => {
  const x = (at: number): string => (((at - from) / span) * width).toFixed(1)
  const y = (perSecond: number): string => (height - (perSecond / top) * (height - 3)).toFixed(1)
  const steps = rates.map(({ from: start, to, perSecond }) => `L${x(start)} ${y(perSecond)}H${x(to)}`)
  return `M${x(rates[0]?.from ?? from)} ${height}${steps.join('')}V${height}Z`
}

/** How many rows a second each stream of a run has read, over time. */
export const RatePlots = ({
  run,
  events,
  now,
}: {
  readonly run: Run
  readonly events: readonly LineageEvent[]
  readonly now: number
}) => {
  const plots = [...run.streams]
    .sort((a, b) => b.read - a.read)
    .slice(0, most)
    .map(({ stream }) => ({ stream, rates: ratesOf(run, stream, events) }))
    .filter(({ rates }) => rates.length > 0)
  if (plots.length === 0) return null
  const from = Date.parse(run.startedAt)
  const span = Math.max(1, (run.endedAt === null ? now : Date.parse(run.endedAt)) - from)
  const top = Math.max(1, ...plots.flatMap(({ rates }) => rates.map(({ perSecond }) => perSecond)))
  return (
    <section aria-labelledby="rates">
      <h2 id="rates">
        Rates <span class="faint">rows a second over the time of the run, all to the same scale</span>
      </h2>
      <ul class="plots card">
        {plots.map(({ stream, rates }) => {
          const fastest = Math.max(...rates.map(({ perSecond }) => perSecond))
          return (
            <li key={stream}>
              <span>{stream}</span>
              <svg
                viewBox={`0 0 ${width} ${height}`}
                preserveAspectRatio="none"
                role="img"
                aria-label={`${stream}: at most ${count(Math.round(fastest))} rows a second`}
              >
                <path d={path(rates, from, span, top)} />
              </svg>
              <span class="faint number">{count(Math.round(fastest))} rows/s</span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
