import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineConnector, stream } from '@ecokit/contracts'
import { z } from 'zod'

const row = z.object({ id: z.int(), name: z.string() })
type SlowRow = z.output<typeof row>

/** A partner that is read page by page: `rows` as a whole each time, `log` from where it was left. */
export const slow = defineConnector(
  {
    id: 'slow',
    title: 'Slow partner',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    streams: {
      rows: stream({ schema: row, primaryKey: ['id'] }),
      log: stream({ schema: row, primaryKey: ['id'], cursor: 'id' }),
    },
  },
  ({ config, http }) => {
    const door = http(config.url, { timeoutMs: 60_000 })
    const read = async function* (name: string, from: number, signal: AbortSignal | undefined) {
      for (let after = from; ;) {
        const reply = door.json(
          { method: 'GET', path: `/${name}`, query: { after: String(after) } },
          z.array(z.any()),
          { signal },
        )
        const records = (await reply) as SlowRow[]
        const last = records.at(-1)
        if (last === undefined) return
        after = last.id
        yield { encoding: 'records' as const, records, checkpoint: { after } }
      }
    }
    return {
      check: () => Promise.resolve({}),
      read: {
        rows: ({ signal }) => read('rows', 0, signal),
        log: ({ checkpoint, signal }) =>
          read('log', (checkpoint as { after?: number } | undefined)?.after ?? 0, signal),
      },
    }
  },
)

/** The slow partner's own server: as many rows as `count` says, ten on a page. */
export const startSlow = async () => {
  const mood = {
    count: 60,
    /** How long it takes over a page. */
    pageMs: 0,
    /** By stream the id of a row that it does not come to before `goOn` is called. */
    stopsAt: {} as Partial<Record<string, number>>,
    /** The id of a row whose name is a number. */
    broken: 0,
  }
  const waiting: (() => void)[] = []
  const answer = async (stream: string, after: number): Promise<readonly object[]> => {
    await sleep(mood.pageMs)
    if (after + 10 >= (mood.stopsAt[stream] ?? Infinity)) await new Promise<void>((resolve) => waiting.push(resolve))
    const size = Math.max(0, Math.min(10, mood.count - after))
    return Array.from({ length: size }, (_, at) => {
      const id = after + at + 1
      return { id, name: id === mood.broken ? id : `row ${id}` }
    })
  }
  const server = createServer((request, reply) => {
    const { searchParams, pathname } = new URL(request.url ?? '/', 'http://slow')
    void answer(pathname.slice(1), Number(searchParams.get('after') ?? 0)).then((rows) => {
      reply.setHeader('content-type', 'application/json')
      reply.end(JSON.stringify(rows))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    mood,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Lets it come on, to the next row that it stops at. */
    goOn: (stopsAt: Partial<Record<string, number>> = {}) => {
      mood.stopsAt = stopsAt
      for (const go of waiting.splice(0)) go()
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
