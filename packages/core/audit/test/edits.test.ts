import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openStore } from '@ecokit/store'
import { expect, onTestFinished, test } from 'vitest'
import { handOverCounts } from '../../../../tools/proofs/counts.ts'
import { hmacSigner, openAudit } from '../src/index.ts'
import { type Tamper, tamper } from './tamper.ts'

const edits = Number(process.env['ECOKIT_AUDIT_EDITS'] ?? 1000)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const length = 150
const headEvery = 16

/** A small seeded generator (mulberry32): whole numbers from `from` to `to`. */
const pickerOf = (start: number) => {
  let state = start
  return (from: number, to: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return from + Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (to - from + 1))
  }
}
type Pick = ReturnType<typeof pickerOf>

// The reckoning of the forger: written from the README, not with the code under test.
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
interface Forged {
  readonly position: number
  readonly entry: string
}
const hashOf = (one: Forged | undefined): string => (one === undefined ? '0'.repeat(64) : sha256(one.entry))
const forge = (position: number, previous: string, actor: string): Forged => {
  const entry = JSON.stringify({
    position,
    previous,
    at: 7,
    tenant: 'default',
    actor,
    action: 'vault.get',
    target: 'partner/x',
    outcome: 'allowed',
  })
  return { position, entry }
}

interface Hand {
  readonly hand: Tamper
  readonly pick: Pick
  /** Positions of the kept heads. */
  readonly heads: readonly number[]
}
const entriesOf = (hand: Tamper): readonly Forged[] =>
  hand.rows('SELECT position, entry FROM audit_entries ORDER BY position').map((row) => ({
    position: Number(row['position']),
    entry: row['entry'] as string,
  }))
const write = (hand: Tamper, { position, entry }: Forged): void => {
  hand.run('INSERT OR REPLACE INTO audit_entries (position, entry) VALUES (?, ?)', position, entry)
}
/** Moves everything from a position on; negative numbers on the way, for a position is taken once. */
const shift = (hand: Tamper, from: number, by: number): void => {
  hand.run('UPDATE audit_entries SET position = -position WHERE position >= ?', from)
  hand.run('UPDATE audit_entries SET position = -position + ? WHERE position < 0', by)
}
const flipped = (pick: Pick, text: string): string => {
  const bytes = Buffer.from(text)
  const at = pick(0, bytes.length - 1)
  bytes[at] = ((bytes[at] ?? 0) + pick(1, 255)) % 256
  return bytes.toString('latin1')
}
const afresh = (hand: Tamper, from: number, change: (entry: string) => string): void => {
  let previous = ''
  for (const row of entriesOf(hand)) {
    if (row.position >= from) {
      const linked =
        row.position === from ? change(row.entry) : row.entry.replace(/"previous":"\w+"/, `"previous":"${previous}"`)
      write(hand, { position: row.position, entry: linked })
      previous = sha256(linked)
    }
  }
}
const otherActor = (entry: string): string => entry.replace('"actor":"', '"actor":"_')

/** Each makes one edit and says where it is to be found. */
const kinds: Readonly<Record<string, (by: Hand) => number>> = {
  'a byte of an entry': ({ hand, pick }) => {
    const position = pick(1, length)
    const [row] = hand.rows(`SELECT entry AS text FROM audit_entries WHERE position = ${position}`)
    const latin = flipped(pick, row?.['text'] as string)
    hand.run(
      `UPDATE audit_entries SET entry = CAST(? AS TEXT) WHERE position = ?`,
      Buffer.from(latin, 'latin1'),
      position,
    )
    return position
  },
  'the position of an entry': ({ hand, pick }) => {
    const position = pick(1, length)
    const other = pick(0, 1) === 0 ? -pick(0, 1000) : position + 2 ** pick(8, 40)
    hand.run('UPDATE audit_entries SET position = ? WHERE position = ?', other, position)
    return position
  },
  'a byte of a head': ({ hand, pick, heads }) => {
    const position = heads[pick(0, heads.length - 1)] ?? 0
    const column = ['head', 'marks', 'signature'][pick(0, 2)] ?? ''
    const [row] = hand.rows(`SELECT ${column} AS text FROM audit_heads WHERE position = ${position}`)
    const latin = flipped(pick, row?.['text'] as string)
    hand.run(
      `UPDATE audit_heads SET ${column} = CAST(? AS TEXT) WHERE position = ?`,
      Buffer.from(latin, 'latin1'),
      position,
    )
    return position
  },
  'the position of a head': ({ hand, pick, heads }) => {
    const position = heads[pick(0, heads.length - 1)] ?? 0
    const other = [-pick(0, 1000), position + 1 + pick(0, headEvery - 2), position + 1000][pick(0, 2)] ?? 0
    hand.run('UPDATE audit_heads SET position = ? WHERE position = ?', other, position)
    return position
  },
  'a byte of the newest head': ({ hand, pick }) => {
    const column = ['head', 'marks', 'signature'][pick(0, 2)] ?? ''
    const [row] = hand.rows(`SELECT ${column} AS text FROM audit_newest`)
    const latin = flipped(pick, row?.['text'] as string)
    hand.run(`UPDATE audit_newest SET ${column} = CAST(? AS TEXT)`, Buffer.from(latin, 'latin1'))
    return length
  },
  'a head removed': ({ hand, pick, heads }) => {
    const position = heads[pick(0, heads.length - 1)] ?? 0
    hand.run('DELETE FROM audit_heads WHERE position = ?', position)
    return position
  },
  'one removed': ({ hand, pick }) => {
    const position = pick(1, length)
    hand.run('DELETE FROM audit_entries WHERE position = ?', position)
    return position
  },
  'many removed': ({ hand, pick }) => {
    const positions = Array.from({ length: pick(2, 20) }, () => pick(1, length))
    for (const position of positions) hand.run('DELETE FROM audit_entries WHERE position = ?', position)
    return Math.min(...positions)
  },
  'some removed and the gap closed': ({ hand, pick }) => {
    const position = pick(1, length - 5)
    const count = pick(1, 5)
    hand.run('DELETE FROM audit_entries WHERE position >= ? AND position < ?', position, position + count)
    shift(hand, position + count, -count)
    return position
  },
  'a forged one put in': ({ hand, pick }) => {
    const position = pick(1, length + 1)
    const before = hashOf(entriesOf(hand)[position - 2])
    shift(hand, position, 1)
    write(hand, forge(position, before, 'mallory'))
    return position
  },
  'a copy put in': ({ hand, pick }) => {
    const position = pick(1, length)
    const other = (position + pick(0, length - 2)) % length
    const copied = entriesOf(hand)[other]
    shift(hand, position, 1)
    if (copied !== undefined) write(hand, { ...copied, position })
    return position
  },
  'two exchanged': ({ hand, pick }) => {
    const one = pick(1, length - 1)
    const other = pick(one + 1, length)
    hand.run('UPDATE audit_entries SET position = -7 WHERE position = ?', one)
    hand.run('UPDATE audit_entries SET position = ? WHERE position = ?', one, other)
    hand.run('UPDATE audit_entries SET position = ? WHERE position = -7', other)
    return one
  },
  'the tail cut off': ({ hand, pick }) => {
    const last = pick(0, length - 1)
    hand.run('DELETE FROM audit_entries WHERE position > ?', last)
    return last + 1
  },
  'everything put back to an older state': ({ hand, pick, heads }) => {
    const last = heads[pick(0, heads.length - 1)] ?? 0
    hand.run('DELETE FROM audit_entries WHERE position > ?', last)
    hand.run(
      'UPDATE audit_newest SET (head, marks, signature) = (SELECT head, marks, signature FROM audit_heads WHERE position = ?)',
      last,
    )
    hand.run('DELETE FROM audit_heads WHERE position > ?', last)
    return last + 1
  },
  'all tables emptied': ({ hand }) => {
    for (const table of ['audit_entries', 'audit_heads', 'audit_newest']) hand.run(`DELETE FROM ${table}`)
    return 1
  },
  'another actor in one': ({ hand, pick }) => {
    const position = pick(1, length)
    const row = entriesOf(hand)[position - 1]
    const entry = otherActor(row?.entry ?? '')
    write(hand, { position, entry })
    return position
  },
  'rewritten to the end with a new chain': ({ hand, pick }) => {
    const position = pick(1, length)
    afresh(hand, position, otherActor)
    return position
  },
  'rewritten and cut off': ({ hand, pick }) => {
    const position = pick(1, length - 2)
    afresh(hand, position, otherActor)
    hand.run('DELETE FROM audit_entries WHERE position > ?', pick(position, length - 1))
    return position
  },
  'rewritten and written on': ({ hand, pick }) => {
    const position = pick(1, length)
    afresh(hand, position, otherActor)
    const last = entriesOf(hand).at(-1)
    write(hand, forge(length + 1, hashOf(last), 'mallory'))
    return position
  },
  'written on without the key': ({ hand, pick }) => {
    let before = hashOf(entriesOf(hand).at(-1))
    for (let more = 1; more <= pick(1, 3); more++) {
      const one = forge(length + more, before, 'mallory')
      write(hand, one)
      before = hashOf(one)
    }
    return length + 1
  },
}

/** What a log without heads can know: every hash fits its text and the one before. */
const chainAlone = (hand: Tamper): boolean => {
  let previous = '0'.repeat(64)
  return entriesOf(hand).every(({ position, entry }, index) => {
    const fits = position === index + 1 && entry.startsWith(`{"position":${position},"previous":"${previous}",`)
    previous = sha256(entry)
    return fits
  })
}

test(
  `${edits} edits of the log are all found at their position (ECOKIT_SEED=${seed})`,
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-edits-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const file = path.join(folder, 'state.db')
    await using store = await openStore(file)
    const audit = await openAudit({ store, sign: hmacSigner(Buffer.alloc(32, 9), 'proof'), headEvery })
    for (let index = 0; index < length; index++)
      await audit.append({
        tenant: index % 3 === 0 ? 'other' : 'default',
        actor: ['anna', 'ben', 'çelik', 'ops\ufffd'][index % 4] ?? '',
        action: 'vault.get',
        target: `partner/${index % 7}`,
        outcome: index % 5 === 0 ? 'denied' : 'allowed',
        ...(index % 2 === 0 ? { reason: `ticket ${index}`, details: { version: index, ids: [1, '2', null] } } : {}),
      })
    const hand = tamper(file)
    hand.remember()
    const heads = hand
      .rows('SELECT position FROM audit_heads ORDER BY position')
      .map(({ position }) => Number(position))
    expect(heads).toEqual([16, 32, 48, 64, 80, 96, 112, 128, 144])

    const pick = pickerOf(seed)
    const names = Object.keys(kinds)
    const made: Record<string, number> = {}
    const told: Record<string, number> = {}
    const missed: unknown[] = []
    let unseenByChain = 0
    let untouched = 0
    for (let edit = 0; edit < edits; edit++) {
      const name = names[edit % names.length] ?? ''
      const position = kinds[name]?.({ hand, pick, heads })
      const verdict = await audit.verify()
      made[name] = (made[name] ?? 0) + 1
      if (verdict.ok || verdict.position !== position) missed.push({ edit, name, position, verdict })
      else told[verdict.kind] = (told[verdict.kind] ?? 0) + 1
      if (!name.endsWith(' head') && name !== 'a head removed' && chainAlone(hand)) unseenByChain++
      hand.restore()
      if (edit % 10 !== 0) continue
      expect(await audit.verify()).toMatchObject({ ok: true, entries: length })
      untouched++
    }
    expect(missed).toEqual([])
    // The control: without signed heads, whoever writes the file could have had his way with a good part of them.
    expect(unseenByChain).toBeGreaterThan(edits / 10)
    expect(Object.keys(told).sort()).toEqual(['edited', 'inserted', 'removed', 'reordered', 'truncated'])
    handOverCounts({
      edits: made,
      foundAtTheirPosition: edits - missed.length,
      told,
      untouchedVerified: untouched,
      unseenByAChainWithoutHeads: unseenByChain,
    })
  },
  60_000 + edits * 100,
)
