/** "12 s ago", "3 min ago", "2 h ago", "5 d ago". */
export const ago = (time: string, now: number): string => {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000))
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

/** Milliseconds as people say them: "850 ms", "12.3 s", "4 min 5 s", "24 h". */
export const duration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor(ms / 60_000) % 60, 'min'],
    [ms < 3_600_000 ? Math.floor(ms / 1000) % 60 : 0, 's'],
  ]
  return parts.flatMap(([amount, unit]) => (amount === 0 ? [] : [`${amount} ${unit}`])).join(' ')
}

export const count = (value: number): string => value.toLocaleString('en')

export const bytes = (value: number): string =>
  value < 1024
    ? `${value} B`
    : value < 1024 ** 2
      ? `${(value / 1024).toFixed(1)} kB`
      : `${(value / 1024 ** 2).toFixed(1)} MB`

/** A cell of a table: numbers short, times readable, objects as JSON. */
export const cell = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)))
  if (typeof value === 'string') return /^\d{4}-\d{2}-\d{2}T/.test(value) ? value.slice(0, 19).replace('T', ' ') : value
  return JSON.stringify(value)
}

const lowerIsBetter = /loss|error|mse|mae|rmse|mape|perplexity|latency|duration|_time|time_/i
/** Whether the best value of a metric is its smallest, judged by its name. */
export const smallestIsBest = (metric: string): boolean => lowerIsBetter.test(metric)
