import { Buffer } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { connect as openSocket } from 'node:net'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { none } from '@ecokit/auth'
import { integrationError, isIntegrationError, secret, stream } from '@ecokit/contracts'
import type {
  AnyConnector,
  AnyRecord,
  Batch,
  CallOptions,
  Http,
  OpenHttp,
  Writer,
  WriteOptions,
} from '@ecokit/contracts'
import type { ConformanceOptions } from '../src/index.ts'
import { Note, notes, notesCapability } from './notes.ts'

/** A connector that breaks one rule, and that one only. */
export interface Bad {
  readonly rule: string
  /** What it does wrong. */
  readonly does: string
  readonly connector: AnyConnector
  readonly options?: (options: ConformanceOptions) => ConformanceOptions
}

const session = () =>
  notes.open({ config: { url: '', pageSize: 3 }, http: never, credentials: { scheme: 'token' }, name: '' })
const never: OpenHttp = () => ({}) as Http
type Session = ReturnType<typeof session>
type Opening = Parameters<typeof notes.open>[0]
type Operations = Session['provides']['notes']
type Change = (session: Session, opening: Opening) => object

/** The good connector with another manifest, or with a session that was tampered with. */
const bend = (manifest: object, change: Change = () => ({})): AnyConnector => ({
  contract: 1,
  manifest: { ...notes.manifest, ...manifest },
  open: ((opening: Opening) => {
    const good = notes.open(opening)
    return { ...good, ...change(good, opening) }
  }) as unknown as AnyConnector['open'],
})
const bendOperations = (change: (operations: Operations, opening: Opening) => Partial<Operations>): AnyConnector =>
  bend({}, ({ provides }, opening) => ({
    provides: { notes: { ...provides.notes, ...change(provides.notes, opening) } },
  }))
const bendBatches = (change: (batch: Batch<z.input<typeof Note>>) => Batch<AnyRecord>): AnyConnector =>
  bend({}, ({ read }) => ({
    read: {
      async *notes(options: Parameters<typeof read.notes>[0]) {
        for await (const batch of read.notes(options)) yield change(batch)
      },
    },
  }))
const records = (batch: Batch<z.input<typeof Note>>) => (batch.encoding === 'records' ? batch.records : [])
type Table = Writer<AnyRecord>
const bendTable = (change: (writer: Table, options: WriteOptions, opening: Opening) => Partial<Table>): AnyConnector =>
  bend({}, ({ write }, opening) => ({
    write: {
      ...write,
      tables: async (options: WriteOptions) => {
        const writer = await write.tables(options)
        return { ...writer, ...change(writer, options, opening) }
      },
    },
  }))
const withTables = (change: (options: WriteOptions) => WriteOptions): AnyConnector =>
  bend({}, ({ write }) => ({ write: { ...write, tables: (options: WriteOptions) => write.tables(change(options)) } }))

const operation = (changes: object) => ({
  provides: { notes: { ...notesCapability, operations: { ...notesCapability.operations, ...changes } } },
})
const config = (fields: z.ZodRawShape) => notes.manifest.config.extend(fields)
const unread = (options: ConformanceOptions): ConformanceOptions => {
  const { readme: _readme, ...rest } = options
  return rest
}
const Page = z.object({ items: z.array(Note), next: z.string().optional() })
const getPage = (api: Http, from: string, options: CallOptions) =>
  api.json({ method: 'GET', path: 'notes', query: { from } }, Page, options)
const { sinks, auth } = notes.manifest
const firstValues = new Map<string, AnyRecord>()

export const badConnectors = (elsewhere: string): readonly Bad[] => [
  { rule: 'manifest.id', does: 'has an id in capitals', connector: bend({ id: 'Notes' }) },
  { rule: 'manifest.title', does: 'has no title', connector: bend({ title: '' }) },
  {
    rule: 'manifest.schemas',
    does: 'asks for it knows not what',
    connector: bend({ config: config({ extra: z.unknown() }) }),
  },
  {
    rule: 'manifest.names',
    does: 'has a sink in capitals',
    connector: bend({ sinks: { Tables: sinks.tables, points: sinks.points } }, ({ write }) => ({
      write: { Tables: write.tables, points: write.points },
    })),
    options: (options) => ({
      ...unread(options),
      sinks: { Tables: options.sinks!['tables']!, points: options.sinks!['points']! },
    }),
  },
  {
    rule: 'manifest.capabilities',
    does: 'has no template name',
    connector: bend({ provides: { notes: { ...notesCapability, id: 'notes' } } }),
  },
  {
    rule: 'manifest.hosts',
    does: 'names a path as a host',
    connector: bend({ hosts: ['{url}', 'files.example.com/notes'] }),
  },
  {
    rule: 'manifest.secrets',
    does: 'takes a token in its config',
    connector: bend({ config: config({ apiToken: z.string().optional() }) }),
  },
  {
    rule: 'manifest.streams',
    does: 'has a cursor that is no column',
    connector: bend({ streams: { notes: { ...stream({ schema: Note, primaryKey: ['id'] }), cursor: 'when' } } }),
  },
  {
    rule: 'manifest.sinks',
    does: 'commits nobody knows how',
    connector: bend({ sinks: { ...sinks, tables: { ...sinks.tables, commit: 'sometimes' } } }),
  },
  {
    rule: 'config.accepts',
    does: 'wants what JSON cannot hold',
    connector: bend({ config: config({ big: z.bigint().optional() }) }),
    options: (options) => ({ ...options, config: { ...(options.config as object), big: 1n } }),
  },
  {
    rule: 'config.strict',
    does: 'drops unknown keys in silence',
    connector: bend({ config: z.object(notes.manifest.config.shape) }),
  },
  {
    rule: 'config.refuses',
    does: 'takes a page size of nothing',
    connector: bend({ config: config({ pageSize: z.number().default(3) }) }),
  },
  {
    rule: 'auth.schemes',
    does: 'has a kind in words of its own',
    connector: bend({ auth: { token: { ...auth.token, kind: 'Bearer Token' } } }),
  },
  {
    rule: 'auth.fields',
    does: 'drops unknown keys of credentials',
    connector: bend({ auth: { token: { ...auth.token, credentials: z.object({ token: secret() }) } } }),
  },
  {
    rule: 'auth.wrong',
    does: 'checks a page that is open to everybody',
    connector: bend({}, (_session, { http, config: { url } }) => ({
      check: (options: CallOptions) =>
        http(url).json({ method: 'GET', path: 'ping' }, z.object({ version: z.string() }), options),
    })),
  },
  {
    rule: 'open.quiet',
    does: 'reads a file when it is opened',
    connector: bend({}, () => {
      void readFile(new URL(import.meta.url))
      return {}
    }),
  },
  {
    rule: 'open.complete',
    does: 'has a stream that it does not declare',
    connector: bend({}, ({ read }) => ({ read: { ...read, more: read.notes } })),
  },
  {
    rule: 'hosts.declared',
    does: 'calls home',
    connector: bendOperations(({ get }) => ({
      get: async (input, options) => {
        await fetch(elsewhere).then((reply) => reply.text())
        return get(input, options)
      },
    })),
  },
  {
    rule: 'check.healthy',
    does: 'finds fault with everything',
    connector: bend({}, ({ check }) => ({
      check: async (options: CallOptions) => ({ ...(await check(options)), parts: { notes: 'denied' } }),
    })),
  },
  {
    rule: 'check.cheap',
    does: 'checks four times over',
    connector: bend({}, ({ check }) => ({
      check: async (options: CallOptions) => {
        for (let time = 0; time < 3; time += 1) await check(options)
        return check(options)
      },
    })),
  },
  {
    rule: 'check.unreachable',
    does: 'calls a partner that is away degraded',
    connector: bend({}, ({ check }) => ({
      check: (options: CallOptions) =>
        check(options).catch((error: unknown) => {
          if (isIntegrationError(error, 'unavailable') && error.details.status === undefined)
            return { parts: { notes: 'unavailable' } }
          throw error
        }),
    })),
  },
  {
    rule: 'check.hanging',
    does: 'does not listen to the signal of its check',
    connector: bend({}, ({ check }) => ({ check: () => check({}) })),
  },
  {
    rule: 'check.stranger',
    does: 'is content with any answer',
    connector: bend({}, (_session, { http, config: { url } }) => ({
      check: async (options: CallOptions) => {
        await text((await http(url).request({ method: 'GET', path: 'about' }, options)).body)
        return {}
      },
    })),
  },
  {
    rule: 'operations.samples',
    does: 'answers with a number for an id',
    connector: bendOperations(({ get }) => ({
      get: async (input, options) => ({ ...(await get(input, options)), id: 5 as never }),
    })),
  },
  {
    rule: 'operations.input',
    does: 'drops unknown keys of its input',
    connector: bend(operation({ get: { ...notesCapability.operations.get, input: z.object({ id: z.string() }) } })),
  },
  {
    rule: 'operations.stop',
    does: 'reads on when nobody listens',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      async *list(_input, options) {
        const api = http(url)
        let from: string | undefined = '0'
        let page = getPage(api, from, options)
        while (from !== undefined) {
          const { items, next } = await page
          from = next
          if (next !== undefined) page = getPage(api, next, options)
          page.catch(() => undefined)
          yield* items
        }
      },
    })),
  },
  {
    rule: 'streams.rows',
    does: 'gives a record that does not fit',
    connector: bendBatches((batch) => ({
      ...batch,
      encoding: 'records',
      records: records(batch).map((record) => (record.id === 'n7' ? { ...record, seq: 'eight' } : record)),
    })),
  },
  {
    rule: 'streams.keys',
    does: 'gives a record twice',
    connector: bendBatches((batch) => ({
      ...batch,
      encoding: 'records',
      records: [...records(batch).slice(0, 1), ...records(batch)],
    })),
  },
  {
    rule: 'streams.bounded',
    does: 'gives batches without bound',
    connector: bendBatches((batch) => ({
      ...batch,
      encoding: 'records',
      records: records(batch).map((record) => (record.id === 'n0' ? { ...record, text: 'x'.repeat(2 ** 24) } : record)),
    })),
  },
  {
    rule: 'streams.checkpoint',
    does: 'keeps a date in its checkpoint',
    connector: bendBatches((batch) => ({ ...batch, checkpoint: { ...batch.checkpoint, at: new Date() } })),
  },
  {
    rule: 'streams.resume',
    does: 'is ahead of its data',
    connector: bendBatches((batch) => ({ ...batch, checkpoint: { seq: Number(batch.checkpoint?.['seq']) + 1 } })),
  },
  {
    rule: 'streams.forward',
    does: 'begins again after its end',
    connector: bendBatches((batch) => ({
      ...batch,
      checkpoint: batch.checkpoint?.['seq'] === 8 ? {} : (batch.checkpoint ?? {}),
    })),
  },
  {
    rule: 'discover.tables',
    does: 'keeps a column to itself',
    connector: bend({}, ({ discover }) => ({
      async *discover(options: CallOptions) {
        for await (const table of discover(options))
          yield { ...table, schema: { type: 'object', properties: { id: {} } } }
      },
    })),
  },
  {
    rule: 'sinks.samples',
    does: 'has a sink that nobody tried',
    connector: bend({ sinks: { ...sinks, more: sinks.points } }, ({ write }) => ({
      write: { ...write, more: write.points },
    })),
    options: unread,
  },
  {
    rule: 'sinks.round-trip',
    does: 'loses the last line of NDJSON',
    connector: bendTable(({ write }) => ({
      write: async (batch) => {
        if (batch.encoding !== 'ndjson') return write(batch)
        const lines = Buffer.from(batch.bytes).toString().trim().split('\n')
        const written = await write({ ...batch, bytes: Buffer.from(lines.slice(0, -1).join('\n')) })
        return { ...written, rows: lines.length }
      },
    })),
  },
  {
    rule: 'sinks.resume',
    does: 'forgets its checkpoints',
    connector: bendTable(() => ({ resumesFrom: () => Promise.resolve(undefined) })),
  },
  {
    rule: 'sinks.uncommitted',
    does: 'shows rows before they are committed',
    connector: bendTable(({ write, commit }, { disposition }) => ({
      write: async (batch) => {
        const written = await write(batch)
        if (disposition === 'append') await commit(undefined, { final: false })
        return written
      },
    })),
  },
  {
    rule: 'sinks.append',
    does: 'overwrites when it is to append',
    connector: withTables((options) =>
      options.disposition === 'append' ? { ...options, disposition: 'overwrite' } : options,
    ),
  },
  {
    rule: 'sinks.overwrite',
    does: 'swaps before the pass is complete',
    connector: bendTable(({ commit }, { disposition }) => ({
      commit: (checkpoint, options) =>
        commit(checkpoint, disposition === 'overwrite' ? { ...options, final: true } : options),
    })),
  },
  {
    rule: 'sinks.merge',
    does: 'keeps the first value for ever',
    connector: bendTable(({ write }, { table, disposition }) => ({
      write: (batch) => {
        if (batch.encoding !== 'records' || disposition !== 'merge') return write(batch)
        const kept = batch.records.map((record) => {
          const key = `${table.name} ${String(record['id'])}`
          firstValues.set(key, firstValues.get(key) ?? record)
          return firstValues.get(key) ?? record
        })
        return write({ ...batch, records: kept })
      },
    })),
  },
  {
    rule: 'sinks.deletes',
    does: 'deletes nothing',
    connector: bendTable(({ write }) => ({
      write: (batch) => {
        const { deleted: _deleted, ...rest } = batch
        return write(rest)
      },
    })),
  },
  { rule: 'sinks.prune', does: 'prunes nothing', connector: withTables((options) => ({ ...options, prune: false })) },
  {
    rule: 'sinks.rejected',
    does: 'drops a record without a word',
    connector: bendTable(({ write }) => ({ write: async (batch) => ({ ...(await write(batch)), rejected: [] }) })),
  },
  {
    rule: 'sinks.cancel',
    does: 'does not listen to the signal of its commit',
    connector: bendTable(({ commit }) => ({
      commit: (checkpoint, options) => commit(checkpoint, options?.final === undefined ? {} : { final: options.final }),
    })),
  },
  {
    rule: 'cancel.operations',
    does: 'does not listen to the signal',
    connector: bendOperations(({ get }) => ({ get: (input) => get(input, {}) })),
  },
  {
    rule: 'cancel.streams',
    does: 'does not listen to the signal while it begins',
    connector: bend({}, ({ check, read }) => ({
      read: {
        async *notes(options: Parameters<typeof read.notes>[0]) {
          await check({})
          yield* read.notes(options)
        },
      },
    })),
  },
  {
    rule: 'cancel.middle',
    does: 'does not listen to the signal from the second page on',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      async *list(_input, options) {
        let { items, next } = await getPage(http(url), '0', options)
        yield* items
        while (next !== undefined) {
          ;({ items, next } = await getPage(http(url), next, {}))
          yield* items
        }
      },
    })),
  },
  {
    rule: 'errors.status',
    does: 'takes a bad request for a conflict',
    connector: bend({}, (_session, opening) =>
      notes.open({
        ...opening,
        http: (url) =>
          opening.http(url, { explain: ({ status }) => (status === 400 ? { code: 'conflict' } : undefined) }),
      }),
    ),
  },
  {
    rule: 'errors.garbage',
    does: 'makes a note of anything',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      get: async ({ id }, options) => {
        const body = await text((await http(url).request({ method: 'GET', path: `notes/${id}` }, options)).body)
        try {
          return Note.parse(JSON.parse(body))
        } catch {
          return { id, text: body, seq: 0 }
        }
      },
    })),
  },
  {
    rule: 'errors.shape',
    does: 'believes what it is sent',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      get: async ({ id }, options) => {
        const found = (await http(url).json({ method: 'GET', path: `notes/${id}` }, z.unknown(), options)) as z.infer<
          typeof Note
        >
        return { ...found, id: found.id.trim() }
      },
    })),
  },
  {
    rule: 'errors.broken',
    does: 'takes a broken line for a missing note',
    connector: bendOperations(({ get }, { name }) => ({
      get: (input, options) =>
        get(input, options).catch((error: unknown) => {
          if (isIntegrationError(error, 'unavailable') && error.details.status === undefined)
            throw integrationError('not_found', { partner: name, what: 'there is no such note', details: {} })
          throw error
        }),
    })),
  },
  {
    rule: 'errors.retry-after',
    does: 'does not say that its POST only reads',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      async *search({ word }, options) {
        const api = http(url)
        const paging = {
          kind: 'token',
          in: 'body',
          parameter: 'from',
          next: (page: z.infer<typeof Page>) => page.next,
        } as const
        for await (const page of api.pages({ method: 'POST', path: 'search', body: { word } }, Page, paging, options))
          yield* page.items
      },
    })),
  },
  {
    rule: 'errors.middle',
    does: 'takes a refusal for the end',
    connector: bendOperations(({ list }) => ({
      async *list(input, options) {
        let given = 0
        try {
          for await (const note of list(input, options)) {
            given += 1
            yield note
          }
        } catch (error) {
          if (given === 0 || !isIntegrationError(error, 'forbidden')) throw error
        }
      },
    })),
  },
  {
    rule: 'secrets.errors',
    does: 'shows its password as an account',
    connector: bend(
      {
        auth: {
          ...auth,
          password: {
            kind: 'password',
            credentials: z.strictObject({ password: secret() }),
            exposed: true,
            open: () => ({ authorize: () => {} }),
          },
        },
      },
      ({ check }, { credentials }) => ({
        check: (options: CallOptions) =>
          'password' in credentials
            ? Promise.resolve({
                account: Buffer.from(String(credentials.password)).toString('base64'),
                parts: { notes: 'denied' },
              })
            : check(options),
      }),
    ),
    options: unread,
  },
  {
    rule: 'secrets.urls',
    does: 'sends its token in the query',
    connector: bend({
      auth: {
        token: {
          ...auth.token,
          open: (credentials: { token: string }) => ({
            authorize: (request: { headers: Headers; url: URL }) => {
              request.headers.set('authorization', `Bearer ${credentials.token}`)
              request.url.searchParams.set('token', credentials.token)
            },
          }),
        },
      },
    }),
  },
  {
    rule: 'close.twice',
    does: 'cannot be closed unused',
    connector: bend({}, ({ check }) => {
      let used = false
      return {
        check: (options: CallOptions) => {
          used = true
          return check(options)
        },
        close: () => (used ? Promise.resolve() : Promise.reject(new Error('nothing to close'))),
      }
    }),
  },
  {
    rule: 'close.pending',
    does: 'calls its own end an outage',
    connector: bend({}, ({ provides }, { name }) => {
      let closing = false
      const { get } = provides.notes
      return {
        provides: {
          notes: {
            ...provides.notes,
            get: (input: { id: string }, options: CallOptions) =>
              get(input, options).catch((error: unknown) => {
                throw closing ? integrationError('unavailable', { partner: name, what: 'gone', details: {} }) : error
              }),
          },
        },
        close: () => {
          closing = true
          return Promise.resolve()
        },
      }
    }),
  },
  {
    rule: 'close.sockets',
    does: 'keeps a socket of its own',
    connector: bendOperations(({ get }, { config: { url } }) => ({
      get: (input, options) => {
        openSocket(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined)
        return get(input, options)
      },
    })),
  },
  {
    rule: 'docs.readme',
    does: 'has a scheme of which its README is silent',
    connector: bend({ auth: { ...auth, anonymous: none() } }),
  },
]
