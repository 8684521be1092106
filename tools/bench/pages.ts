// node pages.ts <variant> <url> <rows> <folder>: every row of the page server into Parquet. Variants: split, split-overlapped, objects, and those of the product, see `ours`.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { defineConnector, stream } from '@ecokit/contracts'
import { sync } from '@ecokit/flow'
import { openStore } from '@ecokit/store'
import { Pool, type Dispatcher } from 'undici'
import { z } from 'zod'
import { report } from './measure.ts'

const [variant = 'split', url = '', rows = '1000000', folder = ''] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })

const columns = `{id:'VARCHAR',seq:'BIGINT',updated_at_ms:'BIGINT',experiment_id:'VARCHAR',name:'VARCHAR',status:'VARCHAR',"user":'VARCHAR',duration_ms:'BIGINT',accuracy:'DOUBLE',loss:'DOUBLE',epoch:'BIGINT',best:'BOOLEAN',note:'VARCHAR',tags:'STRUCT(team VARCHAR, stage VARCHAR, region VARCHAR)'}`

/** Cuts the bytes of the array `data` into one record a line, looking at nothing but strings and braces: the fastest loop without a framework, and without a check. */
const split = (page: Buffer, write: (from: number, to: number) => void): void => {
  let at = page.indexOf(91) + 1
  let depth = 0
  let start = at
  for (; at < page.length; at++) {
    const byte = page[at]
    if (byte === 34) {
      do {
        at = page.indexOf(34, at + 1)
      } while (page[at - 1] === 92)
    } else if (byte === 123) {
      if (depth++ === 0) start = at
    } else if (byte === 125) {
      if (--depth === 0) write(start, at + 1)
    } else if (byte === 93 && depth === 0) return
  }
}

const parquet = '(FORMAT parquet, COMPRESSION zstd)'
/** Overlapped: DuckDB turns a file of 100,000 rows into Parquet on its own thread while the next one is filled. */
const bareSplit = async (overlapped: boolean): Promise<number> => {
  const pool = new Pool(url, { connections: 1 })
  const database = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await database.connect()
  let part = 0
  let file = join(folder, 'rows-0.ndjson')
  let out = openSync(file, 'w')
  let converting: Promise<unknown> = Promise.resolve()
  const convert = async (): Promise<void> => {
    closeSync(out)
    await converting
    converting = connection.run(
      `COPY (SELECT * FROM read_json('${file}', format='newline_delimited', columns=${columns})) TO '${join(folder, `rows-${part}.parquet`)}' ${parquet}`,
    )
    part += 1
    file = join(folder, `rows-${part}.ndjson`)
  }
  let count = 0
  for (let cursor: string | null = '0'; cursor !== null;) {
    const reply: Dispatcher.ResponseData = await pool.request({ path: `/rows?cursor=${cursor}`, method: 'GET' })
    const page: Buffer = Buffer.from(await reply.body.bytes())
    const lines: Buffer[] = []
    split(page, (from, to) => {
      lines.push(page.subarray(from, to), Buffer.from('\n'))
      count++
    })
    writeSync(out, Buffer.concat(lines))
    cursor = /"next_cursor":"(\d+)"\}$/.exec(page.subarray(-40).toString())?.[1] ?? null
    if (overlapped && count % 100_000 === 0 && cursor !== null) {
      await convert()
      out = openSync(file, 'w')
    }
  }
  await convert()
  await converting
  return count
}

const Row = z.object({
  id: z.string(),
  seq: z.int(),
  updated_at_ms: z.int(),
  experiment_id: z.string(),
  name: z.string(),
  status: z.enum(['FINISHED', 'RUNNING', 'FAILED', 'SCHEDULED', 'KILLED']),
  user: z.string(),
  duration_ms: z.int(),
  accuracy: z.number(),
  loss: z.number(),
  epoch: z.int(),
  best: z.boolean(),
  note: z.string().nullable(),
  tags: z.object({ team: z.string(), stage: z.string(), region: z.string() }),
})
const Page = z.object({ data: z.array(z.unknown()), next_cursor: z.string().nullable() })

/** Pages read, parsed and checked by zod, and dropped: the objects road without a framework and without a sink. */
const bareObjects = async (): Promise<number> => {
  const pool = new Pool(url, { connections: 1 })
  let count = 0
  for (let cursor: string | null = '0'; cursor !== null;) {
    const reply = await pool.request({ path: `/rows?cursor=${cursor}`, method: 'GET' })
    const page = Page.parse(await reply.body.json())
    for (const row of page.data) if (Row.safeParse(row).success) count++
    cursor = page.next_cursor
  }
  return count
}

const rest = {
  path: '/{path}',
  records: 'data',
  paging: { kind: 'token', parameter: 'cursor', next: 'next_cursor' },
} as const
const connector = defineConnector(
  {
    id: 'pages',
    title: 'Pages',
    config: z.strictObject({ url: z.url(), path: z.string() }),
    hosts: ['{url}'],
    streams: {
      rows: stream({ schema: Row, primaryKey: ['id'], rest }),
      // Looks at each row's cursor.
      changes: stream({ schema: Row, primaryKey: ['id'], cursor: 'seq', rest }),
    },
  },
  () => ({ check: () => Promise.resolve({}) }),
)
interface Ours {
  readonly path?: 'rows' | 'bad'
  /** DuckDB's JSON reader instead of vectors. */
  readonly segments?: boolean
  /** Incremental, so that checkpoints move within the read: after so many bytes, or a second. Absent: a full refresh, which is one commit. */
  readonly commitBytes?: number
}
const variants: Readonly<Record<string, Ours>> = {
  flow: {},
  segments: { segments: true },
  bad: { path: 'bad' },
  incremental: { commitBytes: Infinity },
  // Ten pages.
  checkpoints: { commitBytes: 3_600_000 },
}

/** A declared connector as an author writes it, through the sync engine into the local connector's Parquet sink: validated, with checkpoints, accounting and lineage. */
const ours = async ({ path = 'rows', segments = false, commitBytes }: Ours): Promise<number> => {
  if (segments) process.env['ECOKIT_VECTORS'] = 'off'
  const source = connect(connector, { config: { url, path } })
  const sink = connect(local, { config: { folder } })
  const store = await openStore(join(folder, 'state.db'))
  const run = await sync({
    store,
    pipeline: {
      name: 'bench',
      source,
      sink,
      sinkName: 'parquet',
      streams:
        commitBytes === undefined
          ? [{ stream: 'rows', mode: 'full_refresh', disposition: 'append' }]
          : [{ stream: 'changes', mode: 'incremental', disposition: 'append' }],
    },
    commitBytes,
  })
  await Promise.all([source.close(), sink.close(), store.close()])
  const [done] = run.streams
  if (run.status !== 'completed' || done === undefined) throw new Error(JSON.stringify(run))
  const put = path === 'bad' ? Number(rows) / 100 : 0
  if (done.quarantined !== put) throw new Error(`${variant} put ${done.quarantined} of ${put} rows aside`)
  return done.written + done.quarantined
}

const flow = variants[variant]
const run = (): Promise<number> => {
  if (flow !== undefined) return ours(flow)
  return variant === 'objects' ? bareObjects() : bareSplit(variant === 'split-overlapped')
}
await report(async () => {
  const count = await run()
  if (count !== Number(rows)) throw new Error(`${variant} has ${count} of ${rows} rows`)
  return { count }
})
process.exit()
