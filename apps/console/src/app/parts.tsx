import type { HealthStatus, Partner, RunStatus } from './api.ts'
import { duration } from './format.ts'

// A shape besides the colour, for people who do not see the difference.
const marks: Readonly<Record<string, string>> = {
  healthy: '✓',
  completed: '✓',
  degraded: '!',
  unhealthy: '✕',
  failed: '✕',
  passed: '✓',
  warning: '!',
  cancelled: '–',
  unknown: '?',
  running: '▸',
  waiting: '·',
}

/** A status in colour, shape and word. */
export const Status = ({ value }: { readonly value: HealthStatus | RunStatus | 'passed' | 'warning' }) => (
  <span class={`status ${value}`}>
    <i aria-hidden="true">{marks[value]}</i>
    {value}
  </span>
)

const width = 240
const height = 44
/** The last checks: one bar each, as high as it took long, red where it failed. */
export const Sparkline = ({ history }: { readonly history: Partner['history'] }) => {
  if (history.length === 0) return <p class="faint">not checked yet</p>
  const shown = history.slice(-40)
  const times = shown.map((check) => check.latencyMs ?? 0).sort((a, b) => a - b)
  const slowest = Math.max(1, times.at(-1) ?? 0)
  // One slow check must not flatten all others, so the scale ends at three times the median and what is above stands at full height.
  const top = Math.min(slowest, Math.max(1, (times[times.length >> 1] ?? 0) * 3))
  const step = width / 40
  const failures = shown.filter((check) => check.status === 'unhealthy').length
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`The last ${shown.length} checks: ${failures} failed, the slowest took ${duration(slowest)}`}
    >
      {shown.map((check, index) => {
        const failed = check.status === 'unhealthy'
        const tall = failed ? height : Math.max(4, Math.min(1, (check.latencyMs ?? 0) / top) * (height - 4))
        return (
          <rect
            key={check.checkedAt}
            class={check.status}
            x={(40 - shown.length + index) * step}
            y={height - tall}
            width={step - 1.6}
            height={tall}
            rx="1.5"
          >
            <title>{`${check.checkedAt.slice(11, 19)} ${check.status} ${check.latencyMs === null ? '' : duration(check.latencyMs)}`}</title>
          </rect>
        )
      })}
    </svg>
  )
}
