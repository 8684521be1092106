import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { connect } from '../../../packages/core/connect/src/index.ts'
import { toJson, type AnyConnection } from '../../../packages/core/contracts/src/index.ts'
import { sync } from '../../../packages/core/flow/src/index.ts'
import { faultsInFile } from '../../../packages/core/flow/test/openlineage.ts'
import { openStore } from '../../../packages/core/store/src/index.ts'
import { local } from '../../../packages/connectors/local/src/index.ts'
import { mlflow } from '../../../packages/connectors/mlflow/src/index.ts'
import { handOverCounts } from '../../proofs/counts.ts'
import { randomOf, schedules, type HttpKind } from '../index.ts'
import { errorFaults, openTo, poison, type TcpKind } from './cells.ts'
import { only, openSetting, seeds } from './setting.ts'
import { openWorld, type Lane } from './world.ts'

const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const { peer, toxiproxy, kinds, unhandled } = await openSetting()

const tables = Object.keys(mlflow.manifest.streams)
type Lake = Readonly<Record<string, readonly string[]>>
const contents = async (lake: AnyConnection): Promise<Lake> => {
  const there = new Set<string>()
  for await (const { name } of lake.discover?.() ?? []) there.add(name)
  const read = async (table: string): Promise<readonly string[]> => {
    const rows: string[] = []
    if (!there.has(table)) return rows
    for await (const batch of lake.read?.(table) ?? [])
      if (batch.encoding === 'records') rows.push(...batch.records.map((row) => toJson(row)))
    return rows.sort()
  }
  return Object.fromEntries(await Promise.all(tables.map(async (table) => [table, await read(table)] as const)))
}

/** A pipeline from MLflow into a lake of its own; `passes` of it, then what the lake holds. */
const openPipeline = async (folder: string) => {
  const store = await openStore(path.join(folder, 'state.db'))
  const lake = connect(local, { name: 'lake', config: { database: path.join(folder, 'lake.duckdb') } }) as AnyConnection
  return {
    pass: async (source: AnyConnection) => {
      const pipeline = { name: 'tracking-to-lake', source, sink: lake, sinkName: 'tables' }
      return sync({ pipeline, store, commitBytes: 0 })
    },
    contents: () => contents(lake),
    close: async () => {
      await lake.close()
      await store.close()
    },
  }
}

peer.describe('a sync under every fault', () => {
  test(
    `the lake is as the partner once the faults have stopped (ECOKIT_SEED=${seed})`,
    async () => {
      const random = randomOf(seed + 3)
      const all = kinds.flatMap((kind) =>
        Array.from({ length: seeds || 5 }, (_, index) => ({ kind, index, seed: Math.floor(random() * 2 ** 31) })),
      )
      const wanted = all.filter(({ kind }) => only?.test(kind) ?? true)
      const cells = seeds > 0 || only !== undefined ? wanted : wanted.filter(() => random() < 1 / 40)
      const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-fault-sync-'))
      const world = await openWorld(2, seed, toxiproxy.missing === undefined)
      const wrong: string[] = []
      const runs: Record<string, number> = {}
      let events = 0
      const inLane = async (
        lane: Lane,
        place: number,
        truth: Lake | undefined,
        cell: (typeof all)[number] | undefined,
      ) => {
        const home = path.join(folder, `lane-${place}`)
        await mkdir(home, { recursive: true })
        const pipeline = await openPipeline(home)
        try {
          if (cell !== undefined) {
            const tcp = cell.kind.startsWith('tcp ')
            const schedule = schedules[cell.index % schedules.length] ?? 'all'
            lane.faults.set(tcp ? undefined : { kind: cell.kind as HttpKind, seed: cell.seed, schedule })
            if (tcp && lane.toxic !== undefined)
              await poison(lane.toxic, cell.kind.slice(4) as TcpKind, cell.index, randomOf(cell.seed))
            const title = `${cell.kind}, seed ${cell.index} (${cell.seed})`
            for (let pass = 0; pass < 2; pass += 1) {
              const source = openTo(lane, cell)
              const result = await pipeline.pass(source)
              runs[result.status] = (runs[result.status] ?? 0) + 1
              for (const { error, stream } of result.streams)
                if (error !== undefined)
                  for (const fault of errorFaults({ ecokit: 1, partner: 'tracking', ...error }))
                    wrong.push(`${title} on ${stream}: ${fault}`)
              await source.close()
            }
            lane.faults.set()
            if (tcp) await lane.toxic?.clear()
            const source = openTo(lane, cell)
            const last = await pipeline.pass(source)
            await source.close()
            if (last.status !== 'completed')
              wrong.push(
                `${title}: the pass after the faults ${last.status}: ${last.streams.map(({ error }) => error?.message ?? '').join()}`,
              )
            const held = await pipeline.contents()
            for (const table of tables)
              if (held[table]?.join('\n') !== truth?.[table]?.join('\n'))
                wrong.push(`${title}: ${table} holds ${held[table]?.length} rows, the truth ${truth?.[table]?.length}`)
            return held
          }
          const source = openTo(lane, { kind: 'latency', index: 0, seed })
          expect((await pipeline.pass(source)).status).toBe('completed')
          await source.close()
          return await pipeline.contents()
        } finally {
          await pipeline.close()
          const told = faultsInFile(path.join(home, 'state.db'))
          events += told.events
          wrong.push(...told.faults)
          await rm(home, { recursive: true, force: true })
        }
      }
      try {
        const [first] = world.lanes
        if (first === undefined) throw new Error('no lane')
        first.faults.set()
        const truth = await inLane(first, 0, undefined, undefined)
        for (const table of tables) expect(truth[table]?.length).toBeGreaterThan(0)
        const queue = [...cells]
        await Promise.all(
          world.lanes.map(async (lane, place) => {
            for (let cell = queue.shift(); cell !== undefined; cell = queue.shift())
              await inLane(lane, place, truth, cell)
          }),
        )
        const counts = { syncs: cells.length, runsUnderFaults: runs, wrongLakes: wrong.length, events }
        console.log(JSON.stringify(counts))
        handOverCounts(counts)
        expect(wrong).toEqual([])
        expect(events).toBeGreaterThan(0)
        expect(unhandled).toEqual([])
      } finally {
        await world.stop()
        await rm(folder, { recursive: true, force: true })
      }
    },
    seeds > 0 ? 7_200_000 : 300_000,
  )
})
