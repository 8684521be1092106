import { refuse } from '@ecokit/connect/writing'

const datePattern = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)$/
const timePattern = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)?$/

const short = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
const daysInMonth = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31

const checkDay = (text: string, year: number, month: number, day: number, sign: string | undefined): void => {
  if (sign === '-000000' || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month))
    refuse(`${text} is not a day of the calendar`)
}
const two = (value: number): string => String(value).padStart(2, '0')
/** Year, month and day as PostgreSQL reads them, for years that it writes otherwise than ISO 8601. */
const dayText = (year: number, month: number, day: number): { readonly date: string; readonly era: string } => ({
  date: `${String(year > 0 ? year : 1 - year).padStart(4, '0')}-${two(month)}-${two(day)}`,
  era: year > 0 ? '' : ' BC',
})
const beyond = (text: string): never => refuse(`${text} is beyond PostgreSQL's range`)
// 4714-11-24 BC, where its calendar begins.
const firstDay = Date.UTC(-4713, 10, 24)

/** A date for PostgreSQL of `YYYY-MM-DD`, `±YYYYYY-MM-DD`, `infinity` or `-infinity`; refuses anything else. */
export const dateForServer = (text: string): string => {
  if (text === 'infinity' || text === '-infinity') return text
  const parts = datePattern.exec(text)
  if (parts === null) return refuse(`not a date as YYYY-MM-DD: ${short(text)}`)
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])]
  checkDay(text, year, month, day, parts[1])
  if (year >= 1 && year <= 9999) return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
  const moment = new Date(0)
  moment.setUTCFullYear(year, month - 1, day)
  if (Number.isNaN(moment.getTime()) ? year < 0 : moment.getTime() < firstDay) return beyond(text)
  const { date, era } = dayText(year, month, day)
  return date + era
}

/** A time for PostgreSQL of an ISO 8601 one; `zone` says whether it must have one or must not. More than six fraction digits that are not zero are refused. */
export const timeForServer = (text: string, zone: boolean): string => {
  if (text === 'infinity' || text === '-infinity') return text
  const parts = timePattern.exec(text)
  if (parts === null) return refuse(`not a time as RFC 3339 writes it: ${short(text)}`)
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])]
  const [hour, minute, second] = [Number(parts[4]), Number(parts[5]), Number(parts[6])]
  checkDay(text, year, month, day, parts[1])
  if (hour > 23 || minute > 59 || second > 59) return refuse(`${text} is not a time of the day`)
  const fraction = parts[7] ?? ''
  if (fraction.length > 6 && /[1-9]/.test(fraction.slice(6))) return refuse(`${text} is finer than microseconds`)
  const offset = parts[8]
  if (zone !== (offset !== undefined)) return refuse(zone ? `${text} has no zone` : `${text} has a zone`)
  let minutes = 0
  if (offset !== undefined && offset.length > 1) {
    const [offsetHour, offsetMinute] = [Number(offset.slice(1, 3)), Number(offset.slice(4))]
    if (offsetHour > 23 || offsetMinute > 59) return refuse(`${text} has no valid zone`)
    minutes = (offset.startsWith('-') ? -1 : 1) * (offsetHour * 60 + offsetMinute)
  }
  // PostgreSQL reads offsets up to 15:59 and years as people count them; what is neither is worked out here.
  if (year >= 1 && year <= 9999 && fraction.length <= 6 && Math.abs(minutes) < 900) return text
  const moment = new Date(0)
  moment.setUTCFullYear(year, month - 1, day)
  moment.setUTCHours(hour, minute - minutes, second)
  if (Number.isNaN(moment.getTime()) || moment.getTime() < firstDay) return beyond(text)
  const { date, era } = dayText(moment.getUTCFullYear(), moment.getUTCMonth() + 1, moment.getUTCDate())
  const clock = `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}:${two(moment.getUTCSeconds())}`
  return `${date} ${clock}${fraction === '' ? '' : `.${fraction.slice(0, 6)}`}${zone ? '+00' : ''}${era}`
}

const serverPattern = /^(\d{4,})-(\d\d)-(\d\d)(?: (\d\d:\d\d:\d\d)(?:\.(\d+))?(\+00)?)?( BC)?$/
// ECMA-262 21.4.1.32.1: years outside 0000 to 9999 have a sign and six digits.
const yearText = (year: number): string =>
  year >= 0 && year <= 9999
    ? String(year).padStart(4, '0')
    : `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`

/** ISO 8601 of what PostgreSQL writes with DateStyle ISO and TimeZone UTC; fraction digits only where they are needed, in groups of three. */
export const timeFromServer = (text: string, zone: '' | 'Z'): string => {
  const parts = serverPattern.exec(text)
  if (parts === null) return text
  const [, digits = '', month = '', day = '', clock, fraction, , era] = parts
  const year = era === undefined ? Number(digits) : 1 - Number(digits)
  const date = `${year >= 0 && year <= 9999 && era === undefined ? digits : yearText(year)}-${month}-${day}`
  if (clock === undefined) return date
  const places = fraction === undefined ? '' : `.${fraction.padEnd(fraction.length > 3 ? 6 : 3, '0')}`
  return `${date}T${clock}${places}${zone}`
}
