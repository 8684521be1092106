import type { Progress } from '@ecokit/flow'
import { runShade } from './health.ts'
import type { Terminal } from './terminal.ts'
import { count, cut, duration, size } from './text.ts'

/** Shows how far a run is: redrawn lines with a bar on a terminal, one line for each change in a pipe. */
export interface ProgressView {
  /** Says how many streams there will be. */
  plan(streams: number): void
  show(progress: Progress): void
  /** Leaves what is shown as it is and writes no more. */
  end(): void
}

/** Milliseconds between two lines about the same stream in a pipe. */
const pipeEveryMs = 5_000
const barCells = 20

interface Line extends Progress {
  readonly since: number
  /** When it was last told of: what has ended grows no slower with time. */
  readonly at: number
}

/** Opens the view; it writes to `note`, so that results alone go to `out`. */
export const openProgress = (
  terminal: Terminal,
  {
    now = () => performance.now(),
    rows = () => process.stderr.rows || 24,
  }: { readonly now?: () => number; readonly rows?: () => number } = {},
): ProgressView => {
  const lines = new Map<string, Line>()
  const { paintNote: paint } = terminal
  const told = new Map<string, { at: number; status: string }>()
  let drawn = 0
  let streams = 0

  const describe = (line: Line): string => {
    const { stream, status, mode, read, written, quarantined, bytes, since, at } = line
    const seconds = ((status === 'running' ? now() : at) - since) / 1000
    const rate = seconds > 0.5 ? `  ${count(Math.round(read / seconds))} rows/s` : ''
    const aside = quarantined === 0 ? '' : `  ${count(quarantined)} quarantined`
    return `${stream}: ${status === 'running' ? mode : status}  ${count(read)} read  ${count(written)} written${aside}  ${size(bytes)}${rate}${left(line)}`
  }
  /** By the pass before: this one may well be longer, and then nothing is said any more. */
  const left = ({ read, expected, leftMs }: Line): string =>
    expected === undefined || leftMs === undefined
      ? ''
      : `  ${Math.floor((read / expected) * 100)} %, about ${duration(leftMs)} left`
  /** As many as the terminal has lines: a cursor does not go up beyond the first. Those that run, and before them those that ended last. */
  const shown = (): readonly Line[] => {
    const all = [...lines.values()]
    const running = all.filter(({ status }) => status === 'running')
    const ended = all.filter(({ status }) => status !== 'running')
    const room = Math.max(1, rows() - 3)
    if (all.length <= room) return all
    return [...ended.slice(running.length >= room ? ended.length : running.length - room), ...running.slice(-room)]
  }
  const draw = () => {
    const done = [...lines.values()].filter(({ status }) => status !== 'running' && status !== 'waiting').length
    const filled = streams === 0 ? 0 : Math.round((done / streams) * barCells)
    const bar = `${'█'.repeat(filled)}${'░'.repeat(barCells - filled)}  ${done}/${streams} streams`
    const width = (process.stderr.columns || 80) - 3
    const texts = shown().map((line) => {
      const mark = { running: '▸', completed: '✓', failed: '✗', cancelled: '–', waiting: ' ' }[line.status]
      return `${paint(runShade[line.status] ?? 'dim', mark)} ${cut(describe(line), width)}`
    })
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`
    terminal.note(`${up}${[...texts, bar].map((text) => `\u001b[2K${text}\n`).join('')}`)
    drawn = texts.length + 1
  }
  return {
    plan: (count) => {
      streams = count
    },
    show: (progress) => {
      const { stream, status } = progress
      const before = lines.get(stream)
      lines.set(stream, { ...progress, since: before?.since ?? now(), at: now() })
      if (terminal.live) {
        draw()
        return
      }
      const last = told.get(stream)
      if (last?.status === status && now() - last.at < pipeEveryMs) return
      told.set(stream, { at: now(), status })
      const line = lines.get(stream)
      if (line !== undefined) terminal.note(`${describe(line)}\n`)
    },
    end: () => {
      drawn = 0
    },
  }
}
