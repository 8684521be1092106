// The filler: reads proven lines into the buffers of columns, by a table of fields that src/fill-layout.ts writes. Compiled by AssemblyScript into the same module as the scanner; its oracle is src/fill-plain.ts.
// A field is 64 bytes: 0 its key with the comma before it, 4 the length of that, 8 its key without, 12 kind, 16 whether it may be null (1) or missing (2), 20 data, 24 validity, 28 blob, 32 bytes in the blob, 36 digits before the point, 40 digits behind it, 44 bytes of a value, 48 bytes of the fields within it, which follow it, 52 whether the chunk holds a null of it.
import { double, lowerHalf, multiply, number } from './number'
import { escaped, hexAt, isDigit, same, textEnd, two } from './shared'

const chunkRows: i32 = 2048
const deepest: i32 = 512

/** How many rows the last call filled. */
export let filled: i32 = 0
/** How many long texts it found; each is four words: field, row, start, length. */
export let longTexts: i32 = 0

let longest: i32 = 0
let roomInBlob: i32 = 0
let longs: i32 = 0
let longRoom: i32 = 0
let stack: i32 = 0
let full: bool = false
let table: i32 = 0

/** `long`: texts above this many bytes are listed at `listAt` (room for `listRoom`); `blob`: room in each blob; `scratch`: 512 bytes. */
export function prepareFill(long: i32, blob: i32, listAt: i32, listRoom: i32, scratch: i32): void {
  longest = long
  roomInBlob = blob
  longs = listAt
  longRoom = listRoom
  stack = scratch
}

function writeCode(at: i32, code: i32): i32 {
  if (code < 0x80) {
    store<u8>(at, code)
    return at + 1
  }
  if (code < 0x800) store<u8>(at++, 0xc0 | (code >> 6))
  else {
    if (code < 0x10000) store<u8>(at++, 0xe0 | (code >> 12))
    else {
      store<u8>(at++, 0xf0 | (code >> 18))
      store<u8>(at++, 0x80 | ((code >> 12) & 63))
    }
    store<u8>(at++, 0x80 | ((code >> 6) & 63))
  }
  store<u8>(at, 0x80 | (code & 63))
  return at + 1
}
/** Writes what a text with escapes stands for; never longer than the text, so that it may be written over it. Gives its length. */
function decode(to: i32, at: i32, end: i32): i32 {
  const start = to
  while (at < end) {
    const code = <i32>load<u8>(at++)
    if (code != 92) {
      store<u8>(to++, code)
      continue
    }
    const letter = <i32>load<u8>(at++)
    if (letter != 117) {
      store<u8>(to++, letter == 98 ? 8 : letter == 102 ? 12 : letter == 110 ? 10 : letter == 114 ? 13 : letter == 116 ? 9 : letter)
      continue
    }
    let unit = hexAt(at)
    at += 4
    if (unit >= 0xd800 && unit <= 0xdfff) {
      unit = 0x10000 + ((unit - 0xd800) << 10) + hexAt(at + 2) - 0xdc00
      at += 6
    }
    to = writeCode(to, unit)
  }
  return to - start
}

/** A text as DuckDB and Arrow hold it: 16 bytes of length and up to 12 of the text, or length, the first four and where the rest is (here its place in the column's blob). */
function putText(field: i32, index: i32, row: i32, at: i32, end: i32, decoded: bool): void {
  const view = load<i32>(field, 20) + (row << 4)
  let length = end - at
  if (length > longest) {
    if (decoded) length = decode(at, at, end)
    const entry = longs + (longTexts++ << 4)
    store<i32>(entry, index)
    store<i32>(entry, row, 4)
    store<i32>(entry, at, 8)
    store<i32>(entry, length, 12)
    if (longTexts >= longRoom) full = true
    v128.store(view, i64x2.splat(0))
    return
  }
  const used = load<i32>(field, 32)
  const to = load<i32>(field, 28) + used
  if (decoded) {
    length = decode(to, at, end)
    at = to
  }
  store<i32>(view, length)
  if (length <= 12) {
    v128.store(view + 4, i64x2.splat(0))
    memory.copy(view + 4, at, length)
    return
  }
  if (at != to)
    for (let part = 0; part < length; part += 16) v128.store(to + part, v128.load(at + part))
  store<i32>(view, load<i32>(at), 4)
  store<i64>(view, used, 8)
  store<i32>(field, used + length, 32)
  if (used + length > roomInBlob - longest) full = true
}

function integer(at: i32, to: i32): i32 {
  let code = <i32>load<u8>(at)
  const negative = code == 45
  if (negative) code = load<u8>(++at)
  const start = at
  let value: u64 = 0
  while (isDigit(code)) {
    value = value * 10 + (code - 48)
    code = load<u8>(++at)
  }
  const digits = at - start
  if (digits == 0 || digits > 19 || (digits > 1 && load<u8>(start) == 48)) return -1
  if (value > (negative ? <u64>0x8000000000000000 : <u64>0x7fffffffffffffff)) return -1
  store<u64>(to, negative ? 0 - value : value)
  return at
}

let high: u64 = 0
let lower: u64 = 0
function digit(value: i32): void {
  const carry = multiply(lower, 10)
  const product = lowerHalf()
  lower = product + value
  high = high * 10 + carry + (lower < product ? 1 : 0)
}
function decimal(at: i32, to: i32, whole: i32, scale: i32): i32 {
  const quoted = load<u8>(at) == 34
  if (quoted) at++
  const negative = load<u8>(at) == 45
  if (negative) at++
  const start = at
  high = 0
  lower = 0
  let code = <i32>load<u8>(at)
  while (isDigit(code)) {
    if (at - start >= 38) return -1
    digit(code - 48)
    code = load<u8>(++at)
  }
  const before = at - start
  const zero = load<u8>(start) == 48
  if (before == 0 || (zero && before > 1) || (!zero && before > whole)) return -1
  let behind = 0
  if (code == 46) {
    code = load<u8>(++at)
    while (isDigit(code)) {
      if (++behind > scale) return -1
      digit(code - 48)
      code = load<u8>(++at)
    }
    if (behind == 0) return -1
  }
  for (; behind < scale; behind++) digit(0)
  if (quoted && load<u8>(at++) != 34) return -1
  if (negative) {
    lower = 0 - lower
    high = ~high + (lower == 0 ? 1 : 0)
  }
  // Little-endian: the lower bytes are those of the smaller integer.
  const width = whole + scale
  if (width <= 4) store<u16>(to, <u16>lower)
  else if (width <= 9) store<u32>(to, <u32>lower)
  else {
    store<u64>(to, lower)
    if (width > 18) store<u64>(to, high, 8)
  }
  return at
}

function instant(at: i32, to: i32): i32 {
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
  if (year < 1 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return -1
  if (day > 28) {
    const leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    const days = month == 2 ? (leap ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31
    if (day > days) return -1
  }
  at += 20
  let micros = 0
  if (load<u8>(at) == 46) {
    const start = ++at
    while (isDigit(load<u8>(at))) {
      if (at - start == 6) return -1
      micros = micros * 10 + load<u8>(at++) - 48
    }
    if (at == start) return -1
    for (let digits = at - start; digits < 6; digits++) micros *= 10
  }
  let offset = 0
  const zone = load<u8>(at)
  if (zone == 90) at++
  else {
    if (zone != 43 && zone != 45) return -1
    const hours = two(at + 1)
    const minutes = two(at + 4)
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || load<u8>(at + 3) != 58) return -1
    offset = (hours * 60 + minutes) * (zone == 45 ? -1 : 1)
    at += 6
  }
  if (load<u8>(at) != 34) return -1
  // Days of the civil calendar, proleptic Gregorian: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
  const shifted = month <= 2 ? year - 1 : year
  const era = shifted / 400
  const yearOfEra = shifted - era * 400
  const dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
  const days = era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468
  const seconds = <i64>days * 86400 + hour * 3600 + (minute - offset) * 60 + second
  store<i64>(to, seconds * 1000000 + micros)
  return at + 1
}

function key(at: i32): i32 {
  if (load<u8>(at) != 34) return -1
  at = textEnd(at + 1, 0)
  return at < 0 || load<u8>(at) != 58 ? -1 : at + 1
}
/** Behind any well-formed value without blanks. */
function valueEnd(at: i32): i32 {
  let depth = 0
  while (true) {
    const code = <i32>load<u8>(at)
    if (code == 123 || code == 91) {
      const close = code + 2
      if (depth == deepest) return -1
      if (load<u8>(++at) == close) at++
      else {
        store<u8>(stack + depth++, close)
        if (code == 123) {
          at = key(at)
          if (at < 0) return -1
        }
        continue
      }
    } else if (code == 34) {
      at = textEnd(at + 1, 0)
      if (at < 0) return -1
    } else if (load<u32>(at) == 0x65757274 || load<u32>(at) == 0x6c6c756e) at += 4
    else if (load<u32>(at) == 0x736c6166 && load<u8>(at + 4) == 101) at += 5
    else {
      at = numberEnd(at)
      if (at < 0) return -1
    }
    while (true) {
      if (depth == 0) return at
      const close = load<u8>(stack + depth - 1)
      const next = load<u8>(at++)
      if (next == close) {
        depth--
        continue
      }
      if (next != 44) return -1
      if (close == 125) {
        at = key(at)
        if (at < 0) return -1
      }
      break
    }
  }
}
function digitsEnd(at: i32): i32 {
  const start = at
  while (isDigit(load<u8>(at))) at++
  return at == start ? -1 : at
}
function numberEnd(at: i32): i32 {
  if (load<u8>(at) == 45) at++
  at = load<u8>(at) == 48 ? at + 1 : digitsEnd(at)
  if (at < 0) return -1
  if (load<u8>(at) == 46) at = digitsEnd(at + 1)
  if (at < 0) return -1
  if ((load<u8>(at) | 32) == 101) {
    at++
    at = digitsEnd(load<u8>(at) == 43 || load<u8>(at) == 45 ? at + 1 : at)
  }
  return at
}

/** Fills row after row from the lines between `at` and `stop`, until the buffers are full. Gives the place of the next line, or -1 minus the place of one that is not what the fields say. */
export function fill(fields: i32, count: i32, at: i32, stop: i32): i32 {
  filled = 0
  longTexts = 0
  full = false
  table = fields
  const behind = fields + (count << 6)
  for (let field = fields; field < behind; field += 64) {
    memory.fill(load<i32>(field, 24), 255, chunkRows >> 3)
    store<i32>(field, 0, 32)
    store<i32>(field, 0, 52)
  }
  while (at < stop && filled < chunkRows && !full) {
    const end = object(fields, behind, at)
    if (end < 0 || end > stop || (end < stop && load<u8>(end) != 10)) return -1 - at
    filled++
    at = end + 1
  }
  return min(at, stop)
}

/** Makes fields null in this row, those of nested objects too. */
function leaveEmpty(field: i32, behind: i32): void {
  const row = filled
  for (; field < behind; field += 64) {
    const bits = load<i32>(field, 24) + (row >> 3)
    store<u8>(bits, <i32>load<u8>(bits) & ~(1 << (row & 7)))
    store<i32>(field, 1, 52)
    const width = load<i32>(field, 44)
    memory.fill(load<i32>(field, 20) + row * width, 0, width)
  }
}

/** Behind the object at `at` whose fields these are; -1 where it is another. */
function object(field: i32, behind: i32, at: i32): i32 {
  if (load<u8>(at++) != 123) return -1
  const row = filled
  let first = true
  let next = field
  for (; field < behind; field = next) {
    next = field + 64 + load<i32>(field, 48)
    const kind = load<i32>(field, 12)
    const skip = first ? 1 : 0
    const length = load<i32>(field, 4) - skip
    const has = same(at, first ? load<i32>(field, 8) : load<i32>(field), length)
    if (has) {
      at += length
      first = false
    }
    if (!has || load<u32>(at) == 0x6c6c756e) {
      if (!(load<i32>(field, 16) & (has ? 1 : 2))) return -1
      if (has) at += 4
      leaveEmpty(field, next)
      continue
    }
    const data = load<i32>(field, 20)
    switch (kind) {
      case 0: {
        if (load<u8>(at) != 34) return -1
        const start = at + 1
        at = textEnd(start, 0)
        if (at < 0) return -1
        putText(field, (field - table) >> 6, row, start, at - 1, escaped)
        break
      }
      case 1:
        at = integer(at, data + (row << 3))
        break
      case 2:
        at = double(at)
        store<f64>(data + (row << 3), number)
        break
      case 3:
        if (load<u32>(at) == 0x65757274) {
          store<u8>(data + row, 1)
          at += 4
        } else if (load<u32>(at) == 0x736c6166 && load<u8>(at + 4) == 101) {
          store<u8>(data + row, 0)
          at += 5
        } else return -1
        break
      case 4:
        at = decimal(at, data + row * load<i32>(field, 44), load<i32>(field, 36), load<i32>(field, 40))
        break
      case 5:
        at = instant(at, data + (row << 3))
        break
      case 6: {
        const start = at
        at = valueEnd(at)
        if (at < 0) return -1
        putText(field, (field - table) >> 6, row, start, at, false)
        break
      }
      default:
        at = object(field + 64, next, at)
    }
    if (at < 0) return -1
  }
  return load<u8>(at) == 125 ? at + 1 : -1
}

/** Adds the address of a blob to the places of a column's texts that lie in it. */
export function rebase(field: i32, by: i64): void {
  let view = load<i32>(field, 20)
  const end = view + (filled << 4)
  for (; view < end; view += 16) if (load<i32>(view) > 12) store<i64>(view, load<i64>(view, 8) + by, 8)
}
