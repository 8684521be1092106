import { refuse } from '@ecokit/connect/writing'

const microsPerDay = 86_400_000_000n
const datePattern = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)$/
const timePattern = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)?$/

// Days from the civil calendar and back, proleptic Gregorian: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
const daysFromCivil = (year: number, month: number, day: number): number => {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}
const civilFromDays = (days: number): string => {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153)
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return `${yearText(year)}-${two(month)}-${two(dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1)}`
}
const two = (value: number): string => String(value).padStart(2, '0')
// ECMA-262 21.4.1.32.1: years outside 0000 to 9999 have a sign and six digits.
const yearText = (year: number): string =>
  year >= 0 && year <= 9999
    ? String(year).padStart(4, '0')
    : `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`

const daysInMonth = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31

const days = (text: string, parts: readonly (string | undefined)[]): number => {
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])]
  if (parts[1] === '-000000' || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month))
    return refuse(`${text} is not a day of the calendar`)
  return daysFromCivil(year, month, day)
}

/** Days since 1970-01-01 of `YYYY-MM-DD`; refuses anything else. */
export const parseDate = (text: string): number => {
  const parts = datePattern.exec(text)
  return parts === null ? refuse(`not a date as YYYY-MM-DD: ${short(text)}`) : days(text, parts)
}

/** Microseconds since 1970 of an ISO 8601 time; `zone` says whether it must have one or must not. More than six fraction digits that are not zero are refused. */
export const parseTime = (text: string, zone: boolean): bigint => {
  const parts = timePattern.exec(text)
  if (parts === null) return refuse(`not a time as RFC 3339 writes it: ${short(text)}`)
  const [hour, minute, second] = [Number(parts[4]), Number(parts[5]), Number(parts[6])]
  if (hour > 23 || minute > 59 || second > 59) return refuse(`${text} is not a time of the day`)
  const fraction = parts[7] ?? ''
  if (/[1-9]/.test(fraction.slice(6))) return refuse(`${text} is finer than microseconds`)
  const offset = parts[8]
  if (zone !== (offset !== undefined)) return refuse(zone ? `${text} has no zone` : `${text} has a zone`)
  let minutes = 0
  if (offset !== undefined && offset.length > 1) {
    const [offsetHour, offsetMinute] = [Number(offset.slice(1, 3)), Number(offset.slice(4))]
    if (offsetHour > 23 || offsetMinute > 59) return refuse(`${text} has no valid zone`)
    minutes = (offset.startsWith('-') ? -1 : 1) * (offsetHour * 60 + offsetMinute)
  }
  const seconds = hour * 3600 + (minute - minutes) * 60 + second
  return (
    BigInt(days(text, parts)) * microsPerDay +
    BigInt(seconds) * 1_000_000n +
    BigInt(fraction.slice(0, 6).padEnd(6, '0'))
  )
}
const short = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

/** `YYYY-MM-DD` of days since 1970-01-01. */
export const formatDate = (value: number): string => civilFromDays(value)

/** ISO 8601 of a count since 1970 in units of 10^-digits seconds; fraction digits only where they are needed, in groups of three. */
export const formatTime = (value: bigint, digits: 0 | 3 | 6 | 9, zone: '' | 'Z'): string => {
  const perSecond = 10n ** BigInt(digits)
  const perDay = 86_400n * perSecond
  const ofDay = ((value % perDay) + perDay) % perDay
  const day = Number((value - ofDay) / perDay)
  const second = Number(ofDay / perSecond)
  const fraction = String(ofDay % perSecond)
    .padStart(digits, '0')
    .replace(/(?:000)+$/, '')
  const clock = `${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}`
  return `${civilFromDays(day)}T${clock}${digits === 0 || fraction === '' ? '' : `.${fraction}`}${zone}`
}
