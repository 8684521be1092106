import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import type { AnyRecord, Batch, Discovered, WriteOptions, Writer } from '@ecokit/contracts'
import { connect, local } from '../src/index.ts'
import type { AnyConnection } from '../src/index.ts'

/** A folder that is gone after the test. */
export const temporaryFolder = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-local-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A connection that is closed after the test. */
export const open = (config: {
  database?: string
  folder?: string
  partBytes?: number
  partitionBy?: Readonly<Record<string, string[]>>
}): AnyConnection => {
  const connection = connect(local, { name: 'lake', config })
  onTestFinished(() => connection.close())
  return connection
}
export const openLake = async (): Promise<{ connection: AnyConnection; database: string }> => {
  const database = path.join(await temporaryFolder(), 'lake.duckdb')
  return { connection: open({ database }), database }
}

export const table = (properties: Record<string, unknown>, primaryKey?: readonly string[], name = 't'): Discovered => ({
  name,
  schema: { type: 'object', properties },
  ...(primaryKey !== undefined && { primaryKey }),
})
export const writing = (described: Discovered, more: Partial<WriteOptions> = {}): WriteOptions => ({
  table: described,
  disposition: 'append',
  run: 'run-1',
  key: 'pipeline/t',
  ...more,
})
export const openWriter = async (
  connection: AnyConnection,
  options: WriteOptions,
  sink = 'tables',
): Promise<Writer<AnyRecord>> => {
  const writer = await connection.write?.(sink, options)
  if (writer === undefined) throw new Error('no sink')
  onTestFinished(() => writer[Symbol.asyncDispose]())
  return writer
}
export const records = (...rows: AnyRecord[]): Batch<AnyRecord> => ({ encoding: 'records', records: rows })

export const sinks = ['tables', 'parquet', 'csv', 'ndjson'] as const
/** A connection with a database and a folder. */
export const openBoth = async (): Promise<{ connection: AnyConnection; database: string; folder: string }> => {
  const base = await temporaryFolder()
  const [database, folder] = [path.join(base, 'lake.duckdb'), path.join(base, 'files')]
  return { connection: open({ database, folder }), database, folder }
}

/** Writes the records and commits them as a complete pass. */
export const put = async (
  connection: AnyConnection,
  options: WriteOptions,
  rows: readonly AnyRecord[],
  sink = 'tables',
): Promise<readonly { readonly index: number; readonly reason: string }[]> => {
  const writer = await openWriter(connection, options, sink)
  const { rejected } = await writer.write(records(...rows))
  await writer.commit(undefined, { final: true })
  await writer[Symbol.asyncDispose]()
  return rejected
}

export const readAll = async (
  connection: AnyConnection,
  name = 't',
  columns?: readonly string[],
): Promise<AnyRecord[]> => {
  const found: AnyRecord[] = []
  for await (const batch of connection.read?.(name, columns === undefined ? {} : { columns }) ?? [])
    if (batch.encoding === 'records') found.push(...batch.records)
  return found
}
export const discoverAll = async (connection: AnyConnection): Promise<Discovered[]> => {
  const found: Discovered[] = []
  for await (const one of connection.discover?.() ?? []) found.push(one)
  return found
}
