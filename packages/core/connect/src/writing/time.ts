import { refuse } from './refused.ts'

const datePattern = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)$/
const timePattern = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)?$/

/** A day of the proleptic Gregorian calendar; months and days count from 1, and the year 0 is there. */
export interface Day {
  readonly year: number
  readonly month: number
  readonly day: number
}
/** A time of a day as it was written. */
export interface Moment extends Day {
  readonly hour: number
  readonly minute: number
  readonly second: number
  /** The digits of the fraction as they were written; those behind the sixth are zeros. */
  readonly fraction: string
  /** How far its zone is ahead of UTC, in minutes; 0 where it has none. */
  readonly offset: number
}

const short = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
const daysInMonth = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31
const dayIn = (text: string, parts: readonly (string | undefined)[]): Day => {
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])]
  return parts[1] === '-000000' || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)
    ? refuse(`${text} is not a day of the calendar`)
    : { year, month, day }
}

/** Reads `YYYY-MM-DD` or `±YYYYYY-MM-DD` (ECMA-262 21.4.1.32.1); refuses anything else. */
export const readDay = (text: string): Day => {
  const parts = datePattern.exec(text)
  return parts === null ? refuse(`not a date as YYYY-MM-DD: ${short(text)}`) : dayIn(text, parts)
}

/** Reads an ISO 8601 time; `zone` says whether it must have one or must not. Refuses anything else, and what is finer than microseconds. */
export const readMoment = (text: string, zone: boolean): Moment => {
  const parts = timePattern.exec(text)
  if (parts === null) return refuse(`not a time as RFC 3339 writes it: ${short(text)}`)
  const [hour, minute, second] = [Number(parts[4]), Number(parts[5]), Number(parts[6])]
  if (hour > 23 || minute > 59 || second > 59) return refuse(`${text} is not a time of the day`)
  const fraction = parts[7] ?? ''
  if (/[1-9]/.test(fraction.slice(6))) return refuse(`${text} is finer than microseconds`)
  const written = parts[8]
  if (zone !== (written !== undefined)) return refuse(zone ? `${text} has no zone` : `${text} has a zone`)
  let offset = 0
  if (written !== undefined && written.length > 1) {
    const [hours, minutes] = [Number(written.slice(1, 3)), Number(written.slice(4))]
    if (hours > 23 || minutes > 59) return refuse(`${text} has no valid zone`)
    offset = (written.startsWith('-') ? -1 : 1) * (hours * 60 + minutes)
  }
  return { ...dayIn(text, parts), hour, minute, second, fraction, offset }
}

/** A year as ECMA-262 21.4.1.32.1 writes it: outside 0000 to 9999 with a sign and six digits. */
export const yearText = (year: number): string =>
  year >= 0 && year <= 9999
    ? String(year).padStart(4, '0')
    : `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`
