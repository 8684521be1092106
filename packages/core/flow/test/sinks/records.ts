import type { RoundSchema } from './schemas.ts'
import { below, memberOf, pick, valueOf, type Luck, type Random } from './texts.ts'

/** True where the text stands between its neighbours in a list of a page without taking a part of them, or of the page, along: then whatever is wrong with it is its own. */
export const standsAlone = (bytes: Uint8Array): boolean => {
  const open: number[] = []
  let inText = false
  let isEmpty = true
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    if (inText) {
      if (byte === 92) at += 1
      else if (byte === 34) inText = false
      if (at >= bytes.length) return false
      continue
    }
    isEmpty &&= byte === 32 || byte === 10 || byte === 13 || byte === 9
    if (byte === 34) inText = true
    else if (byte === 123 || byte === 91) open.push(byte + 2)
    else if (byte === 125 || byte === 93) {
      if (open.pop() !== byte) return false
    } else if (byte === 44 && open.length === 0) return false
  }
  return !inText && !isEmpty && open.length === 0
}

const wholes = [
  '7',
  'null',
  'true',
  '[]',
  '"x"',
  '{}',
  '[{"k":1}]',
  'nonsense',
  '-',
  '\ufeff{}',
  '{"k":1}}',
  '{"k":1} x',
  "{'k':1}",
]
const unknownFields = ['"more":[{"deep":1}]', '"more":{"k":2,"k":3}', '"K":1', '"__proto__":{"k":1}', '"more":1e999']
const brokenFields = [
  '"more":nonsense',
  '"more":01',
  '"more":"\\ud800"',
  '"\\udc00":1',
  'more:1',
  '"more":',
  '"more":"\t"',
  '',
]

/** Bytes changed at random. */
const edited = (text: string, random: Random): Buffer => {
  const bytes = Buffer.from(text)
  for (let left = 1 + below(random, 3); left > 0; left -= 1) {
    const at = below(random, bytes.length)
    const luck = random()
    // Mostly another byte of the same record, so that it is nearly what it should be.
    bytes[at] =
      luck < 0.5
        ? (bytes[below(random, bytes.length)] ?? 0)
        : luck < 0.75
          ? (bytes[at] ?? 0) ^ (1 << below(random, 8))
          : below(random, 256)
  }
  return bytes
}

/** Records of a schema as they are sent, a part of them damaged. */
export const openRecords = ({ form, luck: known }: RoundSchema, random: Random) => {
  const luck: Luck = { ...known, random, bad: 0.003 }
  const [key, ...others] = form.fields
  let number = 0
  const keyMember = (): string => {
    // Some keys come again: what a merge makes of them is told apart from what a sink adds.
    const k = random() < 0.02 && number > 0 ? below(random, number) : number
    number += 1
    const spelt = random()
    if (key === undefined || spelt < 0.002) return `"k":${valueOf({ kind: 'integer' }, luck)}`
    return spelt < 0.97 ? `"k":${k}` : spelt < 0.98 ? `"\\u006b":${k}` : spelt < 0.99 ? `"k":${k}.0` : `"k" : ${k}e0`
  }
  const next = (): Buffer => {
    const members = [
      keyMember(),
      ...others.map((field) => memberOf(field, luck)).filter((member) => member !== undefined),
    ]
    const chance = random()
    const swap = below(random, members.length)
    if (chance < 0.03) members.splice(swap, 0, pick(random, unknownFields))
    else if (chance < 0.06) members.push(...members.splice(swap, 1))
    else if (chance < 0.065) members.splice(swap, 1)
    else if (chance < 0.07) members.push(...members.slice(swap, swap + 1))
    else if (chance < 0.075) members.splice(swap, 0, pick(random, brokenFields))
    const blank = random() < 0.03 ? pick(random, [' ', '\n', '\r\n', '\t ']) : ''
    const text = `${blank}{${blank}${members.join(`,${blank}`)}${blank}}${blank}`
    if (chance > 0.998) return Buffer.from(pick(random, wholes))
    if (chance > 0.996) return Buffer.from(`\ufeff${text}`)
    return chance > 0.96 ? edited(text, random) : Buffer.from(text)
  }
  return {
    /** So many records that each stand alone, and how many more were left out because they break the page around them. */
    take: (count: number): { readonly records: readonly Buffer[]; readonly leftOut: number } => {
      const records: Buffer[] = []
      let leftOut = 0
      while (records.length < count) {
        const record = next()
        if (standsAlone(record)) records.push(record)
        else leftOut += 1
      }
      return { records, leftOut }
    },
  }
}
