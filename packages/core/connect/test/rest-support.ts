import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { none } from '@ecokit/auth'
import { stream } from '@ecokit/contracts'
import type {
  AnyConnector,
  RestStream,
  AnyConnection,
  AnyRecord,
  Batch,
  Checkpoint,
  InvalidRecord,
  ReadOptions,
  Stream,
} from '@ecokit/contracts'
import { readJson } from '@ecokit/http'
import { connectUnknown } from '../src/index.ts'
import type { Runtime } from '../src/index.ts'
import { startServer } from './platform.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly url: string
  readonly body: AnyRecord
}
export interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** A text is sent as it is, anything else as JSON. */
  readonly body?: unknown
}
/** A real server that answers by a function; it notes what it was asked. */
export const serve = async (answer: (asked: Asked, count: number) => Reply | Promise<Reply>) => {
  const asked: Asked[] = []
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const sent = await text(request)
    const url = new URL(request.url ?? '/', `http://${request.headers.host ?? ''}`)
    const one: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      url: request.url ?? '',
      body: sent === '' ? {} : (JSON.parse(sent) as AnyRecord),
    }
    asked.push(one)
    const { status = 200, headers = {}, body } = await answer(one, asked.length)
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(
      body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    )
  }
  const { url, stop } = await startServer((request, response) => void respond(request, response))
  onTestFinished(stop)
  return { url, asked }
}

const config = z.strictObject({ url: z.url(), site: z.string().optional(), team: z.string().optional() })
/** A connection whose streams are all declared. */
export const openStreams = (
  url: string,
  streams: Readonly<Record<string, Stream>>,
  { runtime = {}, ...more }: { runtime?: Runtime; team?: string } = {},
): AnyConnection => {
  const connector: AnyConnector = {
    contract: 1,
    manifest: { id: 'shop', title: 'Shop', config, hosts: ['{url}'], auth: { none: none() }, streams },
    open: () => ({ check: () => Promise.resolve({}) }),
  }
  const quick = { attempts: 2, backoffMs: 1, maxBackoffMs: 2, retryBudget: 1 }
  const connection = connectUnknown(connector, { config: { url, ...more } }, { policy: quick, ...runtime })
  onTestFinished(() => connection.close())
  return connection
}

export const rowsOf = (batch: Batch<AnyRecord>): readonly AnyRecord[] =>
  batch.encoding === 'records'
    ? batch.records
    : Buffer.from(batch.bytes)
        .toString('utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => readJson(line) as AnyRecord)

export interface Read {
  readonly batches: readonly { readonly rows: readonly AnyRecord[]; readonly checkpoint: Checkpoint | undefined }[]
  readonly rows: readonly AnyRecord[]
  readonly refused: readonly InvalidRecord[]
  readonly checkpoint: Checkpoint | undefined
  readonly encodings: ReadonlySet<string>
}
/** A stream read to its end, its checkpoints on the way through JSON. */
export const readAll = async (connection: AnyConnection, stream: string, options: ReadOptions = {}): Promise<Read> => {
  const batches: { rows: readonly AnyRecord[]; checkpoint: Checkpoint | undefined }[] = []
  const refused: InvalidRecord[] = []
  const encodings = new Set<string>()
  const all = { onInvalid: (invalid: InvalidRecord) => void refused.push(invalid), ...options }
  for await (const batch of connection.read?.(stream, all) ?? []) {
    const rows = rowsOf(batch)
    if (batch.encoding !== 'records' && (batch.count !== rows.length || batch.proven !== true))
      throw new Error(`a batch of ${rows.length} lines says that it holds ${batch.count}`)
    if (rows.length > 0) encodings.add(batch.encoding)
    const checkpoint = batch.checkpoint && (JSON.parse(JSON.stringify(batch.checkpoint)) as Checkpoint)
    batches.push({ rows, checkpoint })
  }
  return {
    batches,
    rows: batches.flatMap((batch) => batch.rows),
    refused,
    checkpoint: batches.findLast((batch) => batch.checkpoint !== undefined)?.checkpoint,
    encodings,
  }
}

/** A piece of a list, and where the next begins; undefined at its end. */
export const slice = <T>(items: readonly T[], from: number, size: number) => {
  const next = from + size
  return { items: items.slice(from, next), next: next < items.length ? next : undefined }
}

/** A declared stream that is put together of pieces. */
export const declared = (about: {
  readonly schema: z.ZodObject
  readonly rest: Partial<RestStream>
  readonly primaryKey?: readonly string[]
  readonly cursor?: string
}): Stream => stream(about as never)
