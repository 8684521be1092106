import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import type { AnyRecord } from '@ecokit/contracts'
import { requirePeer } from '@ecokit/peers/vitest'
import { linesOf, startChild } from './children.ts'
import { pageRecords, pagesOfPass, rowsOfPage, table, writing } from './pages.ts'
import { configOf, endServer, open, openWriter, readAll, records, server } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)
/** More with `pnpm prove postgres`. */
const kills = Number(process.env['ECOKIT_POSTGRES_ROUNDS'] ?? 3)
/** A slow machine may need more kills until it has anything to show. */
const most = kills + 20

/** Numbers that are the same in every run (mulberry32). */
const seeded = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}
const placeOf = async (): Promise<string> => {
  const running = await server()
  return JSON.stringify({ config: configOf(running), credentials: { scheme: 'password', ...running.logins.writer } })
}
/** Lets the child work for a while of real time, then kills it without warning. */
const killWhileWriting = async (what: string, milliseconds: number): Promise<void> => {
  const child = startChild([what, await placeOf()])
  const ended = once(child, 'exit')
  expect(await linesOf(child)()).toBe('ready')
  await sleep(milliseconds)
  child.kill('SIGKILL')
  expect((await ended)[1]).toBe('SIGKILL')
}
const byId = (rows: readonly AnyRecord[]) =>
  rows.toSorted((one, other) => (String(one['id']) < String(other['id']) ? -1 : 1))
const expected = (page: number, disposition: 'append' | 'merge'): readonly AnyRecord[] => {
  const rows = new Map<string, AnyRecord>()
  for (let number = 1; number <= page; number += 1)
    for (const record of pageRecords(number, disposition)) rows.set(record.id, record)
  return byId([...rows.values()])
}
const clear = async () =>
  (await server()).sql(
    `DROP TABLE IF EXISTS numbers; DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relname ~ '^_ecokit_(rows|keys|checkpoints|tables)' AND relkind = 'r' LOOP EXECUTE format('DROP TABLE %I', t); END LOOP; END $$`,
  )

peer.describe('kills', () => {
  for (const disposition of ['append', 'merge'] as const)
    test(
      `${kills} kills while rows are ${disposition}ed: rows and checkpoint agree after each`,
      { timeout: 60_000 + kills * 30_000 },
      async () => {
        await clear()
        const connection = await open()
        const random = seeded(disposition.length)
        let reached = 0
        for (let kill = 0; kill < kills || (reached === 0 && kill < most); kill += 1) {
          await killWhileWriting(disposition, random() * 100)
          const writer = await openWriter(connection, { ...writing, table, disposition })
          const page = Number((await writer.resumesFrom())?.['page'] ?? 0)
          await writer[Symbol.asyncDispose]()
          expect(byId(page === 0 ? [] : await readAll(connection, table.name))).toEqual(expected(page, disposition))
          expect(page).toBeGreaterThanOrEqual(reached)
          reached = page
        }
        expect(reached).toBeGreaterThan(0)
      },
    )

  for (const what of ['overwrite', 'prune'])
    test(
      `kills while passes ${what}: readers never see what no pass made`,
      { timeout: 60_000 + kills * 30_000 },
      async () => {
        await clear()
        const random = seeded(what.length)
        const seen = new Set<unknown>()
        for (let kill = 0; kill < kills || (seen.size === 0 && kill < most); kill += 1) {
          await killWhileWriting(what, 50 + random() * 250)
          const connection = await open()
          const rows = await readAll(connection, table.name).catch(() => [])
          expect(new Set(rows.map((row) => row['id'])).size).toBe(rows.length)
          const passes = new Set(rows.map((row) => row['pass']))
          for (const pass of passes) seen.add(pass)
          // A pass that prunes is seen page by page; one that overwrites is seen whole, and no other beside it.
          const overwrites = what === 'overwrite'
          expect(rows.length % rowsOfPage).toBe(0)
          expect(passes.size <= 1 || !overwrites).toBe(true)
          expect(rows.length === passes.size * pagesOfPass * rowsOfPage || !overwrites).toBe(true)
        }
        expect(seen.size).toBeGreaterThan(0)
      },
    )

  test(
    'a server that is killed in the middle: unavailable, and what was committed is there afterwards',
    { timeout: 60_000 },
    async () => {
      await clear()
      const running = await server()
      const connection = await open()
      const writer = await openWriter(connection, { ...writing, table, disposition: 'append' })
      await writer.write(records(...pageRecords(1, 'append')))
      await writer.commit({ page: 1 })
      await writer.write(records(...pageRecords(2, 'append')))
      await running.kill()
      try {
        await expect(writer.commit({ page: 2 })).rejects.toMatchObject({ code: 'unavailable', retryable: true })
        await expect(writer.write(records(...pageRecords(3, 'append')))).rejects.toMatchObject({ code: 'unavailable' })
        await writer[Symbol.asyncDispose]()
        await expect(readAll(connection, table.name)).rejects.toMatchObject({
          code: 'unavailable',
          // A port that is just being closed resets instead of refusing.
          details: { cause: expect.stringMatching(/^ECONN(REFUSED|RESET)$/) as string },
        })
      } finally {
        await running.restart()
      }
      const next = await openWriter(connection, { ...writing, table, disposition: 'append' })
      expect(await next.resumesFrom()).toEqual({ page: 1 })
      expect(byId(await readAll(connection, table.name))).toEqual(expected(1, 'append'))
    },
  )
})
