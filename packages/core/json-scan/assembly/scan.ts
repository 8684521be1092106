// The fast lane: proves records plain by a program of 32-bit words that src/program.ts writes. Compiled by AssemblyScript; the rules are those of src/prove.ts, its oracle.
// Words of the program:
//   0 END | 1 LITERAL length pointer | 2 KEY length pointer pointer jump (with and without the comma; length with it) | 3 OPEN | 4 CLOSE | 5 NULLABLE jump
//   6 TEXT | 7 TEXT_CHECKED min max patterns (id)* | 8 CHOICE count (length pointer)* | 9 INTEGER most low high | 10 DOUBLE | 11 DOUBLE_BOUNDED min max above below
//   12 DECIMAL whole scale | 13 BOOLEAN | 14 INSTANT onlyZ | 15 LIST min max jump | 16 MAP jump | 17 NEVER
// A jump is the address of the word that follows what it belongs to.

import { escaped, isDigit, powers, same, textEnd, two } from './shared'

@external('env', 'matches')
declare function matches(pattern: i32, start: i32, end: i32): i32

/** How many records the last call proved. */
export let rows: i32 = 0

let keys: i32 = 0
let first: bool = true
let digits: i32 = 0

/** Room for the keys of maps. */
export function prepareScan(scratch: i32): void {
  keys = scratch
}

function codePoints(at: i32, end: i32): i32 {
  let count = 0
  for (; at < end; at++) if ((load<u8>(at) & 0xc0) != 0x80) count++
  return count
}

function integer(at: i32, most: i32, low: f64, high: f64): i32 {
  let code = <i32>load<u8>(at)
  const negative = code == 45
  if (negative) code = load<u8>(++at)
  const start = at
  let value: i64 = 0
  if (code == 48) {
    if (negative) return -1
    code = load<u8>(++at)
    if (isDigit(code)) return -1
  } else {
    if (!isDigit(code)) return -1
    do {
      value = value * 10 + (code - 48)
      code = load<u8>(++at)
    } while (isDigit(code))
  }
  if (at - start > most || code == 46 || code == 101 || code == 69) return -1
  if (most == 15) {
    const number = <f64>(negative ? -value : value)
    if (number < low || number > high) return -1
  }
  return at
}

/** Behind a number, its value in `number` where it has at most 15 digits and no exponent (`digits` says so by not being above 15). */
let number: f64 = 0
function double(at: i32): i32 {
  let code = <i32>load<u8>(at)
  const negative = code == 45
  if (negative) code = load<u8>(++at)
  let start = at
  let value: i64 = 0
  let zero = true
  if (code == 48) {
    code = load<u8>(++at)
    if (isDigit(code)) return -1
  } else {
    if (!isDigit(code)) return -1
    zero = false
    do {
      value = value * 10 + (code - 48)
      code = load<u8>(++at)
    } while (isDigit(code))
  }
  digits = at - start
  let behind = 0
  if (code == 46) {
    start = ++at
    code = load<u8>(at)
    if (!isDigit(code)) return -1
    do {
      if (code != 48) zero = false
      value = value * 10 + (code - 48)
      code = load<u8>(++at)
    } while (isDigit(code))
    behind = at - start
    digits += behind
  }
  if (digits > 40 || (zero && negative)) return -1
  if (code == 101 || code == 69) {
    code = load<u8>(++at)
    if (code == 43 || code == 45) code = load<u8>(++at)
    if (!isDigit(code)) return -1
    let exponent = 0
    do {
      exponent = min(9999, exponent * 10 + (code - 48))
      code = load<u8>(++at)
    } while (isDigit(code))
    if (exponent > 250) return -1
    digits = 99
    return at
  }
  if (digits <= 15) {
    number = <f64>value
    if (behind) number /= load<f64>(powers + (behind << 3))
    if (negative) number = -number
  }
  return at
}

function decimal(at: i32, whole: i32, scale: i32): i32 {
  const start = load<u8>(at) == 45 ? at + 1 : at
  const end = double(at)
  if (end < 0 || digits > 15) return -1
  let point = start
  while (point < end && load<u8>(point) != 46) point++
  const before = point - start
  const behind = max(0, end - point - 1)
  return behind > scale || (before > whole && !(before == 1 && load<u8>(start) == 48)) ? -1 : end
}

function instant(at: i32, onlyZ: i32): i32 {
  if (load<u8>(at) != 34 || load<u8>(at + 5) != 45 || load<u8>(at + 8) != 45 || load<u8>(at + 11) != 84) return -1
  if (load<u8>(at + 14) != 58 || load<u8>(at + 17) != 58) return -1
  const century = two(at + 1)
  const rest = two(at + 3)
  const month = two(at + 6)
  const day = two(at + 9)
  const hour = two(at + 12)
  const minute = two(at + 15)
  const second = two(at + 18)
  if ((century | rest | month | day | hour | minute | second) < 0) return -1
  const year = century * 100 + rest
  if (year < 2 || year > 9998 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return -1
  if (day > 28) {
    const leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    const days = month == 2 ? (leap ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31
    if (day > days) return -1
  }
  at += 20
  if (load<u8>(at) == 46) {
    const start = ++at
    while (isDigit(load<u8>(at))) at++
    if (at == start || at - start > 6) return -1
  }
  const zone = load<u8>(at)
  if (zone == 90) at++
  else {
    if (onlyZ || (zone != 43 && zone != 45)) return -1
    const offset = two(at + 1)
    const minutes = two(at + 4)
    if (offset < 0 || offset > 13 || minutes < 0 || minutes > 59 || load<u8>(at + 3) != 58) return -1
    at += 6
  }
  return load<u8>(at) == 34 ? at + 1 : -1
}

function map(program: i32, at: i32): i32 {
  if (load<u8>(at) != 123) return -1
  if (load<u8>(at + 1) == 125) return at + 2
  const mine = keys
  let count = 0
  let result = -1
  while (true) {
    const start = at + 1
    if (load<u8>(start) != 34) break
    const end = textEnd(start + 1, 1)
    if (end < 0 || escaped || load<u8>(end) != 58 || count == 64) break
    const length = end - start
    let twice = false
    for (let index = 0; index < count; index++) {
      const key = mine + (index << 3)
      if (load<i32>(key, 4) == length && memory.compare(load<i32>(key), start, length) == 0) {
        twice = true
        break
      }
    }
    if (twice) break
    store<i32>(mine + (count << 3), start)
    store<i32>(mine + (count << 3), length, 4)
    count++
    // A map within this one has its keys behind mine; deeper ones than the room allows are left to the object road.
    keys = mine + (count << 3)
    at = run(program, end + 1)
    if (at < 0) break
    const code = load<u8>(at)
    if (code == 44) continue
    if (code == 125) result = at + 1
    break
  }
  keys = mine
  return result
}

function run(program: i32, at: i32): i32 {
  while (true) {
    const op = load<i32>(program)
    switch (op) {
      case 0:
        return at
      case 1: {
        const length = load<i32>(program, 4)
        if (!same(at, load<i32>(program, 8), length)) return -1
        at += length
        program += 12
        break
      }
      case 2: {
        // The literal holds the comma, which the first field of an object does without.
        const skip = first ? 1 : 0
        const length = load<i32>(program, 4) - skip
        if (!same(at, first ? load<i32>(program, 12) : load<i32>(program, 8), length)) {
          program = load<i32>(program, 16)
          if (!program) return -1
        } else {
          at += length
          first = false
          program += 20
        }
        break
      }
      case 3:
        if (load<u8>(at++) != 123) return -1
        first = true
        program += 4
        break
      case 4:
        if (load<u8>(at++) != 125) return -1
        first = false
        program += 4
        break
      case 5:
        if (load<u32>(at) == 0x6c6c756e) {
          at += 4
          program = load<i32>(program, 4)
        } else program += 8
        break
      case 6:
        if (load<u8>(at) != 34) return -1
        at = textEnd(at + 1, 1)
        if (at < 0) return -1
        program += 4
        break
      case 7: {
        if (load<u8>(at) != 34) return -1
        const start = at + 1
        at = textEnd(start, 1)
        if (at < 0 || escaped) return -1
        const shortest = load<i32>(program, 4)
        const longest = load<i32>(program, 8)
        if (shortest > 0 || longest >= 0) {
          const length = codePoints(start, at - 1)
          if (length < shortest || (longest >= 0 && length > longest)) return -1
        }
        const patterns = load<i32>(program, 12)
        program += 16
        const behind = program + (patterns << 2)
        for (; program < behind; program += 4) if (!matches(load<i32>(program), start, at - 1)) return -1
        break
      }
      case 8: {
        const behind = program + 8 + (load<i32>(program, 4) << 3)
        let hit = 0
        for (program += 8; program < behind; program += 8) {
          const length = load<i32>(program)
          if (same(at, load<i32>(program, 4), length)) {
            hit = length
            break
          }
        }
        if (!hit) return -1
        at += hit
        program = behind
        break
      }
      case 9:
        at = integer(at, load<i32>(program, 4), load<f64>(program, 8), load<f64>(program, 16))
        if (at < 0) return -1
        program += 24
        break
      case 10:
        at = double(at)
        if (at < 0) return -1
        program += 4
        break
      case 11:
        at = double(at)
        if (at < 0 || digits > 15) return -1
        if (number < load<f64>(program, 4) || number > load<f64>(program, 12)) return -1
        if (number <= load<f64>(program, 20) || number >= load<f64>(program, 28)) return -1
        program += 36
        break
      case 12:
        at = decimal(at, load<i32>(program, 4), load<i32>(program, 8))
        if (at < 0) return -1
        program += 12
        break
      case 13:
        if (load<u32>(at) == 0x65757274) at += 4
        else if (load<u32>(at) == 0x736c6166 && load<u8>(at + 4) == 101) at += 5
        else return -1
        program += 4
        break
      case 14:
        at = instant(at, load<i32>(program, 4))
        if (at < 0) return -1
        program += 8
        break
      case 15: {
        if (load<u8>(at) != 91) return -1
        let count = 0
        if (load<u8>(at + 1) == 93) at++
        else {
          do {
            at = run(program + 16, at + 1)
            if (at < 0) return -1
            count++
          } while (load<u8>(at) == 44)
          if (load<u8>(at) != 93) return -1
        }
        const longest = load<i32>(program, 8)
        if (count < load<i32>(program, 4) || (longest >= 0 && count > longest)) return -1
        at++
        program = load<i32>(program, 12)
        break
      }
      case 16:
        at = map(program + 8, at)
        if (at < 0) return -1
        program = load<i32>(program, 4)
        break
      default:
        return -1
    }
  }
}

/** Proves record after record from `at`, and writes a line end over each comma. Gives the place of the closing bracket, or -1 minus the place of the first record that it cannot prove. */
export function scan(program: i32, at: i32): i32 {
  rows = 0
  while (true) {
    first = true
    const end = run(program, at)
    if (end < 0) return -1 - at
    const code = load<u8>(end)
    if (code == 93) {
      rows++
      return end
    }
    if (code != 44) return -1 - at
    rows++
    store<u8>(end, 10)
    at = end + 1
  }
}

/** The same for lines, which a line feed ends, or the end of the bytes. Gives the end, or -1 minus the place of the first line that it cannot prove. */
export function scanLines(program: i32, at: i32, stop: i32): i32 {
  rows = 0
  while (at < stop) {
    first = true
    const end = run(program, at)
    if (end < 0 || end > stop || (end < stop && load<u8>(end) != 10)) return -1 - at
    rows++
    at = end + 1
  }
  return stop
}
