import { readDay, readMoment, refuse, yearText } from '@ecokit/connect/writing'

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
  const { year, month, day } = readDay(text)
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
  const { year, month, day, hour, minute, second, fraction, offset } = readMoment(text, zone)
  // PostgreSQL reads offsets up to 15:59 and years as people count them; what is neither is worked out here.
  if (year >= 1 && year <= 9999 && fraction.length <= 6 && Math.abs(offset) < 900) return text
  const moment = new Date(0)
  moment.setUTCFullYear(year, month - 1, day)
  moment.setUTCHours(hour, minute - offset, second)
  if (Number.isNaN(moment.getTime()) || moment.getTime() < firstDay) return beyond(text)
  const { date, era } = dayText(moment.getUTCFullYear(), moment.getUTCMonth() + 1, moment.getUTCDate())
  const clock = `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}:${two(moment.getUTCSeconds())}`
  return `${date} ${clock}${fraction === '' ? '' : `.${fraction.slice(0, 6)}`}${zone ? '+00' : ''}${era}`
}

const serverPattern = /^(\d{4,})-(\d\d)-(\d\d)(?: (\d\d:\d\d:\d\d)(?:\.(\d+))?(\+00)?)?( BC)?$/
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
