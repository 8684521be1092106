import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'
import { bearer, none } from '@ecokit/auth'
import { bytes, capability, defineConnector, many, one, secret, sink, stream } from '@ecokit/contracts'
import type { AnyRecord, Batch, Checkpoint } from '@ecokit/contracts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A real HTTP server on a free port. */
export const startServer = async (handler: Handler) => {
  const server: Server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export const answer = (response: ServerResponse, status: number, body: unknown) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export const Note = z.object({ id: z.string(), text: z.string(), stars: z.number().default(0) })
export const notes = capability({
  id: 'test.notes',
  version: 1,
  operations: {
    search: many({ effect: 'read', input: z.strictObject({ word: z.string().optional() }), output: Note }),
    get: one({ effect: 'read', input: z.strictObject({ id: z.string() }), output: Note }),
    create: one({ effect: 'write', input: z.strictObject({ text: z.string() }), output: Note }),
    load: one({ effect: 'read', input: z.strictObject({}), output: bytes() }),
    forget: one({ effect: 'destroy', input: z.strictObject({ id: z.string() }), output: z.void() }),
  },
})

/** What a test may see and steer inside of the connector. */
export const inside = {
  /** Names of what was tidied up. */
  ended: [] as string[],
  batches: [] as Batch<AnyRecord>[],
  committed: new Map<string, Checkpoint | undefined>(),
  throws: undefined as unknown,
  closed: 0,
}

const Row = z.object({ id: z.string(), value: z.number().default(7) })
export const platform = defineConnector(
  {
    id: 'platform',
    title: 'Platform',
    config: z.strictObject({ url: z.url(), pageSize: z.number().int().positive().default(2) }),
    hosts: ['{url}'],
    auth: {
      none: none(),
      token: bearer(),
      password: {
        kind: 'exposed',
        credentials: z.strictObject({
          user: z.string(),
          password: secret().refine((text) => text !== 'bad', {
            error: (issue) => `${String(issue.input)} is a bad password`,
          }),
        }),
        exposed: true as const,
        open: () => ({ authorize: () => {} }),
      },
    },
    provides: { notes },
    streams: {
      rows: stream({ schema: Row, primaryKey: ['id'], cursor: 'id' }),
      lines: stream({ schema: z.object({ id: z.bigint().or(z.number()) }) }),
      arrows: stream({ schema: Row }),
    },
    discovers: true,
    sinks: {
      tables: sink({ accepts: ['records', 'ndjson'], dispositions: ['append', 'merge'], commit: 'transaction' }),
      points: sink({
        schema: z.object({ name: z.string(), value: z.number() }),
        accepts: ['records'],
        dispositions: ['append'],
        commit: 'at_least_once',
      }),
    },
  },
  ({ config, http, name, credentials }) => {
    const api = http(config.url)
    const Page = z.object({ items: z.array(z.unknown()), next: z.string().optional() })
    return {
      check: async (options) => {
        if (inside.throws !== undefined) throw inside.throws
        const About = z.object({
          version: z.string(),
          parts: z.record(z.string(), z.enum(['ok', 'denied', 'unavailable'])).optional(),
        })
        const { version, parts } = await api.json({ method: 'GET', path: 'about' }, About, options)
        return { version, account: `${name} ${credentials.scheme}`, ...(parts !== undefined && { parts }) }
      },
      close: async () => {
        inside.closed += 1
      },
      provides: {
        notes: {
          async *search({ word }, options) {
            try {
              const request = { method: 'GET', path: 'notes', query: { word, size: String(config.pageSize) } }
              const paging = {
                kind: 'token',
                in: 'query',
                parameter: 'page',
                next: (page: z.infer<typeof Page>) => page.next,
              } as const
              for await (const page of api.pages(request, Page, paging, options))
                yield* page.items as z.input<typeof Note>[]
            } finally {
              inside.ended.push('search')
            }
          },
          get: async ({ id }, options) =>
            (await api.json({ method: 'GET', path: `notes/${id}` }, z.unknown(), options)) as z.input<typeof Note>,
          create: async ({ text }, options) => {
            if (credentials.scheme === 'password') throw new Error(`no entry with ${credentials.password}`)
            return api.json({ method: 'POST', path: 'notes', body: { text } }, Note, options)
          },
          load: async (_input, options) => (await api.request({ method: 'GET', path: 'load' }, options)).body,
          forget: async () => {
            throw inside.throws
          },
        },
      },
      read: {
        async *rows({ checkpoint, signal, columns }) {
          try {
            for (let at = Number(checkpoint?.['at'] ?? 0); at < 4; at += 1) {
              signal?.throwIfAborted()
              const record = columns === undefined ? { id: `r${at}` } : { value: at }
              yield {
                encoding: 'records',
                records: at === 2 ? [] : [record as { id: string }],
                checkpoint: { at: at + 1 },
              }
            }
          } finally {
            inside.ended.push('rows')
          }
        },
        async *lines() {
          const bytes = new TextEncoder().encode('{"id":9007199254740993}\n\nnonsense\n{"id":"x"}\n{"id":2}\n')
          yield { encoding: 'ndjson', bytes, count: 4, deleted: [{ id: 1 }], checkpoint: { end: true } }
        },
        async *arrows() {
          yield { encoding: 'arrow', bytes: new Uint8Array([1]), count: 3 }
        },
      },
      async *discover() {
        yield { name: 'found', schema: { type: 'object' } }
      },
      async *readDiscovered(table) {
        yield { encoding: 'records', records: [{ table, anything: true }] }
      },
      write: {
        tables: async ({ key }) => ({
          resumesFrom: async () => inside.committed.get(key),
          write: async (batch) => {
            if (inside.throws !== undefined) throw inside.throws
            inside.batches.push(batch)
            return { rows: batch.encoding === 'records' ? batch.records.length : batch.count, rejected: [] }
          },
          commit: async (checkpoint) => {
            inside.committed.set(key, checkpoint)
          },
          [Symbol.asyncDispose]: async () => {
            inside.ended.push('tables')
          },
        }),
        points: async () => ({
          resumesFrom: async () => undefined,
          write: async (batch) => {
            inside.batches.push(batch)
            const count = batch.encoding === 'records' ? batch.records.length : 0
            return { rows: count - 1, rejected: [{ index: count - 1, reason: 'too late' }] }
          },
          commit: async () => {},
          [Symbol.asyncDispose]: async () => {},
        }),
      },
    }
  },
)
