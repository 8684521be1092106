import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { AnyRecord } from '@ecokit/contracts'
import { connect, local } from '../src/index.ts'
import { linesOf, startChild } from './children.ts'
import { pageRecords, pagesOfPass, rowsOfPage, table, writing } from './pages.ts'
import { openWriter, readAll, sinks, temporaryFolder } from './support.ts'
import type { AnyConnection } from '../src/index.ts'

/** More with `pnpm prove local`. */
const kills = Number(process.env['ECOKIT_LOCAL_KILLS'] ?? 5)
/** A slow machine may need more kills until it has anything to show. */
const most = kills + 60
const timeout = 120_000 + kills * 20_000

/** Numbers that are the same in every run (mulberry32). */
const seeded = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

/** Lets the child work for a while of real time, then kills it without warning. */
const killWhileWriting = async (args: readonly string[], milliseconds: number): Promise<void> => {
  const child = startChild(args)
  const ended = once(child, 'exit')
  expect(await linesOf(child)()).toBe('ready')
  await sleep(milliseconds)
  child.kill('SIGKILL')
  expect((await ended)[1]).toBe('SIGKILL')
}

/** Rows of a page stand in its folder. */
const parted = ['parquet/parted', 'csv/parted', 'ndjson/parted'] as const
/** Parts that no manifest lists, and folders in which nothing is. */
const strangers = async (directory: string): Promise<readonly string[]> => {
  const { parts } = JSON.parse(await readFile(path.join(directory, '_manifest.json'), 'utf8')) as {
    readonly parts: readonly { readonly file: string }[]
  }
  const listed = new Set(parts.flatMap(({ file }) => [file, path.posix.dirname(file)]))
  const found = (await readdir(directory, { recursive: true })).map((name) => name.replaceAll(path.sep, '/'))
  return found.filter((name) => /part-|=/.test(name) && !listed.has(name))
}

const look = async <T>(sink: string, place: string, work: (connection: AnyConnection) => Promise<T>): Promise<T> => {
  const connection = connect(local, {
    name: 'lake',
    config: sink === 'tables' ? { database: place } : { folder: place },
  })
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}
const byId = (rows: readonly AnyRecord[]) =>
  rows.toSorted((one, other) => (String(one['id']) < String(other['id']) ? -1 : 1))
const expected = (page: number, disposition: 'append' | 'merge'): readonly AnyRecord[] => {
  const rows = new Map<string, AnyRecord>()
  for (let number = 1; number <= page; number += 1)
    for (const record of pageRecords(number, disposition)) rows.set(record.id, record)
  return byId([...rows.values()])
}

for (const sink of [...sinks, ...parted]) {
  const disposition = sink === 'tables' ? 'merge' : 'append'
  test(
    `${sink}: ${kills} kills while rows are committed: rows and checkpoint agree after each`,
    { timeout },
    async () => {
      const place = path.join(await temporaryFolder(), 'lake')
      const random = seeded([...sinks, ...parted].indexOf(sink) + 1)
      let reached = 0
      // A slow machine needs longer for its first commit.
      let longest = 60
      for (let kill = 0; kill < kills || (reached === 0 && kill < most); kill += 1) {
        await killWhileWriting([disposition, sink, place], random() * longest)
        const { rows, page } = await look(sink, place, async (connection) => {
          const writer = await openWriter(connection, { ...writing, table, disposition }, sink.split('/')[0])
          const checkpoint = await writer.resumesFrom()
          await writer[Symbol.asyncDispose]()
          return {
            rows: checkpoint === undefined ? [] : await readAll(connection, table.name),
            page: Number(checkpoint?.['page'] ?? 0),
          }
        })
        expect(byId(rows)).toEqual(expected(page, disposition))
        expect(page).toBeGreaterThanOrEqual(reached)
        reached = page
        if (reached === 0) longest *= 1.3
      }
      expect(reached).toBeGreaterThan(0)
      // What the kills left behind is gone once a writer was there.
      expect(sink === 'tables' ? [] : await readdir(path.join(place, table.name, '_staged'))).toEqual([])
      expect(sink === 'tables' ? [] : await strangers(path.join(place, table.name))).toEqual([])
    },
  )
}

/** Reads the table and says which passes its rows are of. */
const passesIn = (sink: string, place: string) =>
  look(sink, place, async (connection) => {
    const rows: AnyRecord[] = []
    for await (const found of connection.discover?.() ?? [])
      if (found.name === table.name) rows.push(...(await readAll(connection, table.name)))
    return { rows, passes: [...new Set(rows.map((row) => row['pass']))] }
  })

for (const sink of ['tables', 'parquet', 'ndjson', 'csv/parted'])
  test(`${sink}: kills while passes overwrite: readers see the whole of one pass`, { timeout }, async () => {
    const place = path.join(await temporaryFolder(), 'lake')
    const random = seeded(100 + sink.length)
    const seen = new Set<unknown>()
    // A slow machine needs longer to finish a pass: the later kills wait until one is seen.
    let longest = 80
    for (let kill = 0; kill < kills / 2 || (seen.size < 2 && kill < most); kill += 1) {
      await killWhileWriting(['overwrite', sink, place], random() * longest)
      const { rows, passes } = await passesIn(sink, place)
      expect(rows.length).toBe(passes.length * pagesOfPass * rowsOfPage)
      expect(passes.length).toBeLessThanOrEqual(1)
      for (const pass of passes) seen.add(pass)
      if (seen.size < 2) longest *= 1.2
    }
    expect(seen.size).toBeGreaterThan(1)
  })

test(
  'tables: kills while passes prune: no key twice, and never rows of more than two passes',
  { timeout },
  async () => {
    const place = path.join(await temporaryFolder(), 'lake')
    const random = seeded(7)
    for (let kill = 0; kill < kills / 2; kill += 1) {
      await killWhileWriting(['prune', 'tables', place], random() * 80)
      const { rows } = await passesIn('tables', place)
      expect(new Set(rows.map((row) => row['id'])).size).toBe(rows.length)
      // Each pass has its own third of the keys: at most the last whole one and the one that is under way.
      expect(rows.length % rowsOfPage).toBe(0)
      expect(new Set(rows.map((row) => String(row['id']).slice(0, 1))).size).toBeLessThanOrEqual(2)
    }
  },
)
