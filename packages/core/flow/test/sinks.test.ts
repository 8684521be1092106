import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { double, type AnyRecord } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startPostgres, type Postgres } from '../../../../tools/peers/index.ts'
import { requirePeer } from '../../../../tools/peers/vitest.ts'
import { handOverCounts, progressOf } from '../../../../tools/proofs/counts.ts'
import { sync } from '../src/index.ts'
import { openLanes } from './sinks/lanes.ts'
import { newTally, runRound } from './sinks/round.ts'
import { openSource } from './sinks/source.ts'

const total = Number(process.env['ECOKIT_SINK_RECORDS'] ?? 1_000)
const seed = Number(process.env['ECOKIT_SEED'] ?? 20261122)
/** Bounds memory, and how many schemas there are; each kind of schema has a round even in the test command. */
const roundRecords = Math.min(10_000, Math.ceil(total / 4))
const rounds = Math.ceil(total / roundRecords)

const peer = await requirePeer('postgres')
let server: Promise<Postgres> | undefined
const running = (): Promise<Postgres> | undefined =>
  peer.missing === undefined ? (server ??= startPostgres()) : undefined
afterAll(async () => (await server)?.[Symbol.asyncDispose]())

test(
  `${total} fuzzed records go as bytes and as objects into every sink: the same rows, the same reasons (ECOKIT_SEED=${seed})`,
  { timeout: 120_000 + total * 20 },
  async () => {
    const tally = newTally()
    const wrong: object[] = []
    const progress = progressOf(`rounds of ${roundRecords} records`, rounds)
    for (let round = 0; round < rounds && wrong.length < 10; round += 1) {
      const count = Math.min(roundRecords, total - round * roundRecords)
      wrong.push(...(await runRound(round, count, seed, await running(), tally)))
      progress()
      handOverCounts({ ...tally })
    }
    expect(wrong).toEqual([])
    // Enough of everything, or the comparison says nothing.
    const compared = Object.values(tally.compared)
    expect(compared).toHaveLength(peer.missing === undefined ? 12 : 10)
    expect(Math.min(...compared)).toBeGreaterThan(total * 0.6)
    expect(tally.refused).toBeGreaterThan(total * 0.03)
    expect(Object.keys(tally.reasons).length).toBeGreaterThan(Math.min(30, total / 100))
  },
)

test('NaN, the infinities and -0, as Python writes them, are in every sink what they were', async () => {
  const shape = z.object({
    k: z.int(),
    x: double().nullable(),
    list: z.array(double()),
    map: z.record(z.string(), double()),
    maybe: z.object({ x: double().optional() }),
  })
  const words = ['NaN', 'Infinity', '-Infinity', '-0.0', '0.5']
  const records = Array.from({ length: 700 }, (_, k) => {
    const [one, other] = [words[k % 5], words[Math.floor(k / 5) % 5]]
    return Buffer.from(`{"k":${k},"x":${one},"list":[${one},${other}],"map":{"a":${other}},"maybe":{"x":${one}}}`)
  })
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-sinks-'))
  const store = await openStore(path.join(folder, 'state.db'))
  const code = { wire: z.unknown(), map: (record: unknown) => record }
  const { source, close } = await openSource({ python: { schema: shape, code } }, records)
  const lanes = await openLanes(folder, 1_000_000, await running())
  try {
    for (const { name, kind, sink, sinkName, disposition, rows, loose } of lanes) {
      const streams = [
        { stream: 'python', mode: 'full_refresh', disposition, ...(loose === true && { allowDuplicates: true }) },
      ] as const
      const result = await sync({ pipeline: { name, source, sink, sinkName, streams }, store })
      expect(result, name).toMatchObject({ status: 'completed', streams: [{ read: 700, written: 700 }] })
      const held: AnyRecord[] = []
      for await (const batch of rows('python')) held.push(...batch)
      // JSON has no words for them: an endpoint is sent texts. jsonb has no -0.
      const said = (word: string): unknown => {
        const isWord = word !== '0.5' && word !== '-0.0'
        return isWord && kind === 'endpoint' ? word : Number(word)
      }
      const inJson = (word: string): unknown => (kind === 'postgres' && word === '-0.0' ? 0 : said(word))
      const wanted = records.map((_, k) => {
        const [one = '', other = ''] = [words[k % 5], words[Math.floor(k / 5) % 5]]
        return {
          k,
          x: said(one),
          list: [said(one), said(other)],
          map: { a: inJson(other) },
          maybe: { x: inJson(one) },
        }
      })
      expect(
        held.toSorted((one, other) => Number(one['k']) - Number(other['k'])),
        name,
      ).toEqual(wanted)
    }
  } finally {
    for (const lane of lanes) await lane.close()
    await close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
})
