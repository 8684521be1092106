import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export const pageRows = 30

export interface LogRow {
  readonly id: number
  readonly at: number
  readonly name: string
  readonly big: string
}
export interface ItemRow {
  readonly id: number
  readonly at: number
  readonly name: string
}

/** The truth: what the source holds, and what it ever held. */
export interface Shop {
  readonly url: string
  /** Every event that ever happened, in order: its number is its place. Every 23rd breaks its schema. */
  readonly events: number
  readonly items: ReadonlyMap<number, ItemRow>
  /** Which names an item ever had, by its id and its change. */
  readonly everNamed: ReadonlyMap<string, string>
  readonly version: number
  /** How many rows each version of the snapshot had. */
  readonly sizes: readonly number[]
  /** Where each read of a stream that can go on began, by stream, since it was asked last. */
  starts(): ReadonlyMap<string, number>
  /** Something happens at the partner; items go away only where a pass over everything will find it out. */
  change(random: () => number, shrink: boolean): void
  /** How many rows a page has from now on. */
  setPage(rows: number): void
  close(): Promise<void>
}

export const isBad = (id: number): boolean => id % 23 === 22
export const logRowOf = (id: number): LogRow => ({
  id,
  at: id,
  name: `event ${id} ✓`,
  big: String(2n ** 60n + BigInt(id)),
})
export const snapName = (id: number, version: number): string => `row ${id} of ${version}`

export const openShop = async (): Promise<Shop> => {
  const items = new Map<number, ItemRow>()
  const everNamed = new Map<string, string>()
  const sizes = [0]
  const starts = new Map<string, number>()
  let rowsOfPage = pageRows
  let events = 0
  let changes = 0
  let nextItem = 0
  let version = 0

  const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  const snapshot = () =>
    Array.from({ length: sizes[version] ?? 0 }, (_, id) => ({ id, version, name: snapName(id, version) }))
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const after = Number(searchParams.get('after'))
    const stream = pathname.slice(1)
    if (!starts.has(stream)) starts.set(stream, after)
    if (stream === 'log') {
      const until = Math.min(events, after + 1 + rowsOfPage)
      const rows: object[] = []
      for (let id = after + 1; id < until; id += 1) rows.push(isBad(id) ? { ...logRowOf(id), name: id } : logRowOf(id))
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ rows, next: until - 1 }))
      return
    }
    if (stream === 'items') {
      const since = Number(searchParams.get('since') ?? -1)
      const token = Number(searchParams.get('after') ?? -1)
      const left = [...items.values()]
        .filter(({ at }) => at >= since && at > token)
        .toSorted((one, other) => one.at - other.at)
      const rows = left.slice(0, rowsOfPage)
      const next = left.length > rows.length ? String(rows.at(-1)?.at) : null
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ rows, next }))
      return
    }
    const rows = snapshot()
      .filter(({ id }) => id > after)
      .slice(0, pageRows)
    response.writeHead(200, { 'x-count': String(rows.length), 'x-next': String(rows.at(-1)?.id ?? after) })
    response.end(lines(rows))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const put = (id: number): void => {
    const at = ++changes
    const name = `item ${id} at ${at}`
    items.set(id, { id, at, name })
    everNamed.set(`${id}/${at}`, name)
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get events() {
      return events
    },
    items,
    everNamed,
    get version() {
      return version
    },
    sizes,
    starts: () => {
      const found = new Map(starts)
      starts.clear()
      return found
    },
    change: (random, shrink) => {
      const some = (most: number) => Math.floor(random() * most)
      events += 20 + some(140)
      for (let count = some(60); count >= 0; count -= 1) put(nextItem++)
      const ids = [...items.keys()]
      for (let count = some(60); count >= 0; count -= 1) put(ids[some(ids.length)] ?? 0)
      if (shrink) for (let count = some(40); count >= 0; count -= 1) items.delete(ids[some(ids.length)] ?? 0)
      version += 1
      sizes.push(30 + some(120))
    },
    setPage: (rows) => (rowsOfPage = rows),
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
