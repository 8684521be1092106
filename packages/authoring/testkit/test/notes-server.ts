import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

type Row = Readonly<Record<string, unknown>>
interface Table {
  rows: Row[]
  columns: readonly string[]
  primaryKey: readonly string[]
  /** Rows of an overwrite that is not complete. */
  staged: Row[]
  /** Keys that the pass with prune has brought so far. */
  brought: Set<string>
}
interface Commit {
  readonly rows: readonly Row[]
  readonly deleted: readonly Row[]
  readonly columns: readonly string[]
  readonly primaryKey: readonly string[]
  readonly disposition: 'append' | 'overwrite' | 'merge'
  readonly final: boolean
  readonly prune: boolean
  readonly key: string
  readonly checkpoint?: unknown
}

export const token = 'good-token-1'

/** A small platform that keeps notes and tables, over real HTTP. */
export const startNotes = async () => {
  const notes = Array.from({ length: 8 }, (_, at) => ({ id: `n${at}`, text: `note ${at}`, seq: at + 1 }))
  const points: Row[] = []
  const checkpoints = new Map<string, unknown>()
  const tables = new Map<string, Table>([
    [
      'seeded',
      { rows: [{ id: 1, word: 'a' }], columns: ['id', 'word'], primaryKey: ['id'], staged: [], brought: new Set() },
    ],
  ])

  const commit = (
    name: string,
    { rows, deleted, columns, primaryKey, disposition, final, prune, key, checkpoint }: Commit,
  ) => {
    const table = tables.get(name) ?? { rows: [], columns, primaryKey, staged: [], brought: new Set<string>() }
    tables.set(name, table)
    const keyOf = (row: Row) => JSON.stringify(primaryKey.map((field) => row[field]))
    if (disposition === 'append') table.rows.push(...rows)
    else if (disposition === 'overwrite') {
      table.staged.push(...rows)
      if (final) [table.rows, table.staged] = [table.staged, []]
    } else {
      const merged = new Map(table.rows.map((row) => [keyOf(row), row]))
      for (const row of rows) {
        merged.set(keyOf(row), row)
        table.brought.add(keyOf(row))
      }
      for (const row of deleted) merged.delete(keyOf(row))
      if (final && prune) for (const each of merged.keys()) if (!table.brought.has(each)) merged.delete(each)
      if (final) table.brought.clear()
      table.rows = [...merged.values()]
    }
    if (checkpoint !== undefined) checkpoints.set(key, checkpoint)
  }

  const page = <T>(all: readonly T[], url: URL) => {
    const from = Number(url.searchParams.get('from') ?? 0)
    return { items: all.slice(from, from + 3), ...(from + 3 < all.length && { next: String(from + 3) }) }
  }

  const route = async (request: IncomingMessage, url: URL): Promise<unknown> => {
    const [, first, second] = url.pathname.split('/').map(decodeURIComponent)
    const body = async () => JSON.parse((await text(request)) || '{}') as unknown
    switch (`${request.method ?? ''} ${first ?? ''}${second === undefined ? '' : '/*'}`) {
      case 'GET about':
        return { version: '3.1' }
      case 'GET notes':
        return page(
          notes.filter((note) => note.seq > Number(url.searchParams.get('since') ?? 0)),
          url,
        )
      case 'GET notes/*':
        return notes.find(({ id }) => id === second)
      case 'POST search': {
        const { word, from = '0' } = (await body()) as { word: string; from?: string }
        return page(
          notes.filter((note) => note.text.includes(word)),
          new URL(`?from=${from}`, url),
        )
      }
      case 'POST notes':
        return { id: 'new', text: ((await body()) as { text: string }).text, seq: 99 }
      case 'POST points': {
        const sent = (await body()) as Row[]
        points.push(...sent)
        return { stored: sent.length }
      }
      case 'GET points':
        return { rows: points }
      case 'GET tables':
        return { tables: [...tables].map(([name, { columns, primaryKey }]) => ({ name, columns, primaryKey })) }
      case 'GET tables/*':
        return { rows: tables.get(second ?? '')?.rows ?? [] }
      case 'PUT tables/*':
        commit(second ?? '', (await body()) as Commit)
        return {}
      case 'GET checkpoints/*':
        return { checkpoint: checkpoints.get(second ?? '') }
      default:
        return undefined
    }
  }

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const send = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (request.url === '/ping') return send(200, { version: '3.1' })
    if (request.headers.authorization !== `Bearer ${token}`) return send(401, { message: 'who are you?' })
    const found = await route(request, new URL(request.url ?? '/', 'http://notes'))
    return found === undefined ? send(404, { message: 'no such thing' }) : send(200, found)
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    points,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
