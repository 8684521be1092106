import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import type { AnyRecord } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { expect, onTestFinished, test } from 'vitest'
import { listRuns } from '../src/index.ts'
import { temporaryFolder } from './support.ts'

const kills = Number(process.env['ECOKIT_KILLS'] ?? 50)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** A small seeded generator (mulberry32): numbers below 1. */
const randomOf = (start: number) => {
  let state = start
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const pageSize = 50
interface Shop {
  readonly url: string
  readonly ids: number[]
  /** Told of each request. */
  onRequest: () => void
}
const openShop = async (): Promise<Shop> => {
  const shop = { url: '', ids: [] as number[], onRequest: () => {} }
  const server = createServer((request, response) => {
    const after = Number(new URL(request.url ?? '', 'http://localhost').searchParams.get('after'))
    const items = shop.ids.filter((id) => id > after).slice(0, pageSize)
    shop.onRequest()
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ items: items.map((id) => ({ id, at: id, name: `item ${id}` })) }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  shop.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return shop
}

/** Compiled modules, written by the first process that ends by itself: halves what each start costs. */
const compiled = fileURLToPath(new URL('../.cache/compiled', import.meta.url))
const child = fileURLToPath(new URL('kill-child.ts', import.meta.url))

/** Runs one process, killed at the request and the delay that are given; true when it ended by itself before. */
const live = async (
  shop: Shop,
  folder: string,
  about: { readonly kind: string; readonly full: boolean; readonly killAt: number; readonly delayMs: number },
): Promise<boolean> => {
  const { kind, full, killAt, delayMs } = about
  const running = spawn(process.execPath, [child, shop.url, folder, kind, full ? 'full' : ''], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: compiled },
  })
  let said = ''
  running.stderr.on('data', (text: Buffer) => (said += text.toString()))
  let requests = 0
  shop.onRequest = () => {
    requests += 1
    if (requests === killAt) setTimeout(() => running.kill('SIGKILL'), delayMs)
  }
  const [code, signal] = (await once(running, 'close')) as [number | null, string | null]
  expect([said, code ?? signal]).toEqual(['', code === null ? 'SIGKILL' : 0])
  return code === 0
}

/** The ids in a table of the lake, in order; none before there is a table. */
const idsIn = async (folder: string, table: string): Promise<readonly number[]> => {
  const lake = connect(local, { name: 'lake', config: { database: path.join(folder, 'lake.duckdb') } })
  try {
    const tables = await Array.fromAsync(lake.discover(), ({ name }) => name)
    if (!tables.includes(table)) return []
    const records: AnyRecord[] = []
    for await (const batch of lake.read(table)) if (batch.encoding === 'records') records.push(...batch.records)
    return records.map(({ id }) => Number(id)).sort((one, other) => one - other)
  } finally {
    await lake.close()
  }
}

/** Kills process after process until there were enough kills; gives the first thing that was lost or doubled. */
const torture = async (kind: string, wanted: number, random: () => number): Promise<string | undefined> => {
  const folder = await temporaryFolder()
  const shop = await openShop()
  const everSold: number[] = []
  let killed = 0
  let full = false
  const grow = (count: number): void => {
    for (let index = 0; index < count; index += 1) everSold.push(everSold.length)
    shop.ids.push(...everSold.slice(-count))
  }
  const check = async (complete: boolean): Promise<string | undefined> => {
    const log = await idsIn(folder, 'log')
    const merged = await idsIn(folder, 'items')
    const missing = log.findIndex((id, index) => id !== index)
    if (missing !== -1) return `log: ${missing} is lost or doubled`
    if (new Set(merged).size !== merged.length) return 'items: a row is doubled'
    if (!complete) return undefined
    if (log.length !== everSold.length) return `log: holds ${log.length} of ${everSold.length}`
    if (full && merged.join() !== shop.ids.join())
      return `items: ${merged.length} rows, the source has ${shop.ids.length}`
    return shop.ids.every((id) => merged.includes(id)) ? undefined : 'items: a row is lost'
  }
  await live(shop, folder, { kind, full, killAt: Infinity, delayMs: 0 })
  grow(600)
  while (killed < wanted) {
    const killAt = 1 + Math.floor(random() * 14)
    const ended = await live(shop, folder, { kind, full, killAt, delayMs: Math.floor(random() * 12) })
    const fault = await check(ended)
    if (fault !== undefined) return fault
    if (!ended) {
      killed += 1
      continue
    }
    grow(Math.floor(random() * 400))
    full = random() < 0.4
    // Rows may only go once they are in the log, which keeps them.
    if (full) shop.ids.splice(0, Math.floor(random() * 100))
  }
  full = true
  await live(shop, folder, { kind, full, killAt: Infinity, delayMs: 0 })
  const store = await openStore(path.join(folder, 'state.db'))
  onTestFinished(() => store.close())
  const runs = await listRuns(store, { limit: 10_000 })
  expect(runs.filter(({ status }) => status === 'running')).toEqual([])
  const streams = runs.flatMap((run) => run.streams)
  for (const { read, written, quarantined, deduplicated } of streams)
    expect(read).toBe(written + quarantined + deduplicated)
  const logged = streams.filter(({ stream }) => stream === 'log').reduce((sum, { written }) => sum + written, 0)
  if (kind !== 'naive') expect(logged).toBe(everSold.length)
  return check(true)
}

test(
  `${kills} processes killed at any moment: nothing lost, nothing doubled (ECOKIT_SEED=${seed})`,
  async () => {
    console.log(`kill test: ${kills} kills, ECOKIT_SEED=${seed}`)
    const half = Math.ceil(kills / 2)
    const faults = await Promise.all([
      torture('duckdb', half, randomOf(seed)),
      torture('duckdb', kills - half, randomOf(seed + 1)),
    ])
    expect(faults).toEqual([undefined, undefined])
  },
  Math.max(600_000, kills * 5000),
)

test(
  `a sink that stores the checkpoint before the rows is caught (ECOKIT_SEED=${seed})`,
  async () => {
    expect(await torture('naive', 40, randomOf(seed))).toMatch(/lost|doubled|holds/)
  },
  Math.max(600_000, kills * 5000),
)
