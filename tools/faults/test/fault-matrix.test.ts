import { expect, test } from 'vitest'
import { handOverCounts, progressOf } from '../../proofs/counts.ts'
import { randomOf } from '../index.ts'
import { allCalls, readCalls, writeCalls, type Answer, type Call } from './calls.ts'
import { listening, openSearch } from './canary.ts'
import { runCell, type Cell } from './cells.ts'
import { only, openSetting, seeds } from './setting.ts'
import { openDirect, openWorld } from './world.ts'

const seed = Number(process.env['ECOKIT_SEED'] ?? Date.now() % 2 ** 31)

const { peer, toxiproxy, kinds, unhandled } = await openSetting()

const cellsOf = (calls: readonly Call[], salt: number): readonly Cell[] => {
  const random = randomOf(seed + salt)
  const all = calls.flatMap((call) =>
    kinds.flatMap((kind) =>
      Array.from({ length: seeds || 5 }, (_, index): Cell => ({
        call,
        kind,
        index,
        seed: Math.floor(random() * 2 ** 31),
      })),
    ),
  )
  const wanted = all.filter(({ call, kind }) => only?.test(`${kind} on ${call.name}`) ?? true)
  return seeds > 0 || only !== undefined ? wanted : wanted.filter(() => random() < 1 / 40)
}

peer.describe('the fault matrix', () => {
  test(
    `every fault on every call: right rows or a typed error (ECOKIT_SEED=${seed})`,
    async () => {
      const world = await openWorld(seeds > 0 ? 6 : 4, seed, toxiproxy.missing === undefined)
      const direct = openDirect(world.url)
      const outcomes: Record<string, number> = {}
      const byKind: Record<string, Record<string, number>> = {}
      const wrong: string[] = []
      const search = openSearch()
      let requests = 0
      let waits = 0
      const runAll = async (cells: readonly Cell[], clean: ReadonlyMap<string, Answer>) => {
        const queue = [...cells]
        const progress = progressOf('cells', queue.length)
        await Promise.all(
          world.lanes.map(async (lane) => {
            for (let cell = queue.shift(); cell !== undefined; cell = queue.shift()) {
              progress()
              const result = await runCell(cell, lane, direct, clean.get(cell.call.name), undefined, search)
              outcomes[result.outcome] = (outcomes[result.outcome] ?? 0) + 1
              const kind = (byKind[cell.kind] ??= {})
              kind[result.outcome] = (kind[result.outcome] ?? 0) + 1
              requests += result.requests
              waits += result.waits
              for (const fault of result.faults)
                wrong.push(`${cell.kind} on ${cell.call.name}, seed ${cell.index} (${cell.seed}): ${fault}`)
            }
          }),
        )
      }
      try {
        const reads = await readCalls(direct)
        expect([...reads, ...writeCalls].map(({ name }) => name).sort()).toEqual([...allCalls()].sort())
        const clean = new Map<string, Answer>()
        // Through the same server, whose small pages put some lists into another order.
        const undisturbed = openDirect(world.lanes[0]?.faults.url ?? '')
        for (const call of reads) {
          const rows = await call.run(undisturbed, await call.prepare(direct, ''))
          expect([...rows].sort()).toEqual([...(await call.run(direct, await call.prepare(direct, '')))].sort())
          clean.set(call.name, rows)
        }
        await undisturbed.close()
        const readCells = cellsOf(reads, 1)
        const writeCells = cellsOf(writeCalls, 2)
        // Reads first: what the writes leave behind would change their answers.
        await listening(search, async () => {
          await runAll(readCells, clean)
          await runAll(writeCells, new Map())
        })
        const counts = {
          cells: readCells.length + writeCells.length,
          calls: reads.length + writeCalls.length,
          kinds: kinds.length,
          requests,
          waits,
          outcomes,
          byKind,
          secretsPlanted: readCells.length + writeCells.length,
          secretsSearchedIn: search.sizes,
          secretsFound: search.found().length,
          wrong: wrong.length,
          unhandledRejections: unhandled.length,
        }
        console.log(JSON.stringify(counts))
        handOverCounts(counts)
        expect(wrong).toEqual([])
        expect(search.found()).toEqual([])
        expect(unhandled).toEqual([])
        expect(counts.cells).toBeGreaterThan(0)
      } finally {
        await direct.close()
        await world.stop()
      }
    },
    seeds > 0 ? 7_200_000 : 300_000,
  )
})
