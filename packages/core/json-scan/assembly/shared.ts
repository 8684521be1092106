// What both programs of the module use: literals, texts, digits.

let masks: i32 = 0
/** The powers of ten that a double holds exactly. */
export let powers: i32 = 0
/** Whether the text that was read last held an escape. */
export let escaped: bool = false

/** Fills the tables that begin at `at`; they take 17 * 16 + 23 * 8 bytes. */
export function prepare(at: i32): void {
  masks = at
  for (let length = 0; length <= 16; length++)
    for (let index = 0; index < 16; index++) store<u8>(masks + (length << 4) + index, index < length ? 255 : 0)
  powers = at + 17 * 16
  let power: f64 = 1
  for (let index = 0; index <= 22; index++) {
    store<f64>(powers + (index << 3), power)
    power *= 10
  }
}

@inline
export function hex(code: i32): i32 {
  return code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : code >= 65 && code <= 70 ? code - 55 : -1
}
export function hexAt(at: i32): i32 {
  const a = hex(load<u8>(at))
  const b = hex(load<u8>(at + 1))
  const c = hex(load<u8>(at + 2))
  const d = hex(load<u8>(at + 3))
  return (a | b | c | d) < 0 ? -1 : (a << 12) | (b << 8) | (c << 4) | d
}

/** Behind the text whose first byte is at `at`, which is behind the opening quote; -1 where it is none. `least` is the lowest code unit that may be written as an escape. */
@inline
export function textEnd(at: i32, least: i32): i32 {
  const quote = i8x16.splat(34)
  const slash = i8x16.splat(92)
  const blank = i8x16.splat(32)
  escaped = false
  while (true) {
    const part = v128.load(at)
    const found = i8x16.bitmask(v128.or(v128.or(i8x16.eq(part, quote), i8x16.eq(part, slash)), i8x16.lt_u(part, blank)))
    if (!found) {
      at += 16
      continue
    }
    at += ctz(found)
    const code = <i32>load<u8>(at)
    if (code == 34) return at + 1
    if (code != 92) return -1
    escaped = true
    const letter = <i32>load<u8>(at + 1)
    if (letter == 117) {
      const unit = hexAt(at + 2)
      if (unit < least) return -1
      if (unit >= 0xd800 && unit <= 0xdfff) {
        if (unit >= 0xdc00 || load<u8>(at + 6) != 92 || load<u8>(at + 7) != 117) return -1
        const second = hexAt(at + 8)
        if (second < 0xdc00 || second > 0xdfff) return -1
        at += 12
      } else at += 6
    } else if (
      letter == 34 || letter == 92 || letter == 47 || letter == 98 || letter == 102 || letter == 110 || letter == 114 || letter == 116
    )
      at += 2
    else return -1
  }
}

@inline
export function same(at: i32, literal: i32, length: i32): bool {
  while (length > 16) {
    if (v128.any_true(v128.xor(v128.load(at), v128.load(literal)))) return false
    at += 16
    literal += 16
    length -= 16
  }
  return !v128.any_true(v128.and(v128.xor(v128.load(at), v128.load(literal)), v128.load(masks + (length << 4))))
}

@inline
export function isDigit(code: i32): bool {
  return <u32>(code - 48) < 10
}

@inline
export function two(at: i32): i32 {
  const tens = <i32>load<u8>(at) - 48
  const ones = <i32>load<u8>(at + 1) - 48
  return <u32>tens < 10 && <u32>ones < 10 ? tens * 10 + ones : -1
}
