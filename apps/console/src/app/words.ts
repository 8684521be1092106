import type { Pipeline, SchemaChange } from './api.ts'
import { duration } from './format.ts'

/** When a pipeline runs: "by hand", "every 5 min", "0 3 * * * (Europe/Berlin)". */
export const whenOf = ({ schedule, everyMs }: Pick<Pipeline, 'schedule' | 'everyMs'>): string => {
  if (schedule !== null) return `${schedule.cron} (${schedule.timezone})`
  return everyMs === null ? 'by hand' : `every ${duration(everyMs)}`
}

/** "in 12 s", "in 3 min", "in 2 h", "in 5 d"; what has passed is due now. */
export const ahead = (time: string, now: number): string => {
  const seconds = Math.round((Date.parse(time) - now) / 1000)
  if (seconds <= 0) return 'now'
  if (seconds < 60) return `in ${seconds} s`
  if (seconds < 3600) return `in ${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `in ${Math.floor(seconds / 3600)} h`
  return `in ${Math.floor(seconds / 86_400)} d`
}

/** One change of a schema as a sentence without its end. */
export const changeWords = ({ kind, field, before, after }: SchemaChange): string => {
  const from = before === undefined ? '' : ` from ${before}`
  const to = after === undefined ? '' : ` to ${after}`
  const said: Readonly<Record<string, string>> = {
    table_added: 'the stream is new',
    column_added: `column ${field} is new${after === undefined ? '' : ` (${after})`}`,
    column_removed: `column ${field} is gone`,
    type_changed: `column ${field} changed${from}${to}`,
    key_lost: `the primary key changed${from}${to}`,
    cursor_lost: `the cursor changed${from}${to}`,
  }
  return said[kind] ?? `${kind} ${field}`
}
