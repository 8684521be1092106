import { DatabaseSync } from 'node:sqlite'
import { int64, jsonSchema, type AnyRecord, type Batch, type QualityRule, type Writer } from '@ecokit/contracts'
import { formOf, openScanner, type Struct } from '@ecokit/json-scan'
import { toJson } from '@ecokit/contracts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openQuality, type Quality, type QualityOptions } from '../src/quality.ts'
import { planRules } from '../src/quality-rules.ts'
import { noCounts } from '../src/types.ts'

const row = z.object({
  id: z.int(),
  big: int64().nullable(),
  score: z.number().nullable(),
  name: z.string().nullable().optional(),
  status: z.enum(['new', 'open', 'done']),
  at: z.iso.datetime({ offset: true }).nullable(),
  any: z.unknown(),
})
const formed = formOf(row)
if (!('form' in formed) || formed.form.kind !== 'struct') throw new Error('the schema has a form')
const form: Struct = formed.form
const schema = { type: 'object', properties: Object.fromEntries(Object.keys(row.shape).map((name) => [name, {}])) }

const plan = (rules: readonly QualityRule[], declared: readonly QualityRule[] = []) =>
  planRules({ partner: 'shop', stream: 'items', declared, added: rules, schema, columnOf: (field) => field })
const now = Date.parse('2026-06-01T12:00:00Z')
const open = (rules: readonly QualityRule[], more: Partial<QualityOptions> = {}): Quality =>
  openQuality({
    rules: plan(rules),
    partner: 'shop',
    stream: 'items',
    queryable: true,
    soft: false,
    mode: 'full_refresh',
    now: () => now,
    earlier: () => Promise.resolve([]),
    newestBefore: () => Promise.resolve(undefined),
    ...more,
  })
const batchOf = (records: readonly AnyRecord[]): Batch<AnyRecord> => ({ encoding: 'records', records })
const proven = (records: readonly AnyRecord[]): Batch<AnyRecord> => {
  const { chunks, count, rejected } = openScanner(form).lines(
    Buffer.from(records.map((record) => `${toJson(record)}\n`).join('')),
  )
  expect(rejected).toEqual([])
  return { encoding: 'ndjson', bytes: Buffer.concat(chunks), count, proven: true, checkpoint: { at: 1 } }
}
const good = { id: 1, big: 5n, score: 0.5, name: 'a', status: 'new', at: '2026-05-01T00:00:00Z', any: 1 } as const
const textOf = (batch: Batch<AnyRecord>): readonly string[] =>
  batch.encoding === 'records'
    ? batch.records.map((record) => toJson(record))
    : Buffer.from(batch.bytes).toString('utf8').split('\n').filter(Boolean)

describe('rules about records', () => {
  const rules: readonly QualityRule[] = [
    { rule: 'not_null', field: 'name' },
    { rule: 'range', field: 'score', min: 0, max: 1 },
    { rule: 'set', field: 'status', values: ['new', 'open'] },
    { rule: 'regex', field: 'name', pattern: '^[a-z]' },
  ]
  test.each([
    [{ name: null }, 'not_null(name): is null'],
    [{ name: undefined }, 'not_null(name): is missing'],
    [{ score: 1.5 }, 'range(score): 1.5 is above 1'],
    [{ score: -0.001 }, 'range(score): -0.001 is below 0'],
    [{ status: 'done' }, 'set(status): "done" is none of the values'],
    [{ name: 'Ada' }, 'regex(name): "Ada" does not have the form ^[a-z]'],
  ])('%j is put aside: %s', async (change, reason) => {
    const broken = { ...good, ...change }
    for (const batch of [batchOf([good, broken, good]), proven([good, broken, good])]) {
      const judged = await open(rules, { form }).judge(batch)
      expect(judged.putAside).toEqual([{ field: expect.any(String) as string, reason, record: toJson(broken) }])
      expect(textOf(judged.batch)).toEqual([toJson(good), toJson(good)])
      expect(judged.batch).toMatchObject(
        batch.encoding === 'records' ? {} : { encoding: 'ndjson', count: 2, proven: true, checkpoint: { at: 1 } },
      )
    }
  })

  test('a batch in which nothing is broken is handed on as it is', async () => {
    const quality = open(rules, { form })
    for (const batch of [batchOf([good, good]), proven([good, good])])
      expect((await quality.judge(batch)).batch).toBe(batch)
    expect(quality.results()).toMatchObject(rules.map(() => ({ passed: true, checked: 4, failed: 0 })))
  })

  test.each([
    ['int64 beyond 2^53', { rule: 'range', field: 'big', max: 2 ** 53 }, { big: 2n ** 53n }, { big: 2n ** 53n + 1n }],
    [
      'decimals as text',
      { rule: 'range', field: 'name', min: 0.1, max: 0.3 },
      { name: '0.3' },
      { name: '0.30000000000000001' },
    ],
    [
      'times over zones',
      { rule: 'range', field: 'at', min: '2026-05-01T00:00:00Z' },
      { at: '2026-05-01T02:00:00+02:00' },
      { at: '2026-05-01T01:59:59.999999+02:00' },
    ],
    [
      'days',
      { rule: 'range', field: 'at', max: '2026-05-01' },
      { at: '2026-05-01T00:00:00Z' },
      { at: '2026-05-01T00:00:00.000001Z' },
    ],
    ['null passes a range', { rule: 'range', field: 'score', min: 0 }, { score: null }, { score: -1 }],
    ['numbers in a set', { rule: 'set', field: 'big', values: [1, 5] }, { big: 5n }, { big: 6n }],
    [
      'digits in a set, which numbers could not hold',
      { rule: 'set', field: 'big', values: ['9007199254740993'] },
      { big: 2n ** 53n + 1n },
      { big: 2n ** 53n },
    ],
    ['any value', { rule: 'not_null', field: 'any' }, { any: [null] }, { any: null }],
    ['what cannot be compared', { rule: 'range', field: 'any', min: 0 }, { any: 0 }, { any: 'tall' }],
  ] as const satisfies readonly (readonly [string, QualityRule, object, object])[])(
    'values are compared exactly: %s',
    async (_name, rule, passes, fails) => {
      const records = [
        { ...good, ...passes },
        { ...good, ...fails },
      ]
      for (const batch of [batchOf(records), proven(records)]) {
        const judged = await open([rule], { form }).judge(batch)
        expect(judged.putAside.map(({ record }) => record)).toEqual([toJson(records[1])])
      }
    },
  )

  test('a warning is counted with its first examples, and every record stays', async () => {
    const quality = open([{ rule: 'range', field: 'id', max: 3, severity: 'warn', name: 'small ids' }], { form })
    const records = Array.from({ length: 10 }, (_, id) => ({ ...good, id }))
    for (const batch of [batchOf(records), proven(records)]) expect((await quality.judge(batch)).batch).toBe(batch)
    expect(quality.results()).toEqual([
      {
        name: 'small ids',
        rule: 'range',
        field: 'id',
        severity: 'warn',
        passed: false,
        checked: 20,
        failed: 12,
        message: '4 is above 3; 5 is above 3; 6 is above 3',
      },
    ])
  })

  test('a rule that stops says which, where and how many, and its result is there', () => {
    for (const make of [batchOf, proven]) {
      const quality = open([{ rule: 'not_null', field: 'at', severity: 'stop' }], { form })
      expect(() => quality.judge(make([good, { ...good, at: null }]))).toThrow(
        expect.objectContaining({
          code: 'invalid_data',
          details: { stream: 'items', field: 'at' },
          message: expect.stringMatching(
            /items: the quality rule not_null\(at\) stops the stream: 1 of 2 records/,
          ) as string,
        }),
      )
      expect(quality.results()).toMatchObject([{ passed: false, failed: 1, checked: 2 }])
    }
  })

  test('both roads say the same of any records by any rules', async () => {
    const texts = fc.constantFrom('a', 'Zed', '', 'ünï "q"\n', '2026-01-01T00:00:00Z', '12', '0.5')
    const records = fc.array(
      fc.record({
        id: fc.integer({ min: -3, max: 3 }),
        big: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
        score: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
        name: fc.option(texts, { nil: undefined }),
        status: fc.constantFrom('new', 'open', 'done'),
        at: fc.option(fc.constantFrom('2026-05-01T00:00:00Z', '2026-05-01T00:00:00.5+02:00', '1999-12-31T23:59:59Z')),
        any: fc.oneof(texts, fc.integer(), fc.constant(null), fc.array(fc.boolean())),
      }),
      { maxLength: 12 },
    )
    const field = fc.constantFrom('id', 'big', 'score', 'name', 'status', 'at', 'any')
    const bound = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }), fc.constant('2026-01-01'))
    const severity = fc.constantFrom('warn' as const, 'quarantine' as const)
    const rule: fc.Arbitrary<QualityRule> = fc.oneof(
      fc.record({ rule: fc.constant('not_null' as const), field, severity }),
      fc.record({ rule: fc.constant('range' as const), field, min: bound, severity }),
      fc.record({ rule: fc.constant('range' as const), field, max: bound, min: bound, severity }),
      fc.record({
        rule: fc.constant('set' as const),
        field,
        values: fc.array(fc.constantFrom('new', 'done', 'a', 1, 0.5, true), { minLength: 1 }),
        severity,
      }),
      fc.record({
        rule: fc.constant('regex' as const),
        field,
        pattern: fc.constantFrom('^[a-z]', '\\d$', 'e'),
        severity,
      }),
    )
    await fc.assert(
      fc.asyncProperty(records, fc.array(rule, { minLength: 1, maxLength: 4 }), async (rows, rules) => {
        const said = async (batch: Batch<AnyRecord>, more: Partial<QualityOptions>) => {
          const quality = open(rules, more)
          const judged = await quality.judge(batch)
          const aside = judged.putAside.map(({ record, ...rest }) => ({
            ...rest,
            record: JSON.parse(record as string) as unknown,
          }))
          return [textOf(judged.batch).map((text) => JSON.parse(text) as unknown), aside, quality.results()]
        }
        const lines = proven(rows)
        const byObjects = await said({ ...lines, proven: false } as Batch<AnyRecord>, {})
        expect(await said(lines, { form })).toEqual(byObjects)
        expect(await said(lines, { form, engine: 'javascript' })).toEqual(byObjects)
        expect(await said(batchOf(rows), {})).toEqual(byObjects)
      }),
      { numRuns: 400, seed: 11 },
    )
  })

  test('lines that nobody proved are read one by one, and broken ones are put aside', async () => {
    const bytes = Buffer.from(`${toJson(good)}\r\n\n{"id":\n${toJson({ ...good, id: 9 })}`)
    const judged = await open([{ rule: 'range', field: 'id', max: 3 }]).judge({ encoding: 'ndjson', bytes, count: 3 })
    expect(textOf(judged.batch).map((line) => line.trim())).toEqual([toJson(good), ''].filter(Boolean))
    expect(judged.putAside).toEqual([
      { field: '', reason: 'not JSON', record: '{"id":' },
      { field: 'id', reason: 'range(id): 9 is above 3', record: toJson({ ...good, id: 9 }) },
    ])
    expect(judged.batch).toMatchObject({ count: 1 })
  })

  test('Arrow cannot be judged, and says so', () => {
    const arrow = { encoding: 'arrow', bytes: new Uint8Array(8), count: 1 } as const
    expect(() => open([{ rule: 'not_null', field: 'id' }]).judge(arrow)).toThrow(/cannot be judged over Arrow/)
    expect(open([{ rule: 'row_count', min: 1 }]).judge(arrow)).toMatchObject({ batch: arrow })
  })
})

describe('the rules of a stream', () => {
  test('are those of the connector under the columns they became, and those of the pipeline', () => {
    const declared: QualityRule[] = [
      { rule: 'not_null', field: 'old', severity: 'warn' },
      { rule: 'unique', fields: ['id', 'left_out'] },
    ]
    const planned = planRules({
      partner: 'shop',
      stream: 'items',
      declared,
      added: [
        { rule: 'not_null', field: 'name' },
        { rule: 'row_count', min: 1 },
      ],
      schema,
      columnOf: (field) => ({ old: 'name', id: 'id' })[field],
    })
    expect(planned.map(({ name, severity, fields }) => [name, severity, fields])).toEqual([
      ['not_null(name)', 'warn', ['name']],
      ['not_null(name) 2', 'quarantine', ['name']],
      ['row_count', 'quarantine', []],
    ])
  })

  test.each([
    [{ rule: 'not_null', field: 'nmae' }, /no column nmae. Choose one of: id, big/],
    [{ rule: 'range', field: 'id' }, /needs min or max/],
    [{ rule: 'range', field: 'id', min: 'low' }, /ISO 8601/],
    [{ rule: 'set', field: 'id', values: [] }, /no values/],
    [{ rule: 'regex', field: 'name', pattern: '(' }, /no regular expression/],
    [{ rule: 'unique', fields: [] }, /no fields/],
    [{ rule: 'freshness', field: 'at', maxAgeMs: 0 }, /needs an age/],
    [{ rule: 'row_count' }, /needs min, max/],
    [{ rule: 'row_count', atLeast: 0.5, runs: 0 }, /counts from 1/],
    [{ rule: 'sql', query: ' ' }, /no query/],
  ] as const satisfies readonly (readonly [QualityRule, RegExp])[])('%j is refused', (rule, words) => {
    expect(() => plan([rule])).toThrow(words)
    expect(() => plan([rule])).toThrow(expect.objectContaining({ code: 'invalid_config' }))
  })

  const freshOver = (field: z.ZodType) =>
    planRules({
      ...{ partner: 'shop', stream: 'items', declared: [], columnOf: (name: string) => name },
      schema: jsonSchema(z.object({ field })),
      added: [{ rule: 'freshness', field: 'field', maxAgeMs: 1 }],
    })
  test.each([
    [
      'a text',
      z.string(),
      /freshness\(field\): the column field holds string and no times.*cast: { field: timestamp }/,
    ],
    ['a choice', z.enum(['a', 'b']).nullable(), /holds string/],
    ['a list', z.array(z.iso.datetime()), /holds list<timestamp>/],
    ['a boolean', z.boolean(), /holds boolean/],
    ['a text or a time', z.union([z.iso.datetime(), z.string()]), /holds string \| timestamp/],
    ['a time that may have a zone', z.iso.datetime({ local: true, offset: true }), /holds string/],
  ])('freshness is refused over %s', (_name, field, words) => {
    expect(() => freshOver(field)).toThrow(words)
  })
  test.each([
    ['a time', z.iso.datetime({ offset: true }).nullable()],
    ['a time without a zone', z.string().meta({ format: 'local-date-time' })],
    ['a day', z.iso.date().optional()],
    ['a whole number', z.int()],
    ['int64', int64()],
    ['anything', z.unknown()],
  ])('freshness is taken over %s', (_name, field) => {
    expect(freshOver(field)).toHaveLength(1)
  })
})

describe('rules about the table', () => {
  const signal = new AbortController().signal
  const database = (...statements: readonly string[]): Writer<AnyRecord> => {
    const db = new DatabaseSync(':memory:')
    for (const statement of statements) db.exec(statement)
    return {
      query: (sql: string) =>
        Promise.resolve(
          db.prepare(sql.replaceAll(/\{table(?::(\w+))?\}/g, (_, name?: string) => `"${name ?? 'items'}"`)).all(),
        ),
    } as unknown as Writer<AnyRecord>
  }
  const table = [
    `CREATE TABLE items (id INTEGER, name TEXT, at TEXT, "_deleted_at" TEXT)`,
    `INSERT INTO items VALUES (1, 'a', '2026-06-01T11:00:00Z', NULL), (2, NULL, '2026-06-01T10:00:00Z', NULL), (3, NULL, NULL, NULL), (9, 'gone', '2026-06-01T11:59:00Z', '2026-01-01')`,
    `CREATE TABLE owners (name TEXT); INSERT INTO owners VALUES ('b')`,
  ]
  const said = async (rule: QualityRule, more: Partial<QualityOptions> = {}, read = 4) => {
    const quality = open([rule], more)
    await quality.finish(database(...table), { counts: { ...noCounts, read }, complete: false, signal })
    expect(quality.results()).toEqual([])
    await quality.finish(database(...table), { counts: { ...noCounts, read }, complete: true, signal })
    return quality.results()[0]
  }

  test('unique: null is a value, and rows that are marked as deleted do not count', async () => {
    expect(await said({ rule: 'unique', fields: ['name'] })).toMatchObject({
      ...{ passed: false, checked: 4, failed: 1, message: '1 row too many: null (2 times)' },
    })
    expect(await said({ rule: 'unique', fields: ['id', 'name'] })).toMatchObject({
      passed: true,
      message: 'no value twice',
    })
    expect(await said({ rule: 'unique', fields: ['id'] }, { soft: true })).toMatchObject({ passed: true, checked: 3 })
  })

  test('freshness: by the newest time of the table', async () => {
    const rule = { rule: 'freshness', field: 'at', maxAgeMs: 30 * 60_000 } as const
    expect(await said(rule)).toMatchObject({ passed: true })
    expect(await said(rule, { soft: true })).toMatchObject({
      ...{ passed: false, message: 'newest 2026-06-01T11:00:00.000Z, 1 h old where 30 min may be' },
    })
  })

  test('freshness: a column that holds no times is no fresh one', async () => {
    expect(await said({ rule: 'freshness', field: 'name', maxAgeMs: 1 })).toMatchObject({
      ...{ passed: false, checked: 4, failed: 1, message: 'the newest value, "gone", is no time' },
    })
  })

  test('freshness in a sink that cannot be asked: by what was read, now or before', async () => {
    const rule = { rule: 'freshness', field: 'at', maxAgeMs: 30 * 60_000 } as const
    const bare = {} as Writer<AnyRecord>
    for (const make of [batchOf, proven]) {
      const quality = open([rule], { queryable: false, form })
      await quality.judge(make([{ ...good, at: '2026-06-01T13:40:00+02:00' }, good, { ...good, at: null }]))
      await quality.finish(bare, { counts: noCounts, complete: true, signal })
      expect(quality.results()).toMatchObject(
        [{ passed: true, message: /^newest 2026-06-01T11:40:00.000Z, 20 min old/ }].map(({ message, ...rest }) => ({
          ...rest,
          message: expect.stringMatching(message) as string,
        })),
      )
    }
    const stale = open([rule], { queryable: false, newestBefore: () => Promise.resolve(now - 3_600_000) })
    await stale.finish(bare, { counts: noCounts, complete: true, signal })
    expect(stale.results()).toMatchObject([{ passed: false }])
    const empty = open([rule], { queryable: false })
    await empty.finish(bare, { counts: noCounts, complete: true, signal })
    expect(empty.results()).toMatchObject([
      { passed: false, failed: 1, message: 'no record with a time in at was ever read' },
    ])
  })

  test('freshness in a sink that cannot be asked: numbers, and times without a zone', async () => {
    for (const [field, value] of [
      ['id', now - 60_000],
      ['big', BigInt(now - 60_000)],
      ['name', '2026-06-01T11:59:00'],
    ] as const)
      for (const make of [batchOf, proven]) {
        const quality = open([{ rule: 'freshness', field, maxAgeMs: 120_000 }], { queryable: false, form })
        await quality.judge(make([{ ...good, [field]: value }]))
        await quality.finish({} as Writer<AnyRecord>, { counts: noCounts, complete: true, signal })
        expect(quality.results()).toMatchObject([
          { passed: true, message: 'newest 2026-06-01T11:59:00.000Z, 1 min old where 2 min may be' },
        ])
      }
  })

  test('freshness: where there is no time at all, nothing is fresh', async () => {
    const rule = { rule: 'freshness', field: 'at', maxAgeMs: 1 } as const
    const over = async (...statements: readonly string[]) => {
      const quality = open([rule])
      await quality.finish(database(...statements), { counts: noCounts, complete: true, signal })
      return quality.results()[0]
    }
    const create = 'CREATE TABLE items (id INTEGER, at TEXT)'
    expect(await over(create)).toMatchObject({
      passed: false,
      checked: 0,
      failed: 1,
      message: 'the table is empty: it has no time in at',
    })
    expect(await over(create, 'INSERT INTO items VALUES (1, NULL), (2, NULL)')).toMatchObject({
      ...{ passed: false, checked: 2, failed: 1, message: 'none of the 2 rows has a time in at' },
    })
    const stopping = open([{ ...rule, severity: 'stop' }])
    await expect(stopping.finish(database(create), { counts: noCounts, complete: true, signal })).rejects.toThrow(
      /freshness\(at\) stops the stream: the table is empty/,
    )
  })

  test('row_count: at all, and against the median of earlier passes', async () => {
    const earlier = (runs: number) => Promise.resolve([100, 90, 1000, 80].slice(0, runs))
    expect(await said({ rule: 'row_count', min: 1, max: 4 })).toMatchObject({ passed: true, checked: 1 })
    expect(await said({ rule: 'row_count', max: 3 })).toMatchObject({
      message: '4 records, expected at most 3',
      failed: 1,
    })
    const half = { rule: 'row_count', atLeast: 0.5, atMost: 1.5 } as const
    expect(await said(half, { earlier }, 47)).toMatchObject({
      ...{ passed: false, message: '47 records, expected at least 0.5 of the usual 95' },
    })
    expect(await said(half, { earlier }, 48)).toMatchObject({ passed: true })
    expect(await said(half, { earlier }, 143)).toMatchObject({ passed: false })
    expect(await said({ ...half, runs: 3 }, { earlier }, 143)).toMatchObject({ passed: true })
    expect(await said(half, {}, 1)).toMatchObject({
      passed: true,
      message: expect.stringMatching(/no earlier pass/) as string,
    })
    expect(await said(half, { earlier, mode: 'backfill' }, 1)).toBeUndefined()
  })

  test('referential: null passes', async () => {
    const rule = { rule: 'referential', field: 'name', table: 'owners', references: 'name' } as const
    expect(await said(rule, { soft: true })).toMatchObject({
      ...{ passed: false, failed: 1, message: '1 row not in owners.name, such as "a"' },
    })
  })

  test('sql: the rows of the query are the faults', async () => {
    expect(await said({ rule: 'sql', query: 'SELECT id FROM {table} WHERE id > 2 ORDER BY id;' })).toMatchObject({
      ...{ passed: false, failed: 2, message: '2 faults, such as {"id":3}, {"id":9}' },
    })
    expect(await said({ rule: 'sql', query: 'SELECT 1 FROM {table:owners} WHERE name = 1' })).toMatchObject({
      passed: true,
    })
    const broken = { rule: 'sql', query: 'SELECT id FROM nowhere' } as const
    expect(await said(broken)).toMatchObject({
      ...{ passed: false, message: expect.stringMatching(/could not be judged: .*nowhere/) as string },
    })
    await expect(said({ ...broken, severity: 'stop' })).rejects.toThrow(/sql stops the stream: could not be judged/)
  })

  test('a rule that needs to ask is refused before anything is read where the sink cannot be asked', () => {
    const unique = { rule: 'unique', fields: ['id'] } as const
    expect(() => open([unique], { queryable: false })).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        message: expect.stringMatching(/unique\(id\): the sink cannot be asked/) as string,
      }),
    )
    open(
      [
        { rule: 'row_count', min: 1 },
        { rule: 'freshness', field: 'at', maxAgeMs: 1 },
      ],
      { queryable: false },
    )
  })

  test('a rule about the table that stops names itself', async () => {
    const rule = { rule: 'unique', fields: ['name'], severity: 'stop' } as const
    await expect(said(rule)).rejects.toMatchObject({
      code: 'invalid_data',
      details: { stream: 'items', field: 'name' },
    })
  })
})

describe('a pattern that takes too long over a text', () => {
  const slow = { rule: 'regex', field: 'name', pattern: '^(a+)+$', name: 'letters' } as const
  const hang = `${'a'.repeat(40)}!`
  const why =
    'the pattern ^(a+)+$ of the column name takes too long: write it without nested repetition, such as a+ in place of (a+)+'
  const records = (names: readonly string[]) => names.map((name, id) => ({ ...good, id, name }))

  test.each([['records'], ['proven lines'], ['proven lines in JavaScript'], ['lines']] as const)(
    'is put aside with the others that do not fit, and the rest goes on: %s',
    async (kind) => {
      const engine = kind === 'proven lines in JavaScript' ? 'javascript' : 'wasm'
      const quality = open([slow], kind === 'records' ? {} : { form, engine })
      const make = (names: readonly string[]): Batch<AnyRecord> => {
        if (kind === 'records') return batchOf(records(names))
        const batch = proven(records(names))
        return kind === 'lines' ? ({ ...batch, proven: false } as typeof batch) : batch
      }
      const judged = await quality.judge(make(['a', hang, 'b', 'aa']))
      expect(judged.putAside.map(({ field, reason }) => [field, reason])).toEqual([
        ['name', `letters: ${why}`],
        ['name', 'letters: "b" does not have the form ^(a+)+$'],
      ])
      expect(textOf(judged.batch)).toHaveLength(2)
      // The next batch is judged as ever.
      expect((await quality.judge(make(['aaa', 'c']))).putAside).toMatchObject([
        { reason: expect.stringMatching(/"c"/) as string },
      ])
      expect(quality.results()).toMatchObject([
        { passed: false, checked: 6, failed: 3, message: expect.stringContaining(why) as string },
      ])
    },
  )

  test('stops the stream, or warns, as its severity says', async () => {
    const stopping = open([{ ...slow, severity: 'stop' }])
    await expect(async () => stopping.judge(batchOf(records([hang])))).rejects.toThrow(
      expect.objectContaining({
        code: 'invalid_data',
        message: `shop: items: the quality rule letters stops the stream: ${why}. Mend the pattern, or leave the rule out`,
      }) as Error,
    )
    const warning = open([{ ...slow, severity: 'warn' }])
    const batch = batchOf(records(['b', 'c', 'd', hang]))
    expect((await warning.judge(batch)).batch).toBe(batch)
    expect(warning.results()).toMatchObject([
      { passed: false, failed: 4, message: expect.stringContaining(why) as string },
    ])
  })

  test('a page that is full of such texts costs the same patience, and none of them goes through', async () => {
    const many = records([...Array.from({ length: 1_500 }, () => hang), 'a'])
    const judged = await open([slow]).judge(batchOf(many))
    expect(judged.putAside).toHaveLength(1_501)
  })

  test('what it says does not depend on how texts are cut into batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '1') }), { maxLength: 40 }),
        async (names) => {
          const rule = { rule: 'regex', field: 'name', pattern: '^a+b?$' } as const
          const judged = await open([rule], { form }).judge(batchOf(records(names)))
          const lines = await open([rule], { form }).judge(proven(records(names)))
          const kept = names.filter((name) => /^a+b?$/.test(name))
          expect(textOf(judged.batch).map((text) => (JSON.parse(text) as { name: string }).name)).toEqual(kept)
          expect(textOf(lines.batch)).toEqual(textOf(judged.batch))
        },
      ),
      { numRuns: 50 },
    )
  })
})
