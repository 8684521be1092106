import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { bearer, none } from '@ecokit/auth'
import { bytes, capability, defineConnector, int64, many, one, stream } from '@ecokit/contracts'
import { z } from 'zod'

const sample = z.object({ id: z.string(), size: int64() })
const samples = capability({
  id: 'lab.samples',
  version: 1,
  operations: {
    get: one({ title: 'One sample', effect: 'read', input: z.strictObject({ id: z.string() }), output: sample }),
    photo: one({ title: 'A picture', effect: 'read', input: z.strictObject({}), output: z.object({ body: bytes() }) }),
    echo: one({
      title: 'The same',
      effect: 'read',
      input: z.strictObject({ size: int64() }),
      output: z.object({ size: int64() }),
    }),
    list: many({ title: 'Every sample', effect: 'read', input: z.strictObject({}), output: sample }),
    add: one({ title: 'Adds', effect: 'write', input: z.strictObject({ id: z.string() }), output: z.object({}) }),
    remove: one({
      title: 'Removes',
      effect: 'destroy',
      input: z.strictObject({ id: z.string() }),
      output: z.object({}),
    }),
  },
})

/** A small partner over a real HTTP server: a stream, four operations, and a login. */
export const lab = defineConnector(
  {
    id: 'lab',
    title: 'Laboratory',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    auth: { none: none(), token: bearer() },
    provides: { samples },
    streams: { samples: stream({ schema: sample, primaryKey: ['id'] }) },
  },
  ({ config, http }) => {
    const door = http(config.url, { timeoutMs: 10_000 })
    const all = z.array(z.unknown())
    const page = (options: object) => door.json({ method: 'GET', path: '/samples' }, all, options)
    return {
      check: async (options) => {
        await door.json({ method: 'GET', path: '/ping' }, z.object({}), options)
        return { version: '1.0' }
      },
      provides: {
        samples: {
          get: ({ id }, options) => door.json({ method: 'GET', path: `/samples/${id}` }, sample, options),
          echo: ({ size }) => Promise.resolve({ size: String(size) }),
          photo: () => Promise.resolve({ body: new Uint8Array([1]) }),
          list: async function* (_input, options) {
            yield* (await page(options)) as never[]
          },
          add: ({ id }, options) =>
            door.json({ method: 'POST', path: `/samples/${id}`, effect: 'write' }, z.object({}), options),
          remove: ({ id }, options) =>
            door.json({ method: 'DELETE', path: `/samples/${id}`, effect: 'destroy' }, z.object({}), options),
        },
      },
      read: {
        samples: async function* (options) {
          for (const records of [await page(options)])
            yield { encoding: 'records', records: records as never[], checkpoint: {} }
        },
      },
    }
  },
)

export interface Lab {
  readonly url: string
  /** Sample ids with their sizes; sizes go over the wire as digits. */
  readonly samples: Map<string, string>
  /** Every request as method and path, with its Authorization. */
  readonly seen: { readonly what: string; readonly authorization: string | undefined }[]
  /** While true, replies to /samples wait. */
  hold: boolean
  /** The tokens that are accepted; undefined: whatever comes. */
  accepts: ReadonlySet<string> | undefined
  stop(): Promise<void>
  start(): Promise<void>
}

/** Starts the partner that the lab connector talks to; it can stop and start again on the same port. */
export const startLab = async (): Promise<Lab> => {
  let server: Server
  let port = 0
  const samples = new Map([
    ['a', '1'],
    ['b', '9007199254740993'],
  ])
  const held = new Set<() => void>()
  const one = (id: string) => `{"id":${JSON.stringify(id)},"size":${samples.get(id) ?? '0'}}`
  const state: Lab = {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    samples,
    seen: [],
    hold: false,
    accepts: undefined,
    start: async () => {
      server = createServer((request, response) => {
        const path = request.url ?? '/'
        state.seen.push({ what: `${request.method ?? ''} ${path}`, authorization: request.headers.authorization })
        if (state.accepts?.has(request.headers.authorization?.slice('Bearer '.length) ?? '') === false) {
          response.writeHead(401, { 'content-type': 'application/json' }).end('{}')
          return
        }
        const id = /^\/samples\/(.+)$/.exec(path)?.[1]
        if (id !== undefined && request.method === 'POST') samples.set(id, '0')
        if (id !== undefined && request.method === 'DELETE') samples.delete(id)
        const reply = () => {
          const body =
            path === '/samples'
              ? `[${[...samples.keys()].map(one).join(',')}]`
              : id !== undefined && request.method === 'GET'
                ? one(id)
                : '{}'
          response.writeHead(200, { 'content-type': 'application/json' }).end(body)
        }
        if (path === '/samples' && state.hold) held.add(reply)
        else reply()
      })
      await once(server.listen(port, '127.0.0.1'), 'listening')
      port = (server.address() as AddressInfo).port
    },
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  await state.start()
  return state
}
