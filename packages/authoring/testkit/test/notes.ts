import { z } from 'zod'
import { bearer } from '@ecokit/auth'
import { capability, defineConnector, many, one, sink, stream } from '@ecokit/contracts'
import type { AnyRecord, Batch, Checkpoint, Http, WriteOptions } from '@ecokit/contracts'
import type { ConformanceOptions } from '../src/index.ts'
import { token } from './notes-server.ts'

export const Note = z.object({ id: z.string(), text: z.string(), seq: z.number() })
export const notesCapability = capability({
  id: 'test.notes',
  version: 1,
  operations: {
    list: many({ title: 'List notes', effect: 'read', input: z.strictObject({}), output: Note }),
    search: many({ effect: 'read', input: z.strictObject({ word: z.string() }), output: Note }),
    get: one({ effect: 'read', input: z.strictObject({ id: z.string() }), output: Note }),
    create: one({ effect: 'write', input: z.strictObject({ text: z.string() }), output: Note }),
  },
})

const Page = z.object({ items: z.array(Note), next: z.string().optional() })
const Rows = z.object({ rows: z.array(z.record(z.string(), z.unknown())) })

const openTable = (api: Http, { table, disposition, key, prune = false }: WriteOptions) => {
  let rows: AnyRecord[] = []
  let deleted: AnyRecord[] = []
  const path = `tables/${encodeURIComponent(table.name)}`
  return {
    resumesFrom: async (options?: { signal?: AbortSignal | undefined }) => {
      const Kept = z.object({ checkpoint: z.record(z.string(), z.unknown()).optional() })
      const kept = await api.json({ method: 'GET', path: `checkpoints/${encodeURIComponent(key)}` }, Kept, options)
      return kept.checkpoint
    },
    write: (batch: Batch<AnyRecord>) => {
      const records =
        batch.encoding === 'records'
          ? batch.records
          : new TextDecoder()
              .decode(batch.bytes)
              .split('\n')
              .filter((line) => line !== '')
              .map((line) => JSON.parse(line) as AnyRecord)
      const rejected = records.flatMap((record, index) =>
        record['id'] === undefined ? [{ index, reason: 'id is missing' }] : [],
      )
      rows.push(...records.filter((record) => record['id'] !== undefined))
      deleted.push(...(batch.deleted ?? []))
      return Promise.resolve({ rows: records.length - rejected.length, rejected })
    },
    commit: async (
      checkpoint: Checkpoint | undefined,
      options?: { final?: boolean; signal?: AbortSignal | undefined },
    ) => {
      const { primaryKey = [], schema } = table
      const columns = Object.keys(schema['properties'] ?? {})
      const body = {
        rows,
        deleted,
        columns,
        primaryKey,
        disposition,
        prune,
        key,
        checkpoint,
        final: options?.final ?? false,
      }
      await api.json({ method: 'PUT', path, body }, z.unknown(), options)
      rows = []
      deleted = []
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** A connector that keeps every rule. */
export const notes = defineConnector(
  {
    id: 'notes',
    title: 'Notes',
    description: 'Keeps notes and tables.',
    config: z.strictObject({ url: z.url(), pageSize: z.int().positive().default(3) }),
    hosts: ['{url}'],
    auth: { token: bearer() },
    provides: { notes: notesCapability },
    streams: {
      notes: stream({ schema: Note, primaryKey: ['id'], cursor: 'seq' }),
      // The same records, read by connect.
      entries: stream({
        schema: Note,
        primaryKey: ['id'],
        cursor: 'seq',
        rest: {
          path: 'notes',
          records: 'items',
          paging: { kind: 'token', parameter: 'from', next: 'next' },
          incremental: { since: { parameter: 'since' } },
        },
      }),
    },
    discovers: true,
    sinks: {
      tables: sink({
        accepts: ['records', 'ndjson'],
        dispositions: ['append', 'overwrite', 'merge'],
        commit: 'transaction',
      }),
      points: sink({
        schema: z.object({ id: z.string(), value: z.number() }),
        accepts: ['records'],
        dispositions: ['append'],
        commit: 'at_least_once',
      }),
    },
  },
  ({ config, http }) => {
    const api = http(config.url)
    const paging = (where: 'query' | 'body') =>
      ({ kind: 'token', in: where, parameter: 'from', next: (page: z.infer<typeof Page>) => page.next }) as const
    return {
      check: async (options) => {
        const { version } = await api.json({ method: 'GET', path: 'about' }, z.object({ version: z.string() }), options)
        return { version }
      },
      provides: {
        notes: {
          async *list(_input, options) {
            for await (const page of api.pages({ method: 'GET', path: 'notes' }, Page, paging('query'), options))
              yield* page.items
          },
          async *search({ word }, options) {
            const request = { method: 'POST', path: 'search', body: { word }, effect: 'read' } as const
            for await (const page of api.pages(request, Page, paging('body'), options)) yield* page.items
          },
          get: ({ id }, options) => api.json({ method: 'GET', path: `notes/${encodeURIComponent(id)}` }, Note, options),
          create: ({ text }, options) => api.json({ method: 'POST', path: 'notes', body: { text } }, Note, options),
        },
      },
      read: {
        async *notes({ checkpoint, signal }) {
          const since = z.number().catch(0).parse(checkpoint?.['seq'])
          const request = { method: 'GET', path: 'notes', query: { since: String(since) } }
          for await (const { items } of api.pages(request, Page, paging('query'), { signal }))
            yield { encoding: 'records', records: items, checkpoint: { seq: items.at(-1)?.seq ?? since } }
        },
      },
      async *discover(options) {
        const Table = z.object({ name: z.string(), columns: z.array(z.string()), primaryKey: z.array(z.string()) })
        const { tables } = await api.json(
          { method: 'GET', path: 'tables' },
          z.object({ tables: z.array(Table) }),
          options,
        )
        for (const { name, columns, primaryKey } of tables) {
          const properties = Object.fromEntries(columns.map((column) => [column, {}]))
          yield { name, primaryKey, schema: { type: 'object', properties } }
        }
      },
      async *readDiscovered(name, { signal }) {
        const { rows } = await api.json({ method: 'GET', path: `tables/${encodeURIComponent(name)}` }, Rows, { signal })
        yield { encoding: 'records', records: rows }
      },
      write: {
        tables: (options) => Promise.resolve(openTable(api, options)),
        points: () =>
          Promise.resolve({
            resumesFrom: () => Promise.resolve(undefined),
            write: async (batch, options) => {
              const records = batch.encoding === 'records' ? batch.records : []
              await api.json({ method: 'POST', path: 'points', body: records }, z.unknown(), options)
              return { rows: records.length, rejected: [] }
            },
            commit: () => Promise.resolve(),
            [Symbol.asyncDispose]: () => Promise.resolve(),
          }),
      },
    }
  },
)

/** What `notes` is proved with. */
export const notesOptions = (server: { readonly url: string; readonly points: AnyRecord[] }): ConformanceOptions => {
  const column = { type: 'string' }
  const schema = { type: 'object', properties: { id: column, word: column, value: { type: 'number' } } }
  return {
    config: { url: server.url },
    credentials: { scheme: 'token', token },
    at: (url) => ({ url }),
    invalidConfigs: [
      { config: { url: 'no url' }, field: 'config.url' },
      { config: { url: server.url, pageSize: 0 }, field: 'config.pageSize' },
    ],
    samples: {
      'notes.list': {},
      'notes.search': { word: 'note' },
      'notes.get': { id: 'n1' },
      'notes.create': { text: 'hello' },
    },
    streams: { notes: { atLeast: 8 }, entries: { atLeast: 8 } },
    sinks: {
      tables: {
        table: { name: 'words', schema, primaryKey: ['id'] },
        records: [
          { id: 'a', word: 'one', value: 1 },
          { id: 'b', word: 'two', value: 2 },
          { id: 'c', word: 'three', value: 3 },
        ],
        changed: { id: 'a', word: 'uno', value: 1 },
        refused: { word: 'nobody' },
      },
      points: {
        table: { name: 'points', schema, primaryKey: ['id'] },
        records: [
          { id: 'a', value: 1 },
          { id: 'b', value: 2 },
        ],
        refused: { id: 'c', value: 'many' },
        rows: () => Promise.resolve(server.points.splice(0)),
      },
    },
    readme: new URL('notes.md', import.meta.url),
  }
}
