import { readDay, readMoment, yearText } from '@ecokit/connect/writing'

const microsPerDay = 86_400_000_000n

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
/** Days since 1970-01-01 of `YYYY-MM-DD`; refuses anything else. */
export const parseDate = (text: string): number => {
  const { year, month, day } = readDay(text)
  return daysFromCivil(year, month, day)
}

/** Microseconds since 1970 of an ISO 8601 time; `zone` says whether it must have one or must not. */
export const parseTime = (text: string, zone: boolean): bigint => {
  const { year, month, day, hour, minute, second, fraction, offset } = readMoment(text, zone)
  return (
    BigInt(daysFromCivil(year, month, day)) * microsPerDay +
    BigInt(hour * 3600 + (minute - offset) * 60 + second) * 1_000_000n +
    BigInt(fraction.slice(0, 6).padEnd(6, '0'))
  )
}

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
