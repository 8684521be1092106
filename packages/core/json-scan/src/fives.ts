let table: Uint8Array | undefined

/** The powers of five from -342 to 308 in 128 bits each, their highest bit set, the upper half first: cut off there, but rounded up from -27 to -1 (so Lemire's proof asks). For assembly/number.ts. */
export const fives = (): Uint8Array => {
  if (table !== undefined) return table
  const words = new BigUint64Array(651 * 2)
  for (let q = -342; q <= 308; q++) {
    const power = 5n ** BigInt(Math.abs(q))
    const bits = BigInt(power.toString(2).length)
    let value: bigint
    if (q >= 0) value = bits <= 128n ? power << (128n - bits) : power >> (bits - 128n)
    else {
      // As many bits of the quotient as are left when its highest is set.
      const up = power === 1n << (bits - 1n) ? bits - 1n : bits
      value = (1n << (up + 127n)) / power + (q >= -27 ? 1n : 0n)
    }
    words[(q + 342) * 2] = value >> 64n
    words[(q + 342) * 2 + 1] = value & 0xffffffffffffffffn
  }
  return (table = new Uint8Array(words.buffer))
}
