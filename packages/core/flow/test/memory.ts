import { connect } from '@ecokit/connect'
import { defineConnector, deletedAt, sink, stream } from '@ecokit/contracts'
import type {
  AnyConnection,
  AnyRecord,
  Batch,
  Checkpoint,
  Discovered,
  ReadOptions,
  Sink,
  WriteOptions,
  Writer,
} from '@ecokit/contracts'
import { z } from 'zod'
import { recordsOf } from '../src/lines.ts'

/** What a sink holds: tables by name, and the checkpoints that were committed with them. */
export interface Disk {
  readonly tables: Map<string, AnyRecord[]>
  readonly checkpoints: Map<string, Checkpoint | undefined>
  /** What each writer was opened with, and every batch that it was handed. */
  readonly opened: WriteOptions[]
  readonly batches: Batch<AnyRecord>[]
  /** Called before each step; what it throws ends it. */
  onStep: (step: 'open' | 'write' | 'commit' | 'committed') => void
  /** Why a record is refused; undefined: it is not. */
  refuses: (record: AnyRecord) => string | undefined
}
export const newDisk = (): Disk => ({
  tables: new Map(),
  checkpoints: new Map(),
  opened: [],
  batches: [],
  onStep: () => {},
  refuses: () => undefined,
})
export const rowsOn = (disk: Disk, table: string): readonly AnyRecord[] => disk.tables.get(table) ?? []

const copyOf = (rows: readonly AnyRecord[] | undefined): AnyRecord[] => (rows ?? []).map((row) => ({ ...row }))

const openWriter = (disk: Disk, { commit: manner }: Sink, options: WriteOptions): Writer<AnyRecord> => {
  const { table, disposition, key, prune, deletes = 'hard' } = options
  disk.onStep('open')
  disk.opened.push(options)
  const keys = table.primaryKey ?? []
  const keyOf = (record: AnyRecord): string => keys.map((name) => String(record[name])).join('/')
  const seen = new Set<string>()
  let staged: ((rows: AnyRecord[]) => AnyRecord[])[] = []
  const gone = (rows: AnyRecord[], is: (row: AnyRecord) => boolean): AnyRecord[] =>
    deletes === 'soft'
      ? rows.map((row) => (is(row) && row[deletedAt] == null ? { ...row, [deletedAt]: 'now' } : row))
      : rows.filter((row) => !is(row))
  return {
    resumesFrom: () => Promise.resolve(disk.checkpoints.get(key)),
    write: (batch) => {
      disk.onStep('write')
      disk.batches.push(batch)
      const records = recordsOf(batch)?.records ?? []
      const rejected: { index: number; reason: string }[] = []
      const taken = records.filter((record, index) => {
        const reason = disk.refuses(record)
        if (reason !== undefined) rejected.push({ index, reason })
        return reason === undefined
      })
      const removed = new Set((batch.deleted ?? []).map(keyOf))
      for (const record of taken) seen.add(keyOf(record))
      staged.push((rows) => {
        const left = gone(rows, (row) => removed.has(keyOf(row)))
        if (disposition !== 'merge') return [...left, ...taken]
        const merged = new Map(left.map((row) => [keyOf(row), row]))
        for (const record of taken)
          merged.set(keyOf(record), deletes === 'soft' ? { ...record, [deletedAt]: null } : record)
        return [...merged.values()]
      })
      const rows = disposition === 'merge' ? new Set(taken.map(keyOf)).size : taken.length
      return Promise.resolve({ rows, rejected })
    },
    commit: (checkpoint, about) => {
      disk.onStep('commit')
      const final = about?.final === true
      if (disposition === 'overwrite' && !final) return Promise.resolve()
      let rows = disposition === 'overwrite' ? [] : copyOf(disk.tables.get(table.name))
      for (const step of staged) rows = step(rows)
      const before = rows.length
      if (final && prune === true) rows = gone(rows, (row) => !seen.has(keyOf(row)))
      disk.tables.set(table.name, rows)
      if (manner === 'transaction') disk.checkpoints.set(key, checkpoint)
      staged = []
      disk.onStep('committed')
      return Promise.resolve({ pruned: before - rows.length })
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** A sink in memory with tables of any shape. */
export const memorySink = (disk: Disk, about: Partial<Sink> = {}): AnyConnection => {
  const declared: Sink = {
    accepts: ['records', 'ndjson'],
    dispositions: ['append', 'merge', 'overwrite'],
    deletes: ['hard', 'soft'],
    changes: ['add_column', 'widen'],
    commit: 'transaction',
    ...about,
  }
  return connect(
    defineConnector(
      {
        id: 'memory',
        title: 'Memory',
        config: z.strictObject({}),
        hosts: [],
        sinks: { rows: sink(declared as never) },
      },
      () => ({
        check: () => Promise.resolve({}),
        write: { rows: (options: WriteOptions) => Promise.resolve(openWriter(disk, declared, options)) },
      }),
    ) as never,
    { name: 'lake', config: {} },
  )
}

/** A stream of a source in memory. */
export interface Shelf {
  readonly schema: z.ZodObject
  readonly primaryKey?: readonly string[]
  readonly cursor?: string
  /** Gives its batches; they are not changed on their way, other than connect does with those of any connector. */
  readonly read: (options: ReadOptions) => AsyncIterable<Batch<AnyRecord>>
}

/** A source whose streams are functions. `raw`: batches reach the engine as they are given, as those that connect itself has proved do. */
export const sourceOfShelves = (shelves: Readonly<Record<string, Shelf>>, { raw = false } = {}): AnyConnection => {
  const opened = connect(
    defineConnector(
      {
        id: 'shelves',
        title: 'Shelves',
        config: z.strictObject({}),
        hosts: [],
        streams: Object.fromEntries(
          Object.entries(shelves).map(([name, { schema, primaryKey, cursor }]) => [
            name,
            stream({ schema, ...(primaryKey && { primaryKey }), ...(cursor && { cursor }) } as never),
          ]),
        ),
      },
      () => ({
        check: () => Promise.resolve({}),
        read: Object.fromEntries(Object.entries(shelves).map(([name, { read }]) => [name, read])),
      }),
    ) as never,
    { name: 'shop', config: {} },
  ) as AnyConnection
  if (!raw) return opened
  return { ...opened, read: (name, options = {}) => shelves[name]?.read(options) ?? pagesOf(() => [])(options) }
}

/** Pages of records, each with a checkpoint that counts them. */
export const pagesOf = (pages: () => readonly (readonly AnyRecord[])[]) =>
  async function* ({ checkpoint, signal }: ReadOptions): AsyncIterable<Batch<AnyRecord>> {
    const from = typeof checkpoint?.['page'] === 'number' ? checkpoint['page'] : 0
    for (const [index, records] of pages().slice(from).entries()) {
      await Promise.resolve()
      signal?.throwIfAborted()
      yield { encoding: 'records', records, checkpoint: { page: from + index + 1 } }
    }
  }

/** A batch of proven NDJSON. */
export const ndjson = (lines: readonly string[], checkpoint?: Checkpoint): Batch<AnyRecord> => ({
  encoding: 'ndjson',
  bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')),
  count: lines.length,
  proven: true,
  ...(checkpoint !== undefined && { checkpoint }),
})

/** Tables that a source finds at run time, whose shape may change between runs. */
export const discovering = (
  tables: () => readonly Discovered[],
  read: (name: string, options: ReadOptions) => AsyncIterable<Batch<AnyRecord>>,
): AnyConnection => {
  const opened = connect(
    defineConnector({ id: 'found', title: 'Found', config: z.strictObject({}), hosts: [], discovers: true }, () => ({
      check: () => Promise.resolve({}),
      discover: async function* () {
        await Promise.resolve()
        yield* tables()
      },
      readDiscovered: read,
    })),
    { name: 'base', config: {} },
  )
  return opened
}
