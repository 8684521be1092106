// node pages.ts <split | objects | flow> <url> <rows> <folder>: every row of the page server into Parquet.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { defineConnector, stream } from '@ecokit/contracts'
import type { Dispatcher } from 'undici'
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

const bareSplit = async (): Promise<number> => {
  const { Pool } = await import('undici')
  const pool = new Pool(url, { connections: 1 })
  const file = join(folder, 'rows.ndjson')
  const out = openSync(file, 'w')
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
  }
  closeSync(out)
  const database = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await database.connect()
  await connection.run(
    `COPY (SELECT * FROM read_json('${file}', format='newline_delimited', columns=${columns})) TO '${join(folder, 'rows.parquet')}' (FORMAT parquet, COMPRESSION zstd)`,
  )
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
  const { Pool } = await import('undici')
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

/** A connector as an author writes it, through the sync engine, with checkpoints, into the local connector's Parquet sink. */
const ours = async (): Promise<number> => {
  const [{ connect }, { local }, { openStore }, { sync }] = await Promise.all([
    import('@ecokit/connect'),
    import('@ecokit/connector-local'),
    import('@ecokit/store'),
    import('@ecokit/flow'),
  ])
  const connector = defineConnector(
    {
      id: 'pages',
      title: 'Pages',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      streams: { rows: stream({ schema: Row, primaryKey: ['id'], cursor: 'seq' }) },
    },
    ({ config, http }) => {
      const api = http(config.url)
      return {
        check: async () => ({}),
        read: {
          async *rows({ checkpoint, signal }) {
            const request = {
              method: 'GET',
              path: '/rows',
              query: { cursor: `${(checkpoint?.['cursor'] ?? 0) as number}` },
            }
            const paging = {
              kind: 'token',
              in: 'query',
              parameter: 'cursor',
              next: (page: z.infer<typeof Page>) => page.next_cursor,
            } as const
            for await (const page of api.pages(request, Page, paging, { signal }))
              yield {
                encoding: 'records',
                records: page.data as z.input<typeof Row>[],
                checkpoint: { cursor: page.next_cursor ?? rows },
              }
          },
        },
      }
    },
  )
  const source = connect(connector, { config: { url } })
  const sink = connect(local, { config: { folder } })
  const store = await openStore(join(folder, 'state.db'))
  const run = await sync({
    store,
    pipeline: {
      name: 'bench',
      source,
      sink,
      sinkName: 'parquet',
      streams: [{ stream: 'rows', mode: 'full_refresh', disposition: 'append' }],
    },
  })
  await Promise.all([source.close(), sink.close(), store.close()])
  if (run.status !== 'completed') throw new Error(JSON.stringify(run))
  return run.streams[0]?.written ?? 0
}

await report(async () => {
  const count = await (variant === 'split' ? bareSplit() : variant === 'objects' ? bareObjects() : ours())
  if (count !== Number(rows)) throw new Error(`${variant} has ${count} of ${rows} rows`)
  return { count }
})
process.exit()
