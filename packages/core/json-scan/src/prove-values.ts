import type { Form } from './form.ts'
import { daysOf } from './numbers.ts'
import type { Prove } from './prove.ts'

const quote = 34
/** Of a byte, or of what stands behind the last one. */
export const isDigit = (code: number | undefined): boolean => code !== undefined && code >= 48 && code <= 57

export const proveInteger = ({ minimum, maximum }: Extract<Form, { kind: 'integer' }>): Prove => {
  const low = minimum === undefined ? -Infinity : Number(minimum)
  const high = maximum === undefined ? Infinity : Number(maximum)
  // A bound is compared as a double, which 15 digits fit into exactly.
  const most = minimum === undefined && maximum === undefined ? 18 : 15
  return (bytes, at) => {
    const negative = bytes[at] === 45
    let index = negative ? at + 1 : at
    const start = index
    let value = 0
    if (bytes[index] === 48) {
      if (negative) return -1
      index++
    } else while (isDigit(bytes[index])) value = value * 10 + ((bytes[index++] ?? 0) - 48)
    const digits = index - start
    const next = bytes[index]
    if (digits === 0 || digits > most || isDigit(next) || next === 46 || next === 101 || next === 69) return -1
    if (negative) value = -value
    return value < low || value > high ? -1 : index
  }
}

/** Behind the number, or -1 where it is none; `digits` and `exponent` tell how exact it is. */
const numberEnd = (
  bytes: Uint8Array,
  at: number,
  seen: { digits: number; zero: boolean; exponent: number },
): number => {
  let index = bytes[at] === 45 ? at + 1 : at
  let zero = true
  let digits = 0
  if (bytes[index] === 48) {
    index++
    digits = 1
    if (isDigit(bytes[index])) return -1
  } else
    while (isDigit(bytes[index])) {
      index++
      digits++
      zero = false
    }
  if (digits === 0) return -1
  if (bytes[index] === 46) {
    const start = ++index
    while (isDigit(bytes[index])) if (bytes[index++] !== 48) zero = false
    if (index === start) return -1
    digits += index - start
  }
  let exponent = 0
  if (bytes[index] === 101 || bytes[index] === 69) {
    index++
    if (bytes[index] === 43 || bytes[index] === 45) index++
    const start = index
    while (isDigit(bytes[index])) exponent = Math.min(9999, exponent * 10 + ((bytes[index++] ?? 0) - 48))
    if (index === start) return -1
  }
  seen.digits = digits
  seen.zero = zero
  seen.exponent = exponent
  return index
}

export const proveDouble = (form: Extract<Form, { kind: 'double' }>): Prove => {
  const { minimum = -Infinity, maximum = Infinity, above = -Infinity, below = Infinity } = form
  const bounded = minimum > -Infinity || maximum < Infinity || above > -Infinity || below < Infinity
  const seen = { digits: 0, zero: false, exponent: 0 }
  return (bytes, at) => {
    const end = numberEnd(bytes, at, seen)
    // -0, and what is near the ends of the range, is left to the object road.
    if (end < 0 || (seen.zero && bytes[at] === 45) || seen.digits > 40 || seen.exponent > 250) return -1
    if (!bounded) return end
    const value = Number(Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('latin1'))
    return value < minimum || value > maximum || value <= above || value >= below ? -1 : end
  }
}

export const proveDecimal = ({ precision, scale }: Extract<Form, { kind: 'decimal' }>): Prove => {
  const seen = { digits: 0, zero: false, exponent: 0 }
  return (bytes, at) => {
    const end = numberEnd(bytes, at, seen)
    if (end < 0 || (seen.zero && bytes[at] === 45) || seen.digits > 15) return -1
    const start = bytes[at] === 45 ? at + 1 : at
    let point = end
    for (let index = start; index < end; index++) {
      const code = bytes[index]
      if (code === 101 || code === 69) return -1
      if (code === 46) point = index
    }
    const whole = point - start
    const behind = Math.max(0, end - point - 1)
    return behind > scale || (whole > precision - scale && !(whole === 1 && bytes[start] === 48)) ? -1 : end
  }
}

const two = (bytes: Uint8Array, at: number): number => {
  const tens = bytes[at] ?? 0
  const ones = bytes[at + 1] ?? 0
  return isDigit(tens) && isDigit(ones) ? tens * 10 + ones - 528 : -1
}
export const proveInstant =
  ({ zoneOnlyZ }: Extract<Form, { kind: 'timestamp' }>): Prove =>
  (bytes, at) => {
    if (bytes[at] !== quote || bytes[at + 5] !== 45 || bytes[at + 8] !== 45 || bytes[at + 11] !== 84) return -1
    if (bytes[at + 14] !== 58 || bytes[at + 17] !== 58) return -1
    const century = two(bytes, at + 1)
    const rest = two(bytes, at + 3)
    const month = two(bytes, at + 6)
    const day = two(bytes, at + 9)
    const hour = two(bytes, at + 12)
    const minute = two(bytes, at + 15)
    const second = two(bytes, at + 18)
    if (century < 0 || rest < 0 || hour < 0 || minute < 0 || second < 0) return -1
    const year = century * 100 + rest
    // The first and the last year are the object road's: an offset may lead out of them.
    if (year < 2 || year > 9998 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
      return -1
    if (day > daysOf(year, month)) return -1
    let index = at + 20
    if (bytes[index] === 46) {
      const start = ++index
      while (isDigit(bytes[index])) index++
      if (index === start || index - start > 6) return -1
    }
    if (bytes[index] === 90) index++
    else {
      if (zoneOnlyZ === true || (bytes[index] !== 43 && bytes[index] !== 45)) return -1
      const offset = two(bytes, index + 1)
      const minutes = two(bytes, index + 4)
      if (offset < 0 || offset > 13 || minutes < 0 || minutes > 59 || bytes[index + 3] !== 58) return -1
      index += 6
    }
    return bytes[index] === quote ? index + 1 : -1
  }
