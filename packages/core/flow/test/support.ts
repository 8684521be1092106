import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { connect } from '@ecokit/connect'
import { httpSink } from '@ecokit/connector-http-sink'
import { defineConnector, int64, sink, stream } from '@ecokit/contracts'
import type { AnyConnection, Batch, Checkpoint, ReadOptions, WriteOptions, Writer } from '@ecokit/contracts'
import { openStore, type Store } from '@ecokit/store'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { sync, type RunResult, type StreamRun, type SyncOptions } from '../src/index.ts'
import { checkEvents } from './openlineage.ts'

export const item = z.object({ id: z.int(), at: z.int(), name: z.string(), big: int64() })
export type Item = z.input<typeof item>

/** A table that can be paged by `at`, as a partner's API would offer it; it changes while nobody looks. */
export interface Table {
  items: Item[]
  pageSize: number
  /** Called before each page is given; what it throws ends the read. */
  onPage: (read: { readonly page: number; readonly signal: AbortSignal | undefined }) => void | Promise<void>
  readonly reads: (Checkpoint | undefined)[]
}
export const newTable = (items: Item[], pageSize = 10): Table => ({ items, pageSize, onPage: () => {}, reads: [] })

/** `count` items with rising `at`. */
export const items = (count: number, from = 0): Item[] =>
  Array.from({ length: count }, (_, index) => ({
    id: from + index,
    at: from + index,
    name: `item ${from + index}`,
    big: String(2n ** 62n + BigInt(from + index)),
  }))

const readTable = async function* (table: Table, { checkpoint, signal }: ReadOptions): AsyncIterable<Batch<Item>> {
  table.reads.push(checkpoint)
  const after = typeof checkpoint?.['after'] === 'number' ? checkpoint['after'] : -1
  const found = table.items.filter(({ at }) => at > after).toSorted((one, other) => one.at - other.at)
  for (let page = 0; page * table.pageSize < found.length; page += 1) {
    signal?.throwIfAborted()
    await table.onPage({ page, signal })
    const records = found.slice(page * table.pageSize, (page + 1) * table.pageSize)
    yield { encoding: 'records', records, checkpoint: { after: records.at(-1)?.at ?? after } }
  }
}

/** A source over tables in memory: `items` with a key and a cursor, `plain` with neither. */
export const sourceOf = (table: Table, name = 'shop'): AnyConnection =>
  connect(
    defineConnector(
      {
        id: 'shop',
        title: 'Shop',
        config: z.strictObject({}),
        hosts: [],
        streams: {
          items: stream({ schema: item, primaryKey: ['id'], cursor: 'at' }),
          plain: stream({ schema: item }),
        },
      },
      () => ({
        check: () => Promise.resolve({}),
        read: {
          items: (options) => readTable(table, options),
          plain: (options) => readTable(table, { ...options, checkpoint: undefined }),
        },
      }),
    ),
    { name, config: {} },
  )

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

const openWriter = (file: string, { table, disposition, key, prune }: WriteOptions): Writer<Item> => {
  const db = new DatabaseSync(file, { timeout: 5_000 })
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS checkpoints (key TEXT PRIMARY KEY, body TEXT)')
  const keyed = (table.primaryKey ?? []).map(quoted).join(', ')
  const into = quoted(disposition === 'overwrite' ? `${table.name}__next` : table.name)
  const columns = '(id INTEGER, at INTEGER, name TEXT, big INTEGER'
  db.exec('BEGIN IMMEDIATE')
  const create = (name: string) =>
    db.exec(
      `CREATE TABLE IF NOT EXISTS ${name} ${columns}${disposition === 'merge' ? `, PRIMARY KEY (${keyed})` : ''})`,
    )
  if (disposition === 'overwrite') db.exec(`DROP TABLE IF EXISTS ${into}`)
  create(into)
  if (prune === true) db.exec('CREATE TEMP TABLE seen (id INTEGER PRIMARY KEY)')
  const insert = db.prepare(`INSERT ${disposition === 'merge' ? 'OR REPLACE ' : ''}INTO ${into} VALUES (?, ?, ?, ?)`)
  const see = prune === true ? db.prepare('INSERT OR IGNORE INTO seen VALUES (?)') : undefined
  return {
    resumesFrom: () => {
      const row = db.prepare('SELECT body FROM checkpoints WHERE key = ?').get(key)
      return Promise.resolve(row === undefined ? undefined : (JSON.parse(String(row['body'])) as Checkpoint))
    },
    write: (batch) => {
      if (batch.encoding !== 'records') throw new Error('records only')
      const rejected: { index: number; reason: string }[] = []
      const seen = new Set<number>()
      for (const [index, record] of batch.records.entries()) {
        if (record.name === 'refused by the sink') {
          rejected.push({ index, reason: 'the sink does not want it' })
          continue
        }
        insert.run(record.id, record.at, record.name, BigInt(record.big))
        see?.run(record.id)
        seen.add(record.id)
      }
      for (const gone of batch.deleted ?? []) db.prepare(`DELETE FROM ${into} WHERE id = ?`).run(Number(gone['id']))
      const rows = disposition === 'merge' ? seen.size : batch.records.length - rejected.length
      return Promise.resolve({ rows, rejected })
    },
    commit: (checkpoint, options) => {
      let pruned = 0
      if (options?.final === true && prune === true)
        pruned = Number(db.prepare(`DELETE FROM ${into} WHERE id NOT IN (SELECT id FROM seen)`).run().changes)
      if (options?.final === true && disposition === 'overwrite')
        db.exec(`DROP TABLE IF EXISTS ${quoted(table.name)}; ALTER TABLE ${into} RENAME TO ${quoted(table.name)}`)
      db.prepare('INSERT OR REPLACE INTO checkpoints VALUES (?, ?)').run(key, JSON.stringify(checkpoint ?? null))
      db.exec('COMMIT; BEGIN IMMEDIATE')
      return Promise.resolve({ pruned })
    },
    [Symbol.asyncDispose]: () => {
      if (db.isOpen) db.close()
      return Promise.resolve()
    },
  }
}

/** A sink over a SQLite file, in three grades of what a crash may do. */
export const sinkOf = (file: string, name = 'lake'): AnyConnection =>
  connect(
    defineConnector(
      {
        id: 'lite',
        title: 'SQLite',
        config: z.strictObject({}),
        hosts: [],
        sinks: {
          tables: sink<typeof item>({
            accepts: ['records'],
            dispositions: ['append', 'overwrite', 'merge'],
            deletes: ['hard'],
            changes: ['add_column'],
            commit: 'transaction',
          }),
          loose: sink<typeof item>({
            accepts: ['records'],
            dispositions: ['append', 'merge'],
            deletes: ['hard'],
            commit: 'at_least_once',
          }),
          again: sink<typeof item>({
            accepts: ['records'],
            dispositions: ['overwrite', 'merge'],
            deletes: ['hard'],
            commit: 'idempotent',
          }),
        },
      },
      () => {
        const write = (options: WriteOptions) => Promise.resolve(openWriter(file, options))
        return { check: () => Promise.resolve({}), write: { tables: write, loose: write, again: write } }
      },
    ),
    { name, config: {} },
  )

/** What the sink's table holds, by id. */
export const rowsIn = (file: string, table = 'items'): Item[] => {
  const db = new DatabaseSync(file)
  try {
    const statement = db.prepare(`SELECT id, at, name, CAST(big AS TEXT) AS big FROM ${quoted(table)} ORDER BY id, at`)
    return statement.all().map((row) => ({ ...row }) as unknown as Item)
  } catch {
    return []
  } finally {
    db.close()
  }
}

/** A folder that is gone after the test. */
export const temporaryFolder = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-flow-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A store that is closed after the test, when every lineage event in it has been held against the official schemas. */
export const testStore = async (file = ':memory:'): Promise<Store> => {
  const store = await openStore(file)
  onTestFinished(async () => {
    try {
      await checkEvents(store)
    } finally {
      await store.close()
    }
  })
  return store
}

/** Runs a pipeline. */
export const run = (options: SyncOptions): Promise<RunResult> => sync(options)

/** The first stream of a run. */
export const only = (result: { readonly streams: readonly StreamRun[] }): StreamRun => {
  const [first] = result.streams
  if (first === undefined) throw new Error('no streams')
  return first
}

/** A partner `hook` over HTTP that takes everything and can neither list nor remove it. */
export const hookSink = async (): Promise<AnyConnection> => {
  const server = createServer((request, response) => request.resume().on('end', () => response.end('{}')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const hook = connect(httpSink, { name: 'hook', config: { url }, credentials: { scheme: 'none' } })
  onTestFinished(async () => {
    await hook.close()
    server.closeAllConnections()
    server.close()
  })
  return hook
}
