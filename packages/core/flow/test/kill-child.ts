/** A process that syncs a paged HTTP source into a DuckDB file, to be killed from outside. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { defineConnector, stream } from '@ecokit/contracts'
import type { AnyConnection, Batch, Checkpoint, OpenHttp, ReadOptions } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { z } from 'zod'
import { sync } from '../src/index.ts'

const item = z.object({ id: z.int(), at: z.int(), name: z.string() })
const page = z.object({ items: z.array(item) })

const read = async function* (
  http: OpenHttp,
  url: string,
  { checkpoint, signal }: ReadOptions,
): AsyncIterable<Batch<z.input<typeof item>>> {
  let after = typeof checkpoint?.['after'] === 'number' ? checkpoint['after'] : -1
  for (;;) {
    const query = { after: String(after) }
    const { items } = await http(url).json({ method: 'GET', path: 'items', query }, page, { signal })
    const last = items.at(-1)
    if (last === undefined) return
    after = last.at
    yield { encoding: 'records', records: items, checkpoint: { after } }
  }
}

const shop = defineConnector(
  {
    id: 'shop',
    title: 'Shop',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    streams: {
      items: stream({ schema: item, primaryKey: ['id'], cursor: 'at' }),
      log: stream({ schema: item, primaryKey: ['id'], cursor: 'at' }),
    },
  },
  ({ config: { url }, http }) => ({
    check: () => Promise.resolve({}),
    read: { items: (options) => read(http, url, options), log: (options) => read(http, url, options) },
  }),
)

/** Stores the checkpoint in a file of its own, before the rows. */
const naive = (lake: AnyConnection, folder: string): AnyConnection => ({
  ...lake,
  write: async (sinkName, options) => {
    if (lake.write === undefined) throw new Error('no sinks')
    const writer = await lake.write(sinkName, options)
    const file = path.join(folder, `${options.table.name}.checkpoint`)
    return {
      ...writer,
      resumesFrom: () =>
        Promise.resolve(existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Checkpoint) : undefined),
      commit: async (checkpoint, more) => {
        writeFileSync(file, JSON.stringify(checkpoint))
        await sleep(20)
        return writer.commit(checkpoint, more)
      },
    }
  },
})

const [url = '', folder = '', kind = '', full = ''] = process.argv.slice(2)
const store = await openStore(path.join(folder, 'state.db'))
const source = connect(shop, { config: { url } })
const lake = connect(local, { name: 'lake', config: { database: path.join(folder, 'lake.duckdb') } }) as AnyConnection
const pipeline = {
  name: 'shop-to-lake',
  source,
  sink: kind === 'naive' ? naive(lake, folder) : lake,
  sinkName: 'tables',
  streams: ['items', { stream: 'log', disposition: 'append' as const }],
}
const result = await sync({ pipeline, store, full: full === 'full', commitBytes: 0 })
await source.close()
await lake.close()
await store.close()
if (result.status !== 'completed') {
  console.error(JSON.stringify(result))
  process.exitCode = 1
}
