import { onTestFinished } from 'vitest'
import type { AnyRecord, Batch, Discovered, WriteOptions, Writer } from '@ecokit/contracts'
import { startPostgres } from '@ecokit/peers'
import type { Postgres } from '@ecokit/peers'
import { connectUnknown, postgres } from '../src/index.ts'
import type { AnyConnection } from '../src/index.ts'

let starting: Promise<Postgres> | undefined
/** The server of this test file. */
export const server = (): Promise<Postgres> => (starting ??= startPostgres())
/** Ends it; after all tests of the file. */
export const endServer = async (): Promise<void> => {
  const running = await starting
  await running?.[Symbol.asyncDispose]()
}

export type Login = keyof Postgres['logins']
export const configOf = ({ host, port, database }: Postgres, more: object = {}) => ({ host, port, database, ...more })
/** A connection that is closed after the test. */
export const open = async (login: Login = 'writer', more: object = {}): Promise<AnyConnection> => {
  const running = await server()
  const connection = connectUnknown(postgres, {
    name: 'base',
    config: configOf(running, more),
    credentials: { scheme: 'password', ...running.logins[login] },
  })
  onTestFinished(() => connection.close())
  return connection
}

let tables = 0
/** A table of its own for each test. */
export const table = (
  properties: Record<string, unknown>,
  primaryKey?: readonly string[],
  name?: string,
): Discovered => ({
  name: name ?? `t${(tables += 1)}`,
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
export const openWriter = async (connection: AnyConnection, options: WriteOptions): Promise<Writer<AnyRecord>> => {
  const writer = await connection.write?.('tables', options)
  if (writer === undefined) throw new Error('no sink')
  onTestFinished(() => writer[Symbol.asyncDispose]())
  return writer
}
export const records = (...rows: AnyRecord[]): Batch<AnyRecord> => ({ encoding: 'records', records: rows })

/** Writes the records and commits them as a complete pass. */
export const put = async (
  connection: AnyConnection,
  options: WriteOptions,
  rows: readonly AnyRecord[],
  batch: Batch<AnyRecord> = records(...rows),
): Promise<readonly { readonly index: number; readonly reason: string }[]> => {
  const writer = await openWriter(connection, options)
  const { rejected } = await writer.write(batch)
  await writer.commit(undefined, { final: true })
  await writer[Symbol.asyncDispose]()
  return rejected
}
export const readAll = async (
  connection: AnyConnection,
  name: string,
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
