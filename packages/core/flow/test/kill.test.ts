import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { startPostgres, type Postgres } from '../../../../tools/peers/index.ts'
import { requirePeer } from '../../../../tools/peers/vitest.ts'
import { handOverCounts, progressOf } from '../../../../tools/proofs/counts.ts'
import { openFactory } from './kill/factory.ts'
import { countFindings, kindOf } from './kill/findings.ts'
import { duckdb, files, http, postgresLane, type Lane } from './kill/lanes.ts'
import { openShop } from './kill/shop.ts'
import { newTally, randomOf, torture, tortureNaive, type Tally } from './kill/torture.ts'

const kills = Number(process.env['ECOKIT_KILLS'] ?? 30)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const isProof = process.env['ECOKIT_PROOF_COUNTS'] !== undefined

const peer = await requirePeer('postgres')
let server: Promise<Postgres> | undefined
const lanes: Readonly<Record<string, (folder: string) => Lane | Promise<Lane>>> = {
  duckdb,
  parquet: files('parquet'),
  ndjson: files('ndjson'),
  http,
  ...(peer.missing === undefined && { postgres: postgresLane(() => (server ??= startPostgres())) }),
}
/** Kills against one folder: tables stay small, and a proof that is cut off loses no more than this. */
const roundKills = 25
const names = Object.keys(lanes)
const perLane = Math.ceil(kills / names.length)

// A proof that was cut off goes on with the rounds that it has not done.
const cache = fileURLToPath(new URL('../../../../.cache/', import.meta.url))
/** Kills of other code prove nothing of this one. */
const commit = isProof ? execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim() : ''
const progressFile = `${cache}kill-${commit}-${seed}-${kills}.json`
const done: Record<string, Tally> = {}
if (isProof)
  try {
    Object.assign(done, JSON.parse(readFileSync(progressFile, 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
const keep = (round: string, tally: Tally): void => {
  done[round] = tally
  if (!isProof) return
  mkdirSync(cache, { recursive: true })
  writeFileSync(progressFile, JSON.stringify(done))
  handOverCounts(summary())
}

const add = (into: Record<string, number>, more: Readonly<Record<string, number>>): void => {
  for (const [name, count] of Object.entries(more)) into[name] = (into[name] ?? 0) + count
}
const naive = { runs: 0, caught: 0, lost: 0, doubled: 0, corrupt: 0 }
/** What was found wrong, and how rounds ended that ended otherwise. */
const findings: string[] = []
const broken: string[] = []
const summary = () => {
  const sinks: Record<
    string,
    {
      kills: number
      completed: number
      checkpoints: number
      pagesAgain: number
      events: number
      modes: Record<string, number>
      phases: Record<string, number>
    }
  > = {}
  for (const [round, tally] of Object.entries(done)) {
    const name = round.split(' ')[0] ?? ''
    const sink = (sinks[name] ??= {
      kills: 0,
      completed: 0,
      checkpoints: 0,
      pagesAgain: 0,
      events: 0,
      modes: {},
      phases: {},
    })
    sink.kills += tally.kills
    sink.completed += tally.completed
    sink.checkpoints += tally.checkpoints
    sink.events += tally.events
    sink.pagesAgain = Math.max(sink.pagesAgain, tally.pagesAgain)
    add(sink.modes, tally.modes)
    add(sink.phases, tally.phases)
  }
  const total = Object.values(sinks).reduce((sum, { kills: count }) => sum + count, 0)
  return { kills: total, ...countFindings(findings), findings, broken, naive, sinks }
}

const factory = openFactory()
afterAll(async () => {
  await factory.close()
  await (await server)?.[Symbol.asyncDispose]()
  if (isProof) handOverCounts(summary())
})

for (const [place, name] of names.entries())
  test.concurrent(
    `${name}: ${perLane} processes killed at any moment: nothing lost, nothing doubled (ECOKIT_SEED=${seed})`,
    async () => {
      const progress = progressOf(`${name}, rounds of ${roundKills} kills`, Math.ceil(perLane / roundKills))
      for (let round = 0; round * roundKills < perLane; round += 1) {
        progress()
        const key = `${name} ${round}`
        if (done[key] !== undefined) continue
        const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-kill-'))
        const shop = await openShop()
        const lane = await lanes[name]!(folder)
        const tally = newTally()
        try {
          const wanted = Math.min(roundKills, perLane - round * roundKills)
          const wrong = await torture({ lane, shop, folder, factory }, wanted, randomOf(seed, place, round), tally)
          if (wrong !== undefined) findings.push(`${key}: ${wrong}`)
          expect(wrong, `round ${round}, ECOKIT_SEED=${seed}`).toBe(undefined)
          keep(key, tally)
        } catch (error) {
          if (!findings.some((finding) => finding.startsWith(`${key}: `))) broken.push(`${key}: ${String(error)}`)
          throw error
        } finally {
          await lane.close()
          await shop.close()
          await rm(folder, { recursive: true, force: true })
        }
      }
    },
    Math.max(300_000, kills * 5000),
  )

for (const why of peer.missing === undefined ? [] : [peer.missing])
  test(`postgres is left out: ${why}`, ({ skip }) => {
    expect(lanes['postgres']).toBe(undefined)
    skip(why)
  })

test.concurrent(
  `a sink that stores rows and then the checkpoint is caught (ECOKIT_SEED=${seed})`,
  async () => {
    for (let run = 0; run < Math.max(2, kills / 50); run += 1) {
      const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-kill-'))
      const shop = await openShop()
      try {
        const found = await tortureNaive(
          { lane: duckdb(folder), shop, folder, factory },
          randomOf(seed, 99, run),
          newTally(),
        )
        naive.runs += 1
        expect(found).toMatch(/is lost|is doubled/)
        naive.caught += 1
        naive[kindOf(found ?? '')] += 1
      } finally {
        await shop.close()
        await rm(folder, { recursive: true, force: true })
      }
    }
  },
  Math.max(300_000, kills * 5000),
)

test('findings are counted by what they say', () => {
  const said = {
    doubled: [
      'log: 4 is doubled',
      'items: 3 is doubled',
      'snap: a row is doubled',
      'log: 7 stored rows are read again from 2',
    ],
    lost: [
      'log: 4 is lost',
      'log: 2 rows are lost',
      'log: 9 rows, the source has 10',
      'items: 3 is lost',
      'items: 3 is not as the source has it',
      'snap: 4 of 9 rows (after a kill at commit)',
      'snap: rows are not those of the last pass',
      'snap: the last pass is not there',
      'log: the read goes on at 9, and the rows end at 7',
    ],
    corrupt: [
      'log: 4 has another value',
      'items: 3 never had this value',
      'items: 3 went back to an older value',
      'snap: rows of two passes',
      'snap: an older pass came back',
      'the account does not add up: {}',
      'log: the checkpoint is at 4 and the rows at 5',
      'lineage: no schema',
    ],
  }
  expect(countFindings(Object.values(said).flat())).toEqual({ doubled: 4, lost: 9, corrupt: 8 })
  for (const [kind, texts] of Object.entries(said)) expect([...new Set(texts.map(kindOf))]).toEqual([kind])
})

test('a proof that has come to its end leaves nothing to go on with', () => {
  if (isProof) rmSync(progressFile, { force: true })
  expect(Object.values(done).reduce((sum, tally) => sum + tally.kills, 0)).toBeGreaterThanOrEqual(kills)
  expect(Object.values(done).every((tally) => tally.events > 0)).toBe(true)
})
