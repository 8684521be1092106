/** A process that syncs a lake whose disk fails or has lost something, and says what came of it. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { cp, open, rm, truncate } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { connect, connectUnknown } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { isIntegrationError, toJson, type AnyConnection, type AnyRecord } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { sync } from '../../src/index.ts'
import { shop } from '../kill/source.ts'
import type { Damage, Outcome, Sentence, Task } from './task.ts'

/** The shim reads what it is told out of the name of a file that is not there. */
const tell = (words: string): void => {
  try {
    closeSync(openSync(`/ecokit-fault/${words}`, 'r'))
  } catch {
    // That is the answer.
  }
}
const calls = (): { readonly counted: number; readonly fired: number } => {
  const [counted = 0, fired = 0] = readFileSync('/ecokit-fault/count', 'utf8').split(' ').map(Number)
  return { counted, fired }
}

const told = (error: unknown): Sentence =>
  isIntegrationError(error)
    ? { code: error.code, message: error.message }
    : { code: 'untyped', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }

/** The error of the work, or of closing what it used. */
const run = async ({ url, streams, sinkName, config }: Task, folder: string): Promise<Sentence | undefined> => {
  try {
    const store = await openStore(path.join(folder, 'state.db'))
    const source = connect(shop, { config: { url } }) as AnyConnection
    const sink = connectUnknown(local, {
      name: 'lake',
      config:
        config === 'database' ? { database: path.join(folder, 'lake.duckdb') } : { folder: path.join(folder, 'files') },
    })
    try {
      const pipeline = { name: 'shop-to-lake', source, sink, sinkName, streams }
      const lineage = { file: path.join(folder, 'lineage.ndjson') }
      const result = await sync({ pipeline, store, commitBytes: 0, lineage })
      return result.status === 'completed'
        ? undefined
        : { code: result.error?.code ?? 'untyped', message: result.error?.message ?? result.status }
    } finally {
      await source.close()
      await sink.close()
      await store.close()
    }
  } catch (error) {
    return told(error)
  }
}
const look = async (
  { streams, config }: Task,
  folder: string,
): Promise<Sentence | Record<string, readonly AnyRecord[]>> => {
  const sink = connect(local, {
    name: 'look',
    config:
      config === 'database' ? { database: path.join(folder, 'lake.duckdb') } : { folder: path.join(folder, 'files') },
  }) as AnyConnection
  try {
    const tables: Record<string, AnyRecord[]> = {}
    for (const { stream } of streams) {
      const records: AnyRecord[] = (tables[stream] = [])
      for await (const batch of sink.read?.(stream) ?? [])
        if (batch.encoding === 'records') records.push(...batch.records)
    }
    return tables
  } catch (error) {
    return told(error)
  } finally {
    await sink.close()
  }
}

const spoil = async (file: string, damage: Damage): Promise<void> => {
  if ('length' in damage) return truncate(file, damage.length)
  const handle = await open(file, 'r+')
  try {
    const byte = new Uint8Array(1)
    await handle.read(byte, 0, 1, damage.at)
    byte[0] = (byte[0] ?? 0) ^ (1 << damage.bit)
    await handle.write(byte, 0, 1, damage.at)
  } finally {
    await handle.close()
  }
}

const perform = async (task: Task): Promise<Outcome> => {
  const { golden, work, damage, fault } = task
  if (golden !== undefined) {
    await rm(work, { recursive: true, force: true })
    await cp(golden, work, { recursive: true })
  }
  if (damage !== undefined) await spoil(path.join(work, damage.file), damage)
  if (fault !== undefined) tell(`arm/${fault.mask}/${fault.nth}/${fault.errno}/${fault.sticky ? 1 : 0}${work}`)
  const first = await run(task, work)
  const seen = fault === undefined ? { counted: 0, fired: 0 } : calls()
  if (fault !== undefined) tell('arm/0/0/0/0/')
  const second = fault === undefined ? undefined : await run(task, work)
  return { first, second, ...seen, found: await look(task, work) }
}

const home = import.meta.resolve('@ecokit/connector-local')
const { loadDuck } = (await import(new URL('database.ts', home).href)) as { readonly loadDuck: () => Promise<unknown> }
await loadDuck()
console.log('ready')
for await (const line of createInterface({ input: process.stdin }))
  console.log(toJson(await perform(JSON.parse(line) as Task)))
