import type { Run, RunStream } from './api.ts'
import { bytes, count, duration } from './format.ts'

const rate = (stream: RunStream, now: number): string => {
  if (stream.startedAt === null) return ''
  const seconds = ((stream.endedAt === null ? now : Date.parse(stream.endedAt)) - Date.parse(stream.startedAt)) / 1000
  return seconds < 0.5 ? '' : `${count(Math.round(stream.read / seconds))} rows/s`
}

/** How much of what is expected a stream that runs has read; undefined where nobody knows, as of a pass over what is new, and of one that is longer than the one before. */
export const percentOf = ({ status, read, expected }: RunStream): number | undefined =>
  status !== 'running' || expected === undefined || read >= expected ? undefined : Math.floor((read / expected) * 100)

/** "42 %, about 3 min 5 s left"; nothing where nobody knows. */
export const leftOf = (stream: RunStream): string => {
  const percent = percentOf(stream)
  if (percent === undefined) return ''
  const { leftMs } = stream
  if (leftMs === undefined) return `${percent} %`
  return `${percent} %, about ${duration(Math.max(1, Math.round(leftMs / 1000)) * 1000)} left`
}

/** Streams that are drawn at once. */
const most = 12
/** Those that run first, then those that failed, then the rest in their order. */
const urgency = ({ status }: RunStream): number => (status === 'running' ? 0 : status === 'failed' ? 1 : 2)

const Bar = ({ stream, now }: { readonly stream: RunStream; readonly now: number }) => {
  const percent = percentOf(stream)
  const left = leftOf(stream)
  const { status } = stream
  return (
    <div class={`bar ${status} ${percent === undefined ? '' : 'known'}`}>
      <span>{stream.stream}</span>
      <b
        role="progressbar"
        aria-label={stream.stream}
        aria-valuetext={left === '' ? `${status}, ${count(stream.read)} rows` : left}
        {...(percent !== undefined && { 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': percent })}
      >
        {percent !== undefined && <i style={{ width: `${percent}%` }} />}
      </b>
      <span class="faint">
        {[`${count(stream.read)} rows`, bytes(stream.bytes), rate(stream, now), left]
          .filter((text) => text !== '')
          .join(' · ')}
      </span>
    </div>
  )
}

/** Each stream of a run as it goes. A bar fills where the pass before says how many rows are to come; elsewhere it shows that the stream moves, not how far it is. */
export const Progress = ({ run, now }: { readonly run: Run; readonly now: number }) => {
  const shown = [...run.streams].sort((a, b) => urgency(a) - urgency(b)).slice(0, most)
  const drawn = run.streams.filter((stream) => shown.includes(stream))
  const done = run.streams.filter((stream) => stream.status === 'completed').length
  return (
    <div class="progress" role="group" aria-label={`${done} of ${run.streams.length} streams done`}>
      {drawn.map((stream) => (
        <Bar key={stream.stream} stream={stream} now={now} />
      ))}
      {run.streams.length > most && <p class="faint">and {run.streams.length - most} more streams</p>}
    </div>
  )
}
