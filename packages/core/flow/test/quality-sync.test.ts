import path from 'node:path'
import { httpSink } from '@ecokit/connector-http-sink'
import { connect, local } from '@ecokit/connector-local'
import { defineConnector, stream, type AnyConnection, type Batch, type QualityRule } from '@ecokit/contracts'
import { onTestFinished, expect, test } from 'vitest'
import { z } from 'zod'
import { findLineage, listQuality, listQuarantine, planStreams, runLineage, type PipelineStream } from '../src/index.ts'
import { pagesOf, sourceOfShelves } from './memory.ts'
import { items, newTable, only, run, sinkOf, sourceOf, temporaryFolder, testStore } from './support.ts'

const person = z.object({
  id: z.int(),
  name: z.string().nullable(),
  age: z.int().nullable(),
  seen: z.iso.datetime(),
  team: z.string(),
})
type Person = z.output<typeof person>
const people = (count: number): Person[] =>
  Array.from({ length: count }, (_, id) => ({
    id,
    name: `person ${id}`,
    age: id % 90,
    seen: new Date(Date.UTC(2026, 0, 1, 0, id)).toISOString(),
    team: `team ${id % 3}`,
  }))

/** A lake in DuckDB and a source whose people can be changed between runs. */
const setUp = async (rows: Person[], declared: readonly QualityRule[] = []) => {
  const folder = await temporaryFolder()
  const database = path.join(folder, 'lake.duckdb')
  const source: AnyConnection = connect(
    defineConnector(
      {
        id: 'club',
        title: 'Club',
        config: z.strictObject({ url: z.url() }),
        hosts: [],
        dataset: { namespace: '{url}', name: '{table}' },
        streams: {
          people: stream({ schema: person, primaryKey: ['id'], quality: declared }),
          teams: stream({ schema: z.object({ team: z.string() }), primaryKey: ['team'] }),
        },
      },
      () => ({
        check: () => Promise.resolve({}),
        read: {
          people: async function* (): AsyncGenerator<Batch<Person>> {
            for (let at = 0; at < rows.length; at += 10)
              yield await Promise.resolve({ encoding: 'records', records: rows.slice(at, at + 10) })
          },
          teams: async function* (): AsyncGenerator<Batch<{ team: string }>> {
            yield await Promise.resolve({ encoding: 'records', records: [{ team: 'team 0' }, { team: 'team 1' }] })
          },
        },
      }),
    ),
    { name: 'club', config: { url: 'https://club.example.com/api' } },
  )
  const sink = connect(local, { name: 'lake', config: { database } })
  onTestFinished(async () => {
    await source.close()
    await sink.close()
  })
  const store = await testStore()
  const now = () => Date.UTC(2026, 0, 2)
  const go = (wanted: Partial<PipelineStream> = {}, more: readonly PipelineStream[] = []) =>
    run({
      pipeline: {
        name: 'club-to-lake',
        source,
        sink,
        sinkName: 'tables',
        streams: [...more, { stream: 'people', ...wanted }],
      },
      store,
      now,
      full: true,
      commitBytes: 0,
    })
  const inLake = async (table = 'people'): Promise<number | undefined> => {
    const reader = connect(local, { name: 'reader', config: { database } })
    try {
      let count = 0
      for await (const batch of reader.read(table))
        count += batch.encoding === 'records' ? batch.records.length : batch.count
      return count
    } catch {
      return undefined
    } finally {
      await reader.close()
    }
  }
  return { store, go, inLake, database }
}

test('records that break a rule are put aside with its name, warnings are told, and the account holds', async () => {
  const rows = people(45)
  rows[3] = { ...rows[3]!, name: null }
  rows[44] = { ...rows[44]!, age: 900 }
  const { store, go, inLake } = await setUp(rows, [{ rule: 'not_null', field: 'name' }])
  const result = await go({
    quality: [
      { rule: 'range', field: 'age', min: 0, max: 150, name: 'ages' },
      { rule: 'set', field: 'team', values: ['team 0', 'team 1'], severity: 'warn' },
    ],
  })
  expect(only(result)).toMatchObject({ status: 'completed', read: 45, written: 43, quarantined: 2 })
  expect(result.warnings).toEqual([
    'people: set(team): broken by 15 of 45 records, such as "team 2" is none of the values',
  ])
  expect(await inLake()).toBe(43)
  const aside = await listQuarantine(store, { run: result.id })
  expect(aside.map(({ field, reason }) => [field, reason])).toEqual([
    ['age', 'ages: 900 is above 150'],
    ['name', 'not_null(name): is null'],
  ])
  expect(JSON.parse(aside[0]!.record)).toEqual(rows[44])
  const results = await listQuality(store, { run: result.id })
  expect(results.map(({ name, passed, checked, failed }) => [name, passed, checked, failed])).toEqual([
    ['set(team)', false, 45, 15],
    ['ages', false, 45, 1],
    ['not_null(name)', false, 45, 1],
  ])
  expect(await listQuality(store, { failedOnly: true, limit: 1 })).toMatchObject([
    { name: 'set(team)', stream: 'people' },
  ])
  expect(await listQuality(store, { pipeline: 'other' })).toEqual([])
})

test('a rule that stops keeps a full pass from becoming visible at all', async () => {
  const rows = people(30)
  const { store, go, inLake } = await setUp(rows)
  expect((await go()).status).toBe('completed')
  rows.push(...people(60).slice(30))
  rows[55] = { ...rows[55]!, age: -1 }
  const stopped = await go({
    disposition: 'overwrite',
    quality: [{ rule: 'range', field: 'age', min: 0, severity: 'stop' }],
  })
  expect(only(stopped)).toMatchObject({ status: 'failed', written: 0, error: { code: 'invalid_data' } })
  expect(stopped.error?.message).toMatch(
    /club: people: the quality rule range\(age\) stops the stream: 1 of 60 records/,
  )
  expect(await inLake()).toBe(30)
  expect(await listQuality(store, { run: stopped.id })).toMatchObject([{ passed: false, failed: 1, severity: 'stop' }])
  const [, end] = await runLineage(store, stopped.id)
  expect(end).toMatchObject({
    eventType: 'FAIL',
    inputs: [
      {
        inputFacets: {
          dataQualityAssertions: { assertions: [{ success: false, severity: 'error', actual: '1 of 60 records' }] },
        },
      },
    ],
  })
  // A collector is not told what a record holds.
  expect(JSON.stringify(end)).not.toContain('is below')
})

test('in a pass by steps a rule that stops keeps back its own batch, and what was committed stays', async () => {
  const rows = people(30)
  rows[25] = { ...rows[25]!, age: -1 }
  const { go, inLake } = await setUp(rows)
  const quality: readonly QualityRule[] = [{ rule: 'range', field: 'age', min: 0, severity: 'stop' }]
  const stopped = await go({ disposition: 'merge', quality })
  expect(only(stopped)).toMatchObject({ status: 'failed', written: 20 })
  expect(await inLake()).toBe(20)
})

test('rules about the table ask the sink before the last commit: DuckDB', async () => {
  const rows = people(30)
  rows[29] = { ...rows[29]!, name: 'person 0' }
  const { store, go, inLake } = await setUp(rows)
  const quality: readonly QualityRule[] = [
    { rule: 'unique', fields: ['id'] },
    { rule: 'unique', fields: ['called'] },
    { rule: 'freshness', field: 'seen', maxAgeMs: 24 * 3_600_000 },
    { rule: 'row_count', min: 10, atLeast: 0.5 },
    { rule: 'referential', field: 'team', table: 'teams', references: 'team' },
    { rule: 'sql', query: "SELECT id FROM {table} WHERE called = 'person 7'", name: 'no seven' },
  ]
  const wanted = { rename: { name: 'called' }, disposition: 'overwrite', quality } as const
  const first = await go(wanted, [{ stream: 'teams' }])
  expect(first).toMatchObject({ status: 'completed' })
  const results = await listQuality(store, { run: first.id })
  expect(
    results.toReversed().map(({ name, passed, checked, failed, message }) => [name, passed, checked, failed, message]),
  ).toEqual([
    ['unique(id)', true, 30, 0, 'no value twice'],
    ['unique(called)', false, 30, 1, '1 row too many: "person 0" (2 times)'],
    ['freshness(seen)', true, 30, 0, 'newest 2026-01-01T00:29:00.000Z, 23 h 31 min old where 1 d may be'],
    ['row_count', true, 1, 0, '30 records, expected at least 10'],
    ['referential(team)', false, 30, 10, '10 rows not in teams.team, such as "team 2", "team 2", "team 2"'],
    ['no seven', false, 1, 1, '1 fault, such as {"id":7}'],
  ])
  expect(first.warnings).toHaveLength(3)

  rows.splice(12)
  const second = await go({ ...wanted, quality: [{ rule: 'row_count', atLeast: 0.5, severity: 'stop' }] })
  expect(only(second)).toMatchObject({ status: 'failed', written: 0 })
  expect(second.error?.message).toMatch(/row_count stops the stream: 12 records, expected at least 0.5 of the usual 30/)
  expect(await inLake()).toBe(30)
})

test('lineage names the tables, and says of the rules what they said, under the names of the source', async () => {
  const rows = people(12)
  rows[3] = { ...rows[3]!, name: null }
  const { store, go, database } = await setUp(rows)
  const { id } = await go({
    columns: ['id', 'name', 'age'],
    rename: { name: 'called' },
    cast: { age: 'string' },
    disposition: 'merge',
    quality: [
      { rule: 'not_null', field: 'called' },
      { rule: 'row_count', min: 100 },
    ],
  })
  const complete = (await runLineage(store, id)).at(-1)
  const from = { namespace: 'https://club.example.com/api', name: 'people' }
  const to = { namespace: 'file', name: `${database}/people` }
  const direct = (field: string, subtype: string, description: string) => ({
    inputFields: [{ ...from, field, transformations: [{ type: 'DIRECT', subtype, description, masking: false }] }],
  })
  expect(complete).toMatchObject({
    eventType: 'COMPLETE',
    inputs: [
      {
        ...from,
        inputFacets: {
          inputStatistics: { rowCount: 12 },
          dataQualityMetrics: { rowCount: 12, columnMetrics: { name: { nullCount: 1, count: 11 } } },
          dataQualityAssertions: {
            assertions: [
              { assertion: 'not_null', column: 'name', success: false, severity: 'warn', name: 'not_null(called)' },
              { assertion: 'row_count', success: false, actual: '12 records, expected at least 100' },
            ],
          },
        },
      },
    ],
    outputs: [
      {
        ...to,
        facets: {
          schema: { fields: [{ name: 'id' }, { name: 'called' }, { name: 'age' }] },
          dataSource: { name: 'lake', uri: `file://${database}/people` },
          columnLineage: {
            fields: {
              id: direct('id', 'IDENTITY', ''),
              called: direct('name', 'IDENTITY', 'renamed from name'),
              age: direct('age', 'TRANSFORMATION', 'cast to string'),
            },
            dataset: [
              { field: 'id', transformations: [{ type: 'INDIRECT', subtype: 'JOIN' }] },
              { field: 'name', transformations: [{ type: 'INDIRECT', subtype: 'FILTER' }] },
            ],
          },
        },
        outputFacets: { outputStatistics: { rowCount: 11 } },
      },
    ],
  })
  expect(complete?.outputs[0]?.outputFacets?.outputStatistics).not.toHaveProperty('size')
  const { nodes, edges } = await findLineage(store, { name: to.name, field: 'called' })
  expect(nodes).toEqual([
    { ...to, field: 'called' },
    { ...from, field: 'name' },
  ])
  expect(edges).toMatchObject([
    {
      from: { field: 'name' },
      to: { field: 'called' },
      pipeline: 'club-to-lake',
      transformation: 'DIRECT/IDENTITY',
      run: id,
    },
  ])
})

test('a table that is replaced says so, and how large it is', async () => {
  const { store, go } = await setUp(people(5))
  const { id } = await go({ disposition: 'overwrite' })
  const [start, complete] = await runLineage(store, id)
  expect(start?.outputs[0]?.facets).not.toHaveProperty('lifecycleStateChange')
  expect(complete?.outputs[0]).toMatchObject({
    facets: { lifecycleStateChange: { lifecycleStateChange: 'OVERWRITE' } },
    outputFacets: { outputStatistics: { rowCount: 5, size: expect.any(Number) as number } },
  })
})

test('a rule that has to ask is refused by a sink that cannot be asked, before anything is read; others are judged there too', async () => {
  const table = newTable(items(30))
  const store = await testStore()
  const sync = (quality: readonly QualityRule[]) =>
    run({
      pipeline: {
        ...{ name: 'shop-to-lake', source: sourceOf(table), sink: mute, sinkName: 'tables' },
        streams: [{ stream: 'items', quality }],
      },
      store,
      full: true,
    })
  const mute = sinkOf(path.join(await temporaryFolder(), 'sink.db'))
  const refused = await sync([{ rule: 'unique', fields: ['name'] }])
  expect(only(refused)).toMatchObject({ status: 'failed', read: 0, error: { code: 'unsupported' } })
  expect(table.reads).toEqual([])
  const rules: readonly QualityRule[] = [
    { rule: 'row_count', atLeast: 0.9 },
    { rule: 'regex', field: 'name', pattern: '^item' },
    { rule: 'range', field: 'big', min: 2 ** 62, severity: 'stop' },
  ]
  expect((await sync(rules)).warnings).toEqual([])
  table.items.splice(26)
  expect((await sync(rules)).warnings).toEqual(['items: row_count: 26 records, expected at least 0.9 of the usual 30'])
})

test('a sink that says so is refused when the pipeline is planned', async () => {
  const url = 'http://127.0.0.1:9'
  const hook = connect(httpSink, { name: 'hook', config: { url }, credentials: { scheme: 'none' } }) as AnyConnection
  onTestFinished(() => hook.close())
  const source = sourceOf(newTable([]))
  const plan = (quality: readonly QualityRule[]) => planStreams(source, hook, 'upsert', [{ stream: 'items', quality }])
  await expect(plan([{ rule: 'sql', query: 'SELECT 1' }])).rejects.toMatchObject({
    code: 'unsupported',
    partner: 'hook',
    message: expect.stringMatching(/streams\.items\.quality: sql: the sink cannot be asked about its rows/) as string,
  })
  expect(await plan([{ rule: 'row_count', min: 1 }])).toHaveLength(1)
})

test('a rule that cannot be judged is a fault of the configuration, before anything is read', async () => {
  const { go } = await setUp(people(5))
  await expect(go({ quality: [{ rule: 'not_null', field: 'nmae' }] })).rejects.toMatchObject({
    code: 'invalid_config',
    details: { field: 'streams.people.quality' },
  })
})

test('a record that pages bring twice is twice in a table that is overwritten, which `unique` finds, and once in one that is merged', async () => {
  const folder = await temporaryFolder()
  const lake = connect(local, { name: 'lake', config: { database: path.join(folder, 'lake.duckdb') } }) as AnyConnection
  onTestFinished(() => lake.close())
  const pages = [
    [{ id: 1 }, { id: 2 }],
    [{ id: 2 }, { id: 3 }],
  ]
  const source = sourceOfShelves({
    rows: { schema: z.object({ id: z.int() }), primaryKey: ['id'], read: pagesOf(() => pages) },
  })
  const quality = [{ rule: 'unique', fields: ['id'] }] as const
  const once = async (more: { readonly table: string; readonly disposition?: 'merge' }) => {
    const pipeline = {
      name: more.table,
      source,
      sink: lake,
      sinkName: 'tables',
      streams: [{ stream: 'rows', quality, ...more }],
    }
    const result = await run({ pipeline, store: await testStore() })
    return [only(result).disposition, only(result).written, result.warnings]
  }
  expect(await once({ table: 'overwritten' })).toEqual([
    'overwrite',
    4,
    ['rows: unique(id): 1 row too many: 2 (2 times)'],
  ])
  expect(await once({ table: 'merged', disposition: 'merge' })).toEqual(['merge', 4, []])
})
