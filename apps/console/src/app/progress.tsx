import type { Run, RunStream } from './api.ts'
import { count } from './format.ts'

const rate = (stream: RunStream, now: number): string => {
  if (stream.startedAt === null) return ''
  const seconds = ((stream.endedAt === null ? now : Date.parse(stream.endedAt)) - Date.parse(stream.startedAt)) / 1000
  return seconds < 0.5 ? '' : `${count(Math.round(stream.read / seconds))} rows/s`
}

/** Each stream of a run as it goes. How many rows are to come nobody knows before the last page, so a running bar shows that it moves, not how far. */
export const Progress = ({ run, now }: { readonly run: Run; readonly now: number }) => {
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
      {run.streams.map((stream) => (
        <div key={stream.stream} class={`bar ${stream.status}`}>
          <span>{stream.stream}</span>
          <b />
          <span class="faint">
            {count(stream.read)} rows {rate(stream, now)}
          </span>
        </div>
      ))}
    </div>
  )
}
