import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism, constants, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { handOverCounts, progressOf } from '../../../../tools/proofs/counts.ts'
import { endedByDuck, judgeDamage, judgeFault, judgeNext } from './disk/judge.ts'
import { kinds, type Damage, type Fault, type Outcome, type Task } from './disk/task.ts'
import { openWorker, type Worker } from './disk/worker.ts'
import { openFactory } from './kill/factory.ts'
import { faultsInFile } from './openlineage.ts'
import { duckdb, files, type Lane } from './kill/lanes.ts'
import { openShop, pageRows, type Shop } from './kill/shop.ts'
import { randomOf } from './kill/torture.ts'

const count = Number(process.env['ECOKIT_CUTS'] ?? 48)
const bits = Number(process.env['ECOKIT_BITS'] ?? 12)
/** The proof of cuts and failing calls leaves nothing out: neither the last block of a kind of file, nor a call that can fail, nor both for want of a compiler. */
const isProof = (process.env['ECOKIT_PROOF_COUNTS'] ?? '') !== '' && process.env['ECOKIT_CUTS'] !== undefined
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const tailBytes = 4096

interface Place {
  readonly lane: Lane
  readonly shop: Shop
  readonly golden: string
}
// In memory where there is such a folder: no power is cut here, so that nothing is gained by waiting for a disk.
const home = await mkdtemp(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'ecokit-disk-'))
const places: Place[] = []
const lanes = { ndjson: files('ndjson'), csv: files('csv'), parquet: files('parquet'), duckdb }
/** Files of the engine, which are the same whatever the sink. */
const isOfEngine = (kind: string): boolean => /^(?:state\.db|lineage|_lock)/.test(kind)

beforeAll(async () => {
  const factory = openFactory(1)
  const random = randomOf(seed)
  for (const [name, open] of Object.entries(lanes)) {
    const golden = path.join(home, name)
    await mkdir(golden)
    const shop = await openShop()
    const lane = open(golden)
    const life = { sink: lane.place, url: shop.url, folder: golden, streams: lane.streams, naive: false, full: false }
    shop.change(random, false)
    expect(await factory.live(life)).toEqual({ killed: false, wrong: '' })
    shop.change(random, false)
    // Its logs are not folded into the files: both are there to be damaged.
    expect(await factory.live({ ...life, kill: { phase: 'close sink', nth: 1, delayMs: 0 } })).toMatchObject({
      killed: true,
    })
    // A pass of three pages or more is cut off at its second: what it committed waits to become lasting files.
    for (const { events } = shop; shop.events <= events + 2 * pageRows;) shop.change(random, false)
    expect(await factory.live({ ...life, kill: { phase: 'committed, not noted', nth: 2, delayMs: 0 } })).toMatchObject({
      killed: true,
      stream: 0,
    })
    const waiting = (await readdir(golden, { recursive: true })).filter((file) => file.includes('_staged/part-'))
    expect(waiting.length > 0).toBe(name !== 'duckdb')
    // What comes after the fault.
    shop.change(random, false)
    places.push({ lane, shop, golden })
  }
  await factory.close()
}, 120_000)
const workers = new Set<Worker>()
afterAll(async () => {
  for (const worker of workers) await worker.close()
  for (const { shop } of places) await shop.close()
  await rm(home, { recursive: true, force: true })
})

const taskOf = ({ lane, shop, golden }: Place, number: number): Task => ({
  url: shop.url,
  sinkName: lane.place.sinkName,
  config: lane.name === 'duckdb' ? 'database' : 'folder',
  streams: lane.streams,
  golden,
  work: path.join(home, `work-${number}`),
})

const kindOf = (file: string): string => file.replace(/^files\/\w+\/(?:_staged\/)?/, '').replace(/\d{6}/, 'n')

/** Does every task, side by side, and counts how they came out; gives the first few of those that did not as they should. */
const all = async (
  tasks: readonly { readonly place: Place; readonly damage?: Damage; readonly fault?: Fault }[],
  shim: string | undefined,
  judge: (outcome: Outcome | string, shop: Shop, task: Task) => string,
) => {
  const outcomes: Record<string, Record<string, number>> = {}
  let events = 0
  const wrong = new Map<string, { count: number; example: unknown }>()
  let next = 0
  const progress = progressOf(shim === undefined ? 'damaged files' : 'faults', tasks.length)
  await Promise.all(
    // A task waits for files and timers now and then.
    Array.from({ length: 1 + availableParallelism() }, async (_, number) => {
      const worker = openWorker(shim)
      workers.add(worker)
      for (let at = next++; at < tasks.length; at = next++) {
        progress()
        const { place, damage, fault } = tasks[at]!
        const task = { ...taskOf(place, number), damage, fault }
        const outcome = await worker.perform(task)
        const judged =
          fault !== undefined && endedByDuck(outcome)
            ? judgeNext(await worker.perform({ ...task, golden: undefined, fault: undefined }), place.shop)
            : judge(outcome, place.shop, task)
        // Of a state database that was damaged itself nothing can be asked.
        const lineage =
          damage?.file.startsWith('state.db') === true ? undefined : faultsInFile(path.join(task.work, 'state.db'))
        events += lineage?.events ?? 0
        const verdict = lineage?.faults[0] ?? judged
        const good = ['right', 'typed', 'not met', 'ended by DuckDB, then right', 'torn by DuckDB, told'].includes(
          verdict,
        )
        const what = damage === undefined ? 'calls' : kindOf(damage.file)
        const counts = (outcomes[`${place.lane.name} ${what}`] ??= {})
        counts[good ? verdict : 'wrong'] = (counts[good ? verdict : 'wrong'] ?? 0) + 1
        if (good) continue
        const kind = `${place.lane.name} ${what}: ${verdict.replaceAll(home, '').replace(/\d+/g, 'N').slice(0, 300)}`
        const known = wrong.get(kind) ?? { count: 0, example: { ...(damage ?? fault), verdict } }
        known.count += 1
        wrong.set(kind, known)
      }
      await worker.close()
    }),
  )
  return { outcomes, events, wrong: Object.fromEntries(wrong) }
}

const shuffled = <T>(list: readonly T[], random: () => number): readonly T[] =>
  list
    .map((value) => ({ value, at: random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ value }) => value)

/** Every file of every lake. Pages are large from here on: what is damaged is there already. */
const filesThere = async () => {
  const found: { place: Place; file: string; size: number }[] = []
  for (const place of places) {
    place.shop.setPage(1000)
    for (const file of await readdir(place.golden, { recursive: true })) {
      const { size } = await stat(path.join(place.golden, file))
      // Shared memory is made anew.
      if (/\.\w+(?:-wal)?$/.test(file)) found.push({ place, file, size })
    }
  }
  return found
}

test(
  `${count} files of a lake without their ends: right rows or a typed error (ECOKIT_SEED=${seed})`,
  async () => {
    const random = randomOf(seed, 1)
    const tails = await filesThere()
    // First the largest file of each kind, at every byte of its last block; what the next pass overwrites anyway would show nothing.
    const largest = new Map<string, (typeof tails)[number]>()
    for (const tail of tails.filter(({ file }) => !file.includes('/snap/'))) {
      const kind = kindOf(tail.file)
      if (isOfEngine(kind) && largest.has(kind)) continue
      if ((largest.get(kind)?.size ?? 0) < tail.size) largest.set(kind, tail)
    }
    const cutsOf = ({ place, file, size }: (typeof tails)[number]) =>
      Array.from({ length: Math.min(tailBytes, size) }, (_, at) => ({ place, damage: { file, length: size - 1 - at } }))
    const first = [...largest.values()].flatMap(cutsOf)
    const others = tails.filter((tail) => largest.get(kindOf(tail.file)) !== tail).flatMap(cutsOf)
    const cuts = [...shuffled(first, random), ...shuffled(others, random)].slice(0, count)
    const { outcomes, events, wrong } = await all(cuts, undefined, judgeDamage)
    const kinds = Object.fromEntries([...largest].map(([kind, tail]) => [kind, Math.min(tailBytes, tail.size)]))
    const lastBlocks = { kinds, of: first.length, done: Math.min(first.length, cuts.length) }
    handOverCounts({ lastBlocks, cuts: { done: cuts.length, outcomes, events, wrong } })
    expect(wrong).toEqual({})
    expect(events).toBeGreaterThan(0)
    // A greater --count cuts every byte.
    expect(lastBlocks.done).toBe(isProof ? lastBlocks.of : lastBlocks.done)
  },
  60_000 + count * 2000,
)

test(
  `${bits} files of a lake with a changed bit: right rows or a typed error (ECOKIT_SEED=${seed})`,
  async () => {
    const random = randomOf(seed, 3)
    const flips = (await filesThere()).flatMap(({ place, file, size }) =>
      Array.from({ length: size > 0 ? 1000 : 0 }, () => ({
        place,
        damage: { file, at: Math.floor(random() * size), bit: Math.floor(random() * 8) },
      })),
    )
    const chosen = shuffled(flips, random).slice(0, bits)
    const { outcomes, events, wrong } = await all(chosen, undefined, judgeDamage)
    handOverCounts({ bits: { done: chosen.length, outcomes, events, wrong } })
    expect(wrong).toEqual({})
    expect(chosen.length).toBe(bits)
  },
  60_000 + bits * 2000,
)

test('a part that was changed and has no checksum is a silent loss, and is seen as one', async () => {
  const place = places.find(({ lane }) => lane.name === 'ndjson')!
  const golden = path.join(home, 'unsummed')
  await cp(place.golden, golden, { recursive: true })
  const table = path.join(golden, 'files', 'log')
  const manifest = await readFile(path.join(table, '_manifest.json'), 'utf8')
  await writeFile(path.join(table, '_manifest.json'), manifest.replace(/,\s*"crc": \d+/g, ''))
  for (const folder of [table, path.join(table, '_staged')])
    for (const file of await readdir(folder).catch(() => []))
      if (file.startsWith('part-')) {
        const text = await readFile(path.join(folder, file), 'utf8')
        await writeFile(path.join(folder, file), text.replace('event 3 ', 'event 8 '))
      }
  const worker = openWorker(undefined)
  workers.add(worker)
  const outcome = await worker.perform({ ...taskOf(place, 98), golden })
  await worker.close()
  expect(judgeDamage(outcome, place.shop)).toMatch(/^silent: log/)
})

const compile = promisify(execFile)
const shim = path.join(home, 'shim.so')
const compiled =
  process.platform === 'linux' &&
  (await compile('gcc', [
    '-shared',
    '-fPIC',
    '-O1',
    '-o',
    shim,
    fileURLToPath(new URL('disk/shim.c', import.meta.url)),
    '-ldl',
  ]).then(
    () => true,
    () => false,
  ))

const { write, sync, open, name, size } = kinds
const faults: readonly (Omit<Fault, 'nth'> & { readonly called: string })[] = [
  { called: 'the disk is full from there on', mask: write, errno: constants.errno.ENOSPC, sticky: true },
  { called: 'one write finds no space', mask: write, errno: constants.errno.ENOSPC, sticky: false },
  { called: 'one write fails', mask: write, errno: constants.errno.EIO, sticky: false },
  { called: 'one sync fails', mask: sync, errno: constants.errno.EIO, sticky: false },
  {
    called: 'everything fails from there on',
    mask: write | sync | size | name,
    errno: constants.errno.EIO,
    sticky: true,
  },
  { called: 'one rename fails', mask: name | size, errno: constants.errno.EIO, sticky: false },
  { called: 'one file cannot be opened', mask: open, errno: constants.errno.EMFILE, sticky: false },
]
test.skipIf(!compiled && !isProof)(
  `a disk that fails at each call of a sync: a typed error, and the next sync is right (needs gcc on Linux; ECOKIT_SEED=${seed})`,
  async () => {
    expect(compiled, 'gcc on Linux makes the disk fail').toBe(true)
    const random = randomOf(seed, 2)
    for (const { shop } of places) shop.setPage(pageRows)
    const tasks: { place: Place; fault: Fault }[] = []
    const calls: Record<string, number> = {}
    const worker = openWorker(shim)
    workers.add(worker)
    for (const place of places)
      for (const { called, ...fault } of faults) {
        const outcome = await worker.perform({ ...taskOf(place, 99), fault: { ...fault, nth: 0 } })
        if (typeof outcome === 'string') throw new Error(outcome)
        calls[`${place.lane.name}: ${called}`] = outcome.counted
        for (let nth = 1; nth <= outcome.counted; nth += 1) tasks.push({ place, fault: { ...fault, nth } })
      }
    await worker.close()
    expect(Object.values(calls).every((counted) => counted > 0)).toBe(true)
    const chosen = shuffled(tasks, random).slice(0, Math.ceil(count * 0.625))
    const { outcomes, events, wrong } = await all(chosen, shim, judgeFault)
    handOverCounts({ faults: { done: chosen.length, of: tasks.length, calls, outcomes, events, wrong } })
    expect(wrong).toEqual({})
    expect(events).toBeGreaterThan(0)
    // A greater --count fails every call.
    expect(chosen.length).toBe(isProof ? tasks.length : chosen.length)
  },
  60_000 + count * 2000,
)
