import { connect } from '@ecokit/connect'
import { postgres } from '@ecokit/connector-postgres'
import type { AnyConnection, AnyRecord, Discovered, QualityRule } from '@ecokit/contracts'
import { startPostgres, type Postgres } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { listQuality, type PipelineStream } from '../src/index.ts'
import { discovering } from './memory.ts'
import { only, run, testStore } from './support.ts'

const peer = await requirePeer('postgres')
let server: Promise<Postgres> | undefined
afterAll(async () => {
  await (await server)?.[Symbol.asyncDispose]()
})

const properties = {
  id: { type: 'integer', format: 'int64' },
  name: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  score: { type: 'number' },
  seen: { type: 'string', format: 'date-time' },
  team: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  more: {},
}
const tables: readonly Discovered[] = [
  { name: 'people', schema: { type: 'object', properties }, primaryKey: ['id'] },
  { name: 'teams', schema: { type: 'object', properties: { team: { type: 'string' } } }, primaryKey: ['team'] },
]
const large = 2n ** 62n
const peopleOf = (count: number): AnyRecord[] =>
  Array.from({ length: count }, (_, index) => ({
    id: large + BigInt(index),
    name: `person ${index}`,
    score: index,
    seen: new Date(Date.UTC(2026, 0, 1, 0, index)).toISOString(),
    team: `team ${index % 2}`,
    more: { index },
  }))

let schemas = 0
/** A schema of its own on the real server, and a source whose rows can be changed between runs. */
const setUp = async (people: AnyRecord[]) => {
  const running = await (server ??= startPostgres())
  const { host, port, database, logins } = running
  const schema = `quality_${(schemas += 1)}`
  await running.sql(`CREATE SCHEMA ${schema} AUTHORIZATION ${logins.writer.username}`)
  const sink: AnyConnection = connect(postgres, {
    name: 'base',
    config: { host, port, database, schema },
    credentials: { scheme: 'password', ...logins.writer },
  })
  const teams: AnyRecord[] = [{ team: 'team 0' }, { team: 'team 1' }]
  const source = discovering(
    () => tables,
    async function* (name) {
      const rows = name === 'teams' ? teams : people
      for (let at = 0; at < rows.length; at += 10)
        yield await Promise.resolve({ encoding: 'records' as const, records: rows.slice(at, at + 10) })
    },
  )
  onTestFinished(async () => {
    await source.close()
    await sink.close()
  })
  const store = await testStore()
  const go = async (wanted: Omit<PipelineStream, 'stream'>) => {
    const streams: readonly PipelineStream[] = [
      { stream: 'teams', disposition: 'overwrite' },
      { stream: 'people', ...wanted },
    ]
    const now = () => Date.UTC(2026, 0, 2)
    const pipeline = { name: 'club', source, sink, sinkName: 'tables', streams }
    const result = await run({ pipeline, store, now, commitBytes: 0 })
    const said = await listQuality(store, { run: result.id, stream: 'people' })
    return {
      result,
      said: said.toReversed().map(({ name, passed, checked, failed, message }) => {
        return [name, passed, checked, failed, message] as const
      }),
    }
  }
  const rowsThere = async (): Promise<number> => {
    const [row] = await running.sql(`SELECT count(*)::int AS n FROM ${schema}.people`)
    return Number(row?.['n'])
  }
  return { go, rowsThere, teams }
}
const quality: readonly QualityRule[] = [
  { rule: 'unique', fields: ['id'] },
  { rule: 'unique', fields: ['called', 'score'] },
  { rule: 'unique', fields: ['more'], name: 'json' },
  { rule: 'freshness', field: 'seen', maxAgeMs: 23 * 3_600_000 },
  { rule: 'referential', field: 'team', table: 'teams', references: 'team' },
  { rule: 'sql', query: `SELECT id, score FROM {table} WHERE score = 'NaN';`, name: 'a number' },
  { rule: 'sql', query: `SELECT p.id FROM {table} p JOIN {table:teams} t USING (team) WHERE t.team = 'team 1' -- all` },
]

peer.describe('rules about a table, in PostgreSQL', () => {
  test.each(['append', 'merge', 'overwrite'] as const)(
    'null is a value, NaN equals NaN, and integers keep their digits: %s',
    async (disposition) => {
      const people = peopleOf(22)
      people[20] = { ...people[20], name: null, score: NaN, team: null, more: { index: 3 } }
      people[21] = { ...people[21], name: null, score: NaN, team: 'team 7' }
      const { go, rowsThere } = await setUp(people)
      const { result, said } = await go({ disposition, rename: { name: 'called' }, quality })
      expect(result).toMatchObject({ status: 'completed' })
      expect(said).toEqual([
        ['unique(id)', true, 22, 0, 'no value twice'],
        ['unique(called,score)', false, 22, 1, expect.stringMatching(/^1 row too many: null, "?NaN"? \(2 times\)$/)],
        ['json', false, 22, 1, '1 row too many: {"index":3} (2 times)'],
        ['freshness(seen)', false, 22, 1, expect.stringMatching(/^newest 2026-01-01T00:21:00.000Z, /)],
        ['referential(team)', false, 22, 1, '1 row not in teams.team, such as "team 7"'],
        ['a number', false, 1, 2, expect.stringContaining(`"id":${large + 20n}`)],
        ['sql', false, 1, 10, expect.stringContaining(`{"id":${large + 1n}}`)],
      ])
      expect(await rowsThere()).toBe(22)
    },
  )

  test('a rule that stops keeps a table that is replaced as it was', async () => {
    const people = peopleOf(15)
    const { go, rowsThere } = await setUp(people)
    const rule = { rule: 'unique', fields: ['name'], severity: 'stop' } as const
    expect((await go({ disposition: 'overwrite', quality: [rule] })).result.status).toBe('completed')
    people.push(...peopleOf(25).slice(15), { ...peopleOf(1)[0], id: 5n })
    const stopped = await go({ disposition: 'overwrite', quality: [rule] })
    expect(stopped.result.streams[1]).toMatchObject({ status: 'failed', written: 0, error: { code: 'invalid_data' } })
    expect(stopped.said).toEqual([['unique(name)', false, 26, 1, '1 row too many: "person 0" (2 times)']])
    expect(await rowsThere()).toBe(15)
  })

  test('a rule that cannot be judged, or would change something, says so and harms no row', async () => {
    const { go, rowsThere } = await setUp(peopleOf(15))
    const queries = [
      'SELECT nothing FROM {table}',
      'DELETE FROM {table} RETURNING *',
      'WITH gone AS (DELETE FROM {table} RETURNING id) SELECT * FROM gone',
      'SELECT 1) AS x; DROP TABLE {table}; SELECT * FROM (SELECT 1',
      "SELECT set_config('transaction_read_only', 'off', false)",
      'COMMIT',
    ]
    const { result, said } = await go({
      disposition: 'overwrite',
      quality: [
        ...queries.map((query) => ({ rule: 'sql', query, severity: 'warn' }) as const),
        { rule: 'referential', field: 'team', table: 'absent', references: 'team' },
        { rule: 'referential', field: 'id', table: 'teams', references: 'team' },
        { rule: 'unique', fields: ['id'] },
      ],
    })
    expect(only({ streams: result.streams.slice(1) })).toMatchObject({ status: 'completed', written: 15 })
    expect(said.map(([, passed, , , message]) => [passed, message.startsWith('could not be judged: ')])).toEqual([
      ...Array.from({ length: 8 }, () => [false, true]),
      [true, false],
    ])
    expect(await rowsThere()).toBe(15)
    const stop = { rule: 'sql', query: 'SELECT nothing FROM {table}', severity: 'stop' } as const
    expect((await go({ disposition: 'overwrite', quality: [stop] })).result.status).toBe('failed')
  })

  test('rows that are marked as deleted do not count', async () => {
    const people = peopleOf(12)
    const { go, rowsThere } = await setUp(people)
    const wanted = { disposition: 'merge', mode: 'full_refresh', deletes: 'soft' } as const
    await go(wanted)
    people.splice(0, 2)
    await go(wanted)
    expect(await rowsThere()).toBe(12)
    people.push({ ...peopleOf(1)[0], id: 7n })
    const { said } = await go({ ...wanted, quality: [{ rule: 'unique', fields: ['name'], severity: 'warn' }] })
    expect(said).toEqual([['unique(name)', true, 11, 0, 'no value twice']])
  })
})
