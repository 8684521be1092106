// Decimal digits to the nearest double, exactly as Number() does it: D. Lemire, "Number Parsing at a Gigabyte per Second" (2021), and W. Clinger's short way for few digits.
import { isDigit, powers } from './shared'

@external('env', 'toNumber')
declare function toNumber(start: i32, end: i32): f64

/** 128 bits of 5^q for q from -342 to 308, the upper half first. */
let fives: i32 = 0
export function prepareNumbers(at: i32): void {
  fives = at
}

/** The value that `double` read. */
export let number: f64 = 0

let low: u64 = 0
/** The upper half of a product; the lower one is left in `low`. */
export function multiply(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff
  const a1 = a >> 32
  const b0 = b & 0xffffffff
  const b1 = b >> 32
  const first = a0 * b0
  const second = a1 * b0 + (first >> 32)
  const third = a0 * b1 + (second & 0xffffffff)
  low = (third << 32) | (first & 0xffffffff)
  return a1 * b1 + (second >> 32) + (third >> 32)
}
export function lowerHalf(): u64 {
  return low
}

/** The bits of the double nearest to w * 10^q; all ones where this way cannot tell. */
function nearest(w: u64, q: i32): u64 {
  if (w == 0 || q < -342) return 0
  if (q > 308) return 0x7ff0000000000000
  const zeros = <i32>clz(w)
  w <<= zeros
  const five = fives + ((q + 342) << 4)
  let high = multiply(w, load<u64>(five))
  let rest = low
  if ((high & 0x1ff) == 0x1ff) {
    const more = multiply(w, load<u64>(five, 8))
    rest += more
    if (more > rest) high++
  }
  if (rest == 0xffffffffffffffff && (q < -27 || q > 55)) return 0xffffffffffffffff
  const upper = <i32>(high >> 63)
  let mantissa = high >> (upper + 9)
  let power = ((217706 * q) >> 16) + 63 + upper - zeros + 1023
  if (power <= 0) {
    if (1 - power >= 64) return 0
    mantissa >>= 1 - power
    mantissa += mantissa & 1
    mantissa >>= 1
    // What was rounded up to the smallest normal number has its power in the bits already.
    return mantissa
  }
  if (rest <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 && mantissa << (upper + 9) == high) mantissa &= ~1
  mantissa += mantissa & 1
  mantissa >>= 1
  if (mantissa >= 0x20000000000000) {
    mantissa = 0x10000000000000
    power++
  }
  if (power >= 0x7ff) return 0x7ff0000000000000
  return (mantissa & 0xfffffffffffff) | (<u64>power << 52)
}

/** Behind the number at `at`, its value in `number`; -1 where it is none, or not finite. */
export function double(at: i32): i32 {
  const start = at
  let code = <i32>load<u8>(at)
  const negative = code == 45
  if (negative) code = load<u8>(++at)
  let w: u64 = 0
  let digits = 0
  let power = 0
  let lost = false
  const whole = at
  while (isDigit(code)) {
    if (digits < 19) {
      w = w * 10 + (code - 48)
      if (w) digits++
    } else {
      power++
      if (code != 48) lost = true
    }
    code = load<u8>(++at)
  }
  if (at == whole || (load<u8>(whole) == 48 && at > whole + 1)) return -1
  if (code == 46) {
    const behind = ++at
    code = load<u8>(at)
    while (isDigit(code)) {
      if (digits < 19) {
        w = w * 10 + (code - 48)
        if (w) digits++
        power--
      } else if (code != 48) lost = true
      code = load<u8>(++at)
    }
    if (at == behind) return -1
  }
  if (code == 101 || code == 69) {
    code = load<u8>(++at)
    const down = code == 45
    if (down || code == 43) code = load<u8>(++at)
    const digit = at
    let exponent = 0
    while (isDigit(code)) {
      exponent = min(99999, exponent * 10 + (code - 48))
      code = load<u8>(++at)
    }
    if (at == digit) return -1
    power += down ? -exponent : exponent
  }
  if (!lost && w <= 0x1fffffffffffff && power >= -22 && power <= 22) {
    number = <f64>w
    if (power < 0) number /= load<f64>(powers + (-power << 3))
    else if (power) number *= load<f64>(powers + (power << 3))
    if (negative) number = -number
    return at
  }
  let bits = nearest(w, power)
  if (bits == 0xffffffffffffffff || (lost && nearest(w + 1, power) != bits)) number = toNumber(start, at)
  else number = reinterpret<f64>(negative ? bits | 0x8000000000000000 : bits)
  return isFinite(number) ? at : -1
}
