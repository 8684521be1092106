/** A real HTTP endpoint that stores rows by primary key or appends them, keeps idempotency keys, and can be told to misbehave. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
type Row = Readonly<Record<string, unknown>>
/** What happens to a request: nothing special, an answer in place of the endpoint's own, or a socket that is cut before or after the rows were stored. */
export type Fault =
  | 'cut before'
  | 'cut after'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | undefined

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
const rowsOf = (type: string, body: string): readonly Row[] => {
  if (type.includes('ndjson')) return body.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Row]))
  const value = JSON.parse(body) as readonly Row[] | { readonly records: readonly Row[] }
  return 'records' in value ? value.records : value
}

export const openEndpoint = async (options: { readonly token?: string; readonly key?: string } = {}) => {
  const state = {
    /** Rows by table, in the order in which they came. */
    tables: new Map<string, Row[]>(),
    keys: new Set<string>(),
    seen: [] as Seen[],
    fault: (() => undefined) as (seen: Seen, index: number) => Fault,
    /** Rows that are refused one by one, with the reason. */
    refuses: (() => undefined) as (row: Row) => string | undefined,
    merges: true,
    maxRows: Infinity,
  }
  const keyField = options.key ?? 'id'
  const store = (table: string, rows: readonly Row[]): void => {
    const present = state.tables.get(table) ?? []
    state.tables.set(table, present)
    for (const row of rows) {
      const at = state.merges ? present.findIndex((other) => other[keyField] === row[keyField]) : -1
      if (at === -1) present.push(row)
      else present[at] = row
    }
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request)
    const { method = '', url = '', headers } = request
    const seen = { method, path: decodeURI(url), headers, body }
    state.seen.push(seen)
    const say = (status: number, value?: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(value === undefined ? '' : JSON.stringify(value))
    }
    if (options.token !== undefined && headers.authorization !== `Bearer ${options.token}`) {
      say(401, {})
      return
    }
    if (method === 'OPTIONS') {
      say(204)
      return
    }
    const fault = state.fault(seen, state.seen.length - 1)
    if (fault === 'cut before') return void request.socket.destroy()
    if (typeof fault === 'object') {
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers })
      return void response.end(fault.body ?? '{}')
    }
    const [, , table = '', id] = new URL(url, 'http://localhost').pathname.split('/').map(decodeURIComponent)
    if (method === 'DELETE' || id === 'delete') {
      const gone =
        id === 'delete' ? rowsOf(headers['content-type'] ?? '', body).map((row) => String(row[keyField])) : [String(id)]
      const rows = state.tables.get(table) ?? []
      const left = rows.filter((row) => !gone.includes(String(row[keyField])))
      state.tables.set(table, left)
      say(left.length === rows.length ? 404 : 204)
      return
    }
    const rows = rowsOf(headers['content-type'] ?? '', body)
    if (rows.length > state.maxRows) {
      say(413, {})
      return
    }
    const key = headers['idempotency-key']
    const replayed = typeof key === 'string' && state.keys.has(key)
    if (typeof key === 'string') state.keys.add(key)
    const reasons = rows.map(state.refuses)
    if (!replayed)
      store(
        table,
        rows.filter((_row, index) => reasons[index] === undefined),
      )
    if (fault === 'cut after') return void request.socket.destroy()
    const errors = reasons.flatMap((reason, index) => (reason === undefined ? [] : [{ index, reason }]))
    say(errors.length > 0 ? 207 : 200, { stored: rows.length - errors.length, errors })
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return Object.assign(state, { url, close })
}
export type Endpoint = Awaited<ReturnType<typeof openEndpoint>>
