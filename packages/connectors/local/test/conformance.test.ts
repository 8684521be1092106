import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, test } from 'vitest'
import { eachRule } from '@ecokit/testkit'
import { connect, local } from '../src/index.ts'
import { openWriter, records, sinks, table, writing } from './support.ts'

const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

const runs = table(
  {
    id: { type: 'string' },
    value: { type: 'number' },
    at: { type: 'string', format: 'date-time' },
    tags: { type: 'object', additionalProperties: { type: 'string' } },
  },
  ['id'],
)
const sample = {
  records: [
    { id: 'a', value: 1.5, at: '2026-01-01T00:00:00.123456Z', tags: { team: 'x' } },
    { id: 'b', value: NaN, at: null, tags: {} },
    { id: 'c', value: null, at: '2026-01-01T00:00:00Z', tags: null },
  ],
  changed: { id: 'a', value: -0.25, at: null, tags: { team: 'y', more: '' } },
  refused: { id: 'z', value: 'not a number' },
}

eachRule(test, local, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-local-'))
  folders.push(folder)
  const config = { database: path.join(folder, 'lake.duckdb'), folder: path.join(folder, 'files') }
  const connection = connect(local, { config })
  for (const sink of sinks) {
    const writer = await openWriter(connection, writing({ ...runs, name: `there_${sink}` }), sink)
    await writer.write(records(...sample.records))
    await writer.commit({ page: 1 }, { final: true })
    await writer[Symbol.asyncDispose]()
  }
  await connection.close()
  return {
    config,
    invalidConfigs: [
      { config: {}, field: 'config.database' },
      { config: { database: '' }, field: 'config.database' },
      { config: { folder: 7 }, field: 'config.folder' },
    ],
    sinks: Object.fromEntries(sinks.map((sink) => [sink, { ...sample, table: { ...runs, name: sink } }])),
    readme: new URL('../README.md', import.meta.url),
  }
})
