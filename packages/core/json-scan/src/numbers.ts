/** A decimal number without an exponent: digits before and behind the point, no leading and no trailing zeros. */
export interface Plain {
  readonly negative: boolean
  readonly whole: string
  readonly fraction: string
}

const longest = 400

/** Writes a JSON number out without its exponent; `large` and `small` where that would take more than some 400 digits. */
export const writeOut = (digits: string): Plain | 'large' | 'small' => {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(digits)
  const negative = parts?.[1] === '-'
  const before = parts?.[2] ?? '0'
  const behind = parts?.[3] ?? ''
  const exponent = Number(parts?.[4] ?? 0)
  let all = before + behind
  if (/^0*$/.test(all)) return { negative, whole: '0', fraction: '' }
  if (Math.abs(exponent) > longest) return exponent > 0 ? 'large' : 'small'
  let point = before.length + exponent
  if (point <= 0) {
    all = '0'.repeat(1 - point) + all
    point = 1
  }
  if (point > all.length) all += '0'.repeat(point - all.length)
  return {
    negative,
    whole: all.slice(0, point).replace(/^0+(?=\d)/, ''),
    fraction: all.slice(point).replace(/0+$/, ''),
  }
}

const instant = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d):(\d\d))$/
const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
/** How many days the month has; 0 where there is none of that number. */
export const daysOf = (year: number, month: number): number =>
  (monthDays[month - 1] ?? 0) + (month === 2 && isLeap(year) ? 1 : 0)

/**
 * An RFC 3339 time as it was written, or in UTC where its offset is beyond 14 hours, which not every database reads; or the reason why it is none.
 * The year 0000 and second 60 are refused: DuckDB and JavaScript disagree on both.
 */
export const readInstant = (
  text: string,
  zoneOnlyZ: boolean,
): { readonly instant: string } | { readonly why: string } => {
  const parts = instant.exec(text)
  if (parts === null) return { why: 'expected a time as RFC 3339 writes it, with a zone' }
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map(Number)
  if (year < 1 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59)
    return { why: 'not a time of the calendar' }
  const [fraction, zulu, sign, offsetHour, offsetMinute] = parts.slice(7)
  if ((fraction ?? '').length > 6) return { why: 'more than six digits of a second' }
  if (zulu !== undefined) return { instant: text }
  if (zoneOnlyZ) return { why: 'expected a time in UTC, with the zone Z' }
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return { why: 'not a time zone' }
  const offset = (sign === '-' ? -1 : 1) * (Number(offsetHour) * 60 + Number(offsetMinute))
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  const moved = new Date(date.getTime() - offset * 60_000)
  if (moved.getUTCFullYear() < 1 || moved.getUTCFullYear() > 9999) return { why: 'beyond the years 1 to 9999 in UTC' }
  if (Number(offsetHour) <= 13) return { instant: text }
  return { instant: `${moved.toISOString().slice(0, 19)}${fraction === undefined ? '' : `.${fraction}`}Z` }
}
