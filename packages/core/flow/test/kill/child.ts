/** A process that syncs when it is told to, and is killed while it does: from outside, or by itself at a point of its life. Everything is loaded before it is told. */
import { existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { connect, connectUnknown } from '@ecokit/connect'
import { httpSink } from '@ecokit/connector-http-sink'
import { local } from '@ecokit/connector-local'
import { postgres } from '@ecokit/connector-postgres'
import type { AnyConnection, AnyConnector, Batch, Checkpoint, AnyRecord } from '@ecokit/contracts'
import { openStore, type Store } from '@ecokit/store'
import type { KyselyPlugin } from 'kysely'
import { sync } from '../../src/index.ts'
import { phases, type Life, type Phase, type SinkPlace } from './life.ts'
import { shop } from './source.ts'

const trace = 3
let plan: Life['kill']
let dying: NodeJS.Timeout | undefined
let seen = new Map<Phase, number>()
let current = 0

const die = (): void => {
  process.kill(process.pid, 'SIGKILL')
}
/** Notes where the process is, in a pipe that outlives it, and ends it where its life does. */
const pass = (phase: Phase): void => {
  writeSync(trace, Uint8Array.of(current, phases.indexOf(phase)))
  const times = (seen.get(phase) ?? 0) + 1
  seen.set(phase, times)
  if (plan?.phase !== phase || plan.nth !== times) return
  if (plan.delayMs === 0) die()
  else dying = setTimeout(die, plan.delayMs)
}

const rename = fs.rename.bind(fs)
fs.rename = async (from, to) => {
  const moved = String(to).includes('part-')
  await rename(from, to)
  pass(moved ? 'file moved' : 'file renamed')
}
syncBuiltinESMExports()

/** The source, watched. */
const watchedSource = (source: AnyConnection, streams: readonly string[]): AnyConnection => ({
  ...source,
  read: (name, options) => {
    const read = source.read?.(name, options)
    if (read === undefined) throw new Error('no streams')
    return (async function* (): AsyncIterable<Batch<AnyRecord>> {
      current = streams.indexOf(name)
      pass('fetch')
      for await (const batch of read) {
        pass('validate')
        yield batch
        pass('fetch')
      }
    })()
  },
})

/** The sink, watched; naive where the checkpoint goes its own way. */
const watchedSink = (lake: AnyConnection, { folder, naive }: Life): AnyConnection => ({
  ...lake,
  write: async (sinkName, options) => {
    if (lake.write === undefined) throw new Error('no sinks')
    pass('open sink')
    const writer = await lake.write(sinkName, options)
    const file = path.join(folder, `${options.table.name}.checkpoint`)
    return {
      ...writer,
      resumesFrom: async (call) => {
        pass('read checkpoint')
        if (!naive) return writer.resumesFrom(call)
        return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Checkpoint) : undefined
      },
      write: async (batch, call) => {
        pass('write')
        const written = await writer.write(batch, call)
        pass('written')
        return written
      },
      commit: async (checkpoint, call) => {
        pass('commit')
        const committed = await writer.commit(naive ? undefined : checkpoint, call)
        pass('committed, not noted')
        if (naive) writeFileSync(file, JSON.stringify(checkpoint))
        return committed
      },
      [Symbol.asyncDispose]: async () => {
        pass('dispose')
        await writer[Symbol.asyncDispose]()
      },
    }
  },
})

/** The store, watched: which statement it is about is told by the tables that it names. */
const watchedStore = (store: Store): Store => {
  const kinds = new WeakMap<object, Phase>()
  const plugin: KyselyPlugin = {
    transformQuery: ({ node, queryId }) => {
      const text = JSON.stringify(node)
      if (node.kind === 'InsertQueryNode' && text.includes('"flow_state"')) {
        pass('note checkpoint')
        kinds.set(queryId, 'checkpoint noted')
      }
      if (node.kind === 'InsertQueryNode' && text.includes('"lineage_events"')) kinds.set(queryId, 'lineage')
      return node
    },
    transformResult: ({ result, queryId }) => {
      const phase = kinds.get(queryId)
      if (phase !== undefined) pass(phase)
      return Promise.resolve(result)
    },
  }
  return { ...store, db: store.db.withPlugin(plugin) }
}

const connectors: Readonly<Record<SinkPlace['connector'], AnyConnector>> = {
  local,
  'http-sink': httpSink,
  postgres,
}

const live = async (life: Life): Promise<string> => {
  plan = life.kill
  seen = new Map()
  current = 0
  pass('start')
  const { url, folder, sink: place, streams, full } = life
  const store = await openStore(path.join(folder, 'state.db'))
  const source = connect(shop, { config: { url } }) as AnyConnection
  const { connector, config, credentials, sinkName } = place
  const lake = connectUnknown(connectors[connector], {
    name: 'lake',
    config,
    ...(credentials !== undefined && { credentials }),
  })
  const pipeline = {
    name: 'shop-to-lake',
    source: watchedSource(
      source,
      streams.map(({ stream }) => stream),
    ),
    sink: watchedSink(lake, life),
    sinkName,
    streams,
  }
  const lineage = { file: path.join(folder, 'lineage.ndjson') }
  const result = await sync({ pipeline, store: watchedStore(store), full, commitBytes: 0, lineage })
  await source.close()
  pass('close sink')
  await lake.close()
  pass('close store')
  await store.close()
  const news = result.warnings.filter(
    (sentence) => !/read on from its checkpoint|rows that the source no longer has/.test(sentence),
  )
  return result.status === 'completed' && news.length === 0 ? '' : JSON.stringify(result)
}

// What is loaded at its first use is loaded before anything is timed: DuckDB's native code above all.
const home = import.meta.resolve('@ecokit/connector-local')
for (const file of ['tables/write.ts', 'folder/write.ts', 'database.ts']) {
  const loaded = (await import(new URL(file, home).href)) as { readonly loadDuck?: () => Promise<unknown> }
  await loaded.loadDuck?.()
}
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const life = JSON.parse(line) as Life
  const wrong = await live(life).catch((error: unknown) =>
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  )
  // Whoever has answered lives on, and takes the next order.
  clearTimeout(dying)
  console.log(JSON.stringify({ wrong }))
}
