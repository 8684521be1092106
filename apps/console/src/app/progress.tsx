import type { Run, RunStream } from './api.ts'
import { bytes, count } from './format.ts'

const rate = (stream: RunStream, now: number): string => {
  if (stream.startedAt === null) return ''
  const seconds = ((stream.endedAt === null ? now : Date.parse(stream.endedAt)) - Date.parse(stream.startedAt)) / 1000
  return seconds < 0.5 ? '' : `${count(Math.round(stream.read / seconds))} rows/s`
}

/** Streams that are drawn at once. */
const most = 12
/** Those that run first, then those that failed, then the rest in their order. */
const urgency = ({ status }: RunStream): number => (status === 'running' ? 0 : status === 'failed' ? 1 : 2)

/** Each stream of a run as it goes. How many rows are to come nobody knows before the last page, so a running bar shows that it moves, not how far. */
export const Progress = ({ run, now }: { readonly run: Run; readonly now: number }) => {
  const shown = [...run.streams].sort((a, b) => urgency(a) - urgency(b)).slice(0, most)
  const drawn = run.streams.filter((stream) => shown.includes(stream))
  const done = run.streams.filter((stream) => stream.status === 'completed').length
  return (
    <div
      class="progress"
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={run.streams.length}
      aria-valuenow={done}
      aria-label={`${done} of ${run.streams.length} streams done`}
    >
      {drawn.map((stream) => (
        <div key={stream.stream} class={`bar ${stream.status}`}>
          <span>{stream.stream}</span>
          <b />
          <span class="faint">
            {count(stream.read)} rows {bytes(stream.bytes)} {rate(stream, now)}
          </span>
        </div>
      ))}
      {run.streams.length > most && <p class="faint">and {run.streams.length - most} more streams</p>}
    </div>
  )
}
