import path from 'node:path'
import { connect } from '@ecokit/connect'
import { local } from '@ecokit/connector-local'
import { postgres } from '@ecokit/connector-postgres'
import type { AnyConnection, AnyRecord, QualityRule } from '@ecokit/contracts'
import { startPostgres, type Postgres } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { listQuality } from '../src/index.ts'
import { discovering } from './memory.ts'
import { run, temporaryFolder, testStore } from './support.ts'

const peer = await requirePeer('postgres')
let server: Promise<Postgres> | undefined
afterAll(async () => {
  await (await server)?.[Symbol.asyncDispose]()
})

/** A rule that stops must not keep a pass from removing the very rows that break it. */
const prunesAway = async (sink: AnyConnection): Promise<void> => {
  const properties = { id: { type: 'integer' }, part: { type: ['string', 'null'] }, mail: { type: 'string' } }
  const tables = [{ name: 'people', schema: { type: 'object', properties }, primaryKey: ['id', 'part'] }]
  const person = (id: number, mail: string, part: string | null = null): AnyRecord => ({ id, part, mail })
  let people = [person(1, 'a'), person(2, 'b'), person(2, 'c', 'x')]
  const source = discovering(
    () => tables,
    async function* () {
      for (const one of people) yield await Promise.resolve({ encoding: 'records' as const, records: [one] })
    },
  )
  onTestFinished(async () => {
    await source.close()
    await sink.close()
  })
  const store = await testStore()
  const quality: readonly QualityRule[] = [
    { rule: 'unique', fields: ['mail'], severity: 'stop' },
    { rule: 'sql', query: "SELECT * FROM {table} WHERE mail = 'b'", severity: 'stop' },
  ]
  for (const deletes of ['hard', 'soft'] as const)
    for (const commitBytes of [0, 1 << 20]) {
      const table = `people_${deletes}_${commitBytes}`
      const go = async (rules: readonly QualityRule[]) => {
        const wanted = { stream: 'people', table, disposition: 'merge', mode: 'full_refresh', deletes } as const
        const streams = [{ ...wanted, quality: rules }]
        const pipeline = { name: table, source, sink, sinkName: 'tables', streams }
        const result = await run({ pipeline, store, commitBytes })
        const said = await listQuality(store, { run: result.id })
        return [result.status, ...said.toReversed().map(({ checked, failed }) => [checked, failed])]
      }
      people = [person(1, 'a'), person(2, 'b'), person(2, 'c', 'x')]
      expect(await go([])).toEqual(['completed'])
      people = [person(3, 'a'), person(2, 'c', 'x'), person(4, 'd')]
      const marked = `SELECT * FROM {table} WHERE mail = 'b' AND _deleted_at IS NULL`
      const rules = deletes === 'soft' ? [quality[0]!, { ...quality[1]!, query: marked } as QualityRule] : quality
      expect(await go(rules)).toEqual(['completed', [3, 0], [1, 0]])
      const rows: AnyRecord[] = []
      for await (const batch of sink.read?.(table) ?? []) if (batch.encoding === 'records') rows.push(...batch.records)
      const there = rows.filter((row) => (row['_deleted_at'] ?? null) === null)
      expect(there.map(({ mail }) => mail).toSorted()).toEqual(['a', 'c', 'd'])
      people.push(person(5, 'd'))
      expect(await go(rules)).toEqual(['failed', [4, 1]])
    }
}

test('rules about the table see it without the rows that the pass is about to remove: DuckDB', async () => {
  const folder = await temporaryFolder()
  await prunesAway(connect(local, { name: 'lake', config: { database: path.join(folder, 'lake.duckdb') } }))
})

peer.describe('postgres', () => {
  test('rules about the table see it without the rows that the pass is about to remove: PostgreSQL', async () => {
    const { host, port, database, logins } = await (server ??= startPostgres())
    const credentials = { scheme: 'password', ...logins.writer } as const
    await prunesAway(connect(postgres, { name: 'base', config: { host, port, database }, credentials }))
  })
})
