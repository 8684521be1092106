import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import type { AnyConnection, AnyRecord } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import { listContracts, planStreams, type Pipeline } from '../src/index.ts'
import { run, temporaryFolder, testStore } from './support.ts'

/** A folder with a sound table, a CSV file with a doubled column and an empty one. */
const setUp = async (more: Partial<Pipeline> = {}) => {
  const base = await temporaryFolder()
  const folder = path.join(base, 'in')
  await mkdir(folder)
  await writeFile(path.join(folder, 'good.csv'), 'a,b\r\n1,2\r\n')
  await writeFile(path.join(folder, 'doubled.csv'), 'a,a\r\n1,2\r\n')
  await writeFile(path.join(folder, 'empty.csv'), '')
  const open = (name: string, config: { folder?: string; database?: string }): AnyConnection => {
    const connection = connect(local, { name, config }) as AnyConnection
    onTestFinished(() => connection.close())
    return connection
  }
  const [source, sink] = [open('inbox', { folder }), open('lake', { database: path.join(base, 'lake.duckdb') })]
  const pipeline: Pipeline = { name: 'p', source, sink, sinkName: 'tables', ...more }
  const rows = async (table: string): Promise<readonly AnyRecord[]> => {
    const found: AnyRecord[] = []
    for await (const batch of sink.read!(table)) if (batch.encoding === 'records') found.push(...batch.records)
    return found
  }
  return { folder, pipeline, rows, store: await testStore() }
}
const endsOf = ({ streams }: Awaited<ReturnType<typeof run>>) =>
  Object.fromEntries(streams.map(({ stream, status, error }) => [stream, error?.message ?? status]))

test('a pipeline that does not name a table that cannot be described is not touched by it', async () => {
  const { pipeline, rows, store } = await setUp({ streams: ['good'] })
  expect(await run({ pipeline, store })).toMatchObject({ status: 'completed' })
  expect(await rows('good')).toEqual([{ a: '1', b: '2' }])
  expect((await planStreams(pipeline.source, pipeline.sink, 'tables')).map(({ stream }) => stream)).toEqual(['good'])
})

test('one that names it fails that stream alone, with the file and what is wrong in it', async () => {
  const { pipeline, rows, store } = await setUp({ streams: ['doubled', 'good'] })
  const result = await run({ pipeline, store })
  expect(result.status).toBe('failed')
  expect(endsOf(result)).toEqual({
    doubled: expect.stringMatching(/doubled\.csv:1:1: two columns have the same name\. Mend the file/) as string,
    good: 'completed',
  })
  expect(await rows('good')).toHaveLength(1)
  await expect(planStreams(pipeline.source, pipeline.sink, 'tables', ['doubled'])).rejects.toMatchObject({
    code: 'invalid_data',
  })
})

test('one that takes everything goes on with the rest and ends as failed; the table is not a new one once it is mended', async () => {
  const { folder, pipeline, rows, store } = await setUp({ contract: { tables: 'freeze' } })
  const first = await run({ pipeline, store })
  expect(first).toMatchObject({
    status: 'failed',
    error: { code: 'invalid_data', message: expect.stringMatching(/and 1 more of its streams failed/) as string },
  })
  expect(endsOf(first)).toEqual({
    good: 'completed',
    doubled: expect.stringMatching(/two columns have the same name/) as string,
    empty: expect.stringMatching(/empty\.csv:1:1: there is no header line/) as string,
  })
  // Nothing waits for somebody: a mended file is enough.
  expect((await listContracts(store)).map(({ stream, paused }) => [stream, paused])).toEqual([['good', undefined]])
  await writeFile(path.join(folder, 'doubled.csv'), 'a,b\r\n3,4\r\n')
  const second = await run({ pipeline, store })
  expect(endsOf(second)).toMatchObject({ good: 'completed', doubled: 'completed' })
  expect(await rows('doubled')).toEqual([{ a: '3', b: '4' }])
  // Broken again, it keeps what it has agreed to, and its rows.
  await writeFile(path.join(folder, 'doubled.csv'), 'a,a\r\n3,4\r\n')
  expect(endsOf(await run({ pipeline, store }))).toMatchObject({
    doubled: expect.stringMatching(/same name/) as string,
  })
  expect(await rows('doubled')).toHaveLength(1)
  await writeFile(path.join(folder, 'doubled.csv'), 'a,b\r\n5,6\r\n')
  await writeFile(path.join(folder, 'empty.csv'), 'x\r\n')
  expect(await run({ pipeline, store })).toMatchObject({ status: 'completed' })
  expect(await rows('doubled')).toEqual([{ a: '5', b: '6' }])
})
