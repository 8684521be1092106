import { expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { ecosystemSchema } from '../src/file.ts'
import { wrongCron } from '../src/cron.ts'
import { connectors } from './connectors.ts'
import { good, marked, parse } from './support.ts'

const two = `version: 1
partners:
  tracking: { connector: tracker, config: { trackingUri: http://x } }
  lake: { connector: lake, config: { database: x } }
  points: { connector: monitor, credentials: { scheme: key, token: '\${env:KEY}' } }
pipelines:
`
/** One pipeline whose stream `runs` says this. */
const runs = (options: string) => `${two}  p: { source: tracking, sink: lake, streams: { runs: { ${options} } } }`
const p = (rest: string) => `${two}  p: { source: tracking, sink: lake, ${rest} }`
const rule = (text: string) => runs(`quality: [${text}]`)

const full = `version: 1
credentials: { collector: { scheme: token, token: '\${env:KEY}' } }
partners:
  tracking: { connector: tracker, config: { trackingUri: http://x } }
  lake: { connector: lake, config: { database: x } }
pipelines:
  p:
    source: tracking
    sink: lake
    contract: freeze
    parallel: 4
    commit: 16MiB
    schedule: { cron: '0 3 * * mon-fri', timezone: Europe/Berlin, jitter: 5m, missed: catch_up }
    streams:
      runs:
        columns: [id]
        rename: { id: run_id }
        cast: { run_id: 'decimal(18,4)', ended: timestamp }
        deletes: ignore
        contract: { columns: discard_value }
        allow_duplicates: true
        quality:
          - { rule: not_null, field: run_id, severity: stop, name: ids }
          - { rule: unique, fields: [run_id, ended] }
          - { rule: range, field: ended, min: 0, max: 10.5 }
          - { rule: set, field: run_id, values: [a, 1, true] }
          - { rule: regex, field: run_id, pattern: '^[a-z]+$' }
          - { rule: freshness, field: ended, max_age: 24h }
          - { rule: row_count, at_least: 0.5, at_most: 2, runs: 3 }
          - { rule: referential, field: run_id, table: metrics, references: id }
          - { rule: sql, query: 'select * from {table}', severity: warn }
lineage: { url: 'http://marquez:5000', credentials: collector }
`

test('a pipeline says everything in the words of the sync engine', () => {
  const { pipelines, lineage } = good(full)
  expect(pipelines).toEqual([
    {
      name: 'p',
      source: 'tracking',
      sink: 'lake',
      sinkName: 'tables',
      contract: { tables: 'freeze', columns: 'freeze', types: 'freeze' },
      parallel: 4,
      commitBytes: 16 * 2 ** 20,
      schedule: { cron: '0 3 * * mon-fri', timezone: 'Europe/Berlin', jitterMs: 300_000, missed: 'catch_up' },
      reconcileEveryMs: 86_400_000,
      streams: [
        {
          stream: 'runs',
          columns: ['id'],
          rename: { id: 'run_id' },
          cast: { run_id: 'decimal(18,4)', ended: 'timestamp' },
          deletes: 'ignore',
          contract: { columns: 'discard_value' },
          allowDuplicates: true,
          quality: [
            { rule: 'not_null', field: 'run_id', severity: 'stop', name: 'ids' },
            { rule: 'unique', fields: ['run_id', 'ended'] },
            { rule: 'range', field: 'ended', min: 0, max: 10.5 },
            { rule: 'set', field: 'run_id', values: ['a', 1, true] },
            { rule: 'regex', field: 'run_id', pattern: '^[a-z]+$' },
            { rule: 'freshness', field: 'ended', maxAgeMs: 86_400_000 },
            { rule: 'row_count', atLeast: 0.5, atMost: 2, runs: 3 },
            { rule: 'referential', field: 'run_id', table: 'metrics', references: 'id' },
            { rule: 'sql', query: 'select * from {table}', severity: 'warn' },
          ],
        },
      ],
    },
  ])
  expect(lineage).toEqual({
    file: '.ecokit/lineage.ndjson',
    namespace: 'default',
    url: 'http://marquez:5000/api/v1/lineage',
    credentials: 'collector',
  })
  expect(good("version: 1\nlineage: { url: 'https://x.example.com/own/path' }").lineage.url).toBe(
    'https://x.example.com/own/path',
  )
})

const mistakes: readonly (readonly [text: string, field: string, message: string])[] = [
  // Columns.
  [runs('columns: [id, «idd»]'), 'pipelines.p.streams.runs.columns.1', 'unknown field `idd`; did you mean `id`?'],
  [runs('columns: [id, «id»]'), 'pipelines.p.streams.runs.columns.1', 'field `id` stands here twice; remove one'],
  [runs('columns: «id»'), 'pipelines.p.streams.runs.columns', 'expected a list, found a text'],
  [
    runs('rename: { «end»: x }'),
    'pipelines.p.streams.runs.rename.end',
    'unknown field `end`; fields of stream `runs`: id and ended',
  ],
  [
    runs('rename: { id: «ENDED» }'),
    'pipelines.p.streams.runs.rename.id',
    'field `ended` has the column `ended` already; choose another name',
  ],
  [
    runs('rename: { id: key }, cast: { «id»: string }'),
    'pipelines.p.streams.runs.cast.id',
    'unknown column `id`; columns of stream `runs`: key and ended',
  ],
  [
    runs('cast: { id: «int» }'),
    'pipelines.p.streams.runs.cast.id',
    'not a type; write string, integer, number, boolean, timestamp, date, json or decimal(18,4), with at most 38 digits',
  ],
  [
    runs("cast: { id: «'decimal(2,4)'» }"),
    'pipelines.p.streams.runs.cast.id',
    'more digits behind the point than there are; write decimal(18,4)',
  ],
  // Deletes, contracts, duplicates.
  [runs('deletes: «sft»'), 'pipelines.p.streams.runs.deletes', 'unknown value `sft`; did you mean `soft`?'],
  [
    runs('deletes: «soft»'),
    'pipelines.p.streams.runs.deletes',
    'sink `tables` cannot mark rows as deleted; write ignore',
  ],
  [runs('contract: «freze»'), 'pipelines.p.streams.runs.contract', 'unknown value `freze`; did you mean `freeze`?'],
  [
    runs('contract: { column: freeze }').replace('column', '«column»'),
    'pipelines.p.streams.runs.contract.column',
    'unknown field `column`; did you mean `columns`?',
  ],
  [
    p('contract: { types: «discard» }'),
    'pipelines.p.contract.types',
    'unknown value `discard`; allowed values: evolve, freeze, discard_row and discard_value',
  ],
  [
    `${two}  p: { source: tracking, sink: points, streams: { runs: { disposition: «append» } } }`,
    'pipelines.p.streams.runs.disposition',
    'sink `series` may hold a row twice after a crash, and append cannot find it; accept that with allow_duplicates: true',
  ],
  // Quality.
  [
    rule('{ rule: «notnull», field: id }'),
    'pipelines.p.streams.runs.quality.0.rule',
    'unknown value `notnull`; did you mean `not_null`?',
  ],
  [
    rule('{ field: id }').replace('quality', '«quality»'),
    'pipelines.p.streams.runs.quality.0.rule',
    'missing; expected one of not_null, unique, range, set, regex, freshness, row_count, referential and sql',
  ],
  [
    rule('{ rule: not_null, «fields»: [id], field: id }'),
    'pipelines.p.streams.runs.quality.0.fields',
    'unknown field `fields`; did you mean `field`?',
  ],
  [
    rule('{ rule: not_null, field: «idd» }'),
    'pipelines.p.streams.runs.quality.0.field',
    'unknown column `idd`; did you mean `id`?',
  ],
  [
    rule('{ rule: unique, fields: [id, «star»] }'),
    'pipelines.p.streams.runs.quality.0.fields.1',
    'unknown column `star`; columns of stream `runs`: id and ended',
  ],
  [
    rule('{ rule: «range», field: ended }'),
    'pipelines.p.streams.runs.quality.0.rule',
    'has no bounds; add min, max or both',
  ],
  [
    rule('{ rule: «row_count» }'),
    'pipelines.p.streams.runs.quality.0.rule',
    'has no bounds; add min, max, at_least or at_most',
  ],
  [
    rule("{ rule: regex, field: id, pattern: «'['» }"),
    'pipelines.p.streams.runs.quality.0.pattern',
    'not a regular expression of JavaScript; test it without flags and slashes',
  ],
  [
    rule('{ rule: freshness, field: ended, max_age: «1 day» }'),
    'pipelines.p.streams.runs.quality.0.max_age',
    'not a duration; write a whole number and a unit without a space: 500ms, 10s, 5m, 24h or 7d',
  ],
  [
    rule('{ rule: not_null, field: id, severity: «error» }'),
    'pipelines.p.streams.runs.quality.0.severity',
    'unknown value `error`; allowed values: warn, quarantine and stop',
  ],
  // Schedules.
  [
    p("every: 5m, «schedule»: { cron: '@daily' }"),
    'pipelines.p.schedule',
    '`every` says already when it runs; remove one of the two',
  ],
  [
    p("schedule: { cron: «'0 3 * *'» }"),
    'pipelines.p.schedule.cron',
    'not a time for cron; write five fields, minute first: 0 3 * * * (at 03:00), or @hourly, @daily, @weekly, @monthly, @yearly',
  ],
  [p("schedule: { cron: «'0 25 * * *'» }"), 'pipelines.p.schedule.cron', '`25` is no hour; it goes from 0 to 23'],
  [
    p('«schedule»: { timezone: UTC }'),
    'pipelines.p.schedule.cron',
    'missing; expected a text (When it runs: minute, hour, day of the month, month, day of the week, as in 0 3 * * * (at 03:00))',
  ],
  [
    p("schedule: { cron: '@daily', timezone: «Europe/Berln» }"),
    'pipelines.p.schedule.timezone',
    'there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?',
  ],
  [
    p("schedule: { cron: '@daily', missed: «catchup» }"),
    'pipelines.p.schedule.missed',
    'unknown value `catchup`; did you mean `catch_up`?',
  ],
  [p('parallel: «0»'), 'pipelines.p.parallel', 'must be at least 1'],
  ...['16', '16 MiB', 'pages', '0MiB', '16MB', '2000GiB'].map(
    (size) =>
      [
        p(`commit: «${size}»`),
        'pipelines.p.commit',
        'write page (after each page), or a size: 512KiB, 16MiB, 1GiB',
      ] as const,
  ),
  // Lineage.
  [
    'version: 1\nlineage: { url: «marquez:5000» }',
    'lineage.url',
    'not the URL of a collector; write it in full, such as http://marquez.example.com:5000',
  ],
  [
    "version: 1\nlineage: { url: «'http://x/?api_key=1'» }",
    'lineage.url',
    'expected scheme, host and path alone; a key belongs into `credentials`',
  ],
  [
    "version: 1\nlineage: { «credentials»: { scheme: token, token: '${env:A}' } }",
    'lineage.credentials',
    'there is no `url` to show them to; add it, or remove this',
  ],
  [
    'version: 1\nlineage: { url: http://x, credentials: { scheme: token, token: «canary» } }',
    'lineage.credentials.token',
    'a secret may not stand in the file; keep it in the vault (`ecokit vault set`) and write ${secret:name}, or write ${env:NAME}',
  ],
  [
    'version: 1\nlineage: { url: http://x, credentials: «collector» }',
    'lineage.credentials',
    'unknown credentials `collector`; there are no named credentials in the file',
  ],
  [
    'version: 1\nlineage: { url: http://x, credentials: { scheme: «api_key» } }',
    'lineage.credentials.scheme',
    'unknown scheme `api_key`; schemes of connector `openlineage`: none and token',
  ],
]

test.each(mistakes.map(([text, field, message]) => [field, message, text] as const))(
  '%s: %s',
  (field, message, text) => {
    const { text: clean, range } = marked(text)
    expect(parse(clean).problems.map(({ secret: _secret, ...problem }) => problem)).toEqual([
      { field, message, ...range },
    ])
  },
)

const ajv = new Ajv({ allErrors: true, strict: false })
formats.default(ajv)
const accepts = ajv.compile(ecosystemSchema(connectors))

test.each([
  ['page', 0],
  ['512KiB', 512 * 1024],
  ['1GiB', 2 ** 30],
])('commit: %s', (text, commitBytes) => {
  expect(good(p(`commit: ${text}`)).pipelines).toMatchObject([{ commitBytes }])
  expect(accepts(parseYaml(p(`commit: ${text}`)))).toBe(true)
})

test('an editor takes what the parser takes, and refuses the common mistakes', () => {
  expect([accepts(parseYaml(full)), accepts.errors]).toEqual([true, null])
  for (const text of [
    runs('cast: { id: int }'),
    runs('contract: freze'),
    runs('deletes: never'),
    rule('{ rule: notnull, field: id }'),
    rule('{ rule: not_null, fields: [id] }'),
    rule('{ rule: freshness, field: id, max_age: soon }'),
    p('schedule: { timezone: UTC }'),
    p('parallel: 0'),
    p('commit: 16 MB'),
    'version: 1\nlineage: { uri: http://x }',
  ])
    expect([text, accepts(parseYaml(text)), parse(text).problems.length > 0]).toEqual([text, false, true])
})

test('every field of a pipeline says what it is for', () => {
  const quiet: string[] = []
  const walk = (node: unknown, at: string): void => {
    if (typeof node !== 'object' || node === null) return
    const { properties, ...rest } = node as Record<string, unknown>
    for (const [name, field] of Object.entries(properties ?? {})) {
      if (typeof (field as { description?: unknown }).description !== 'string') quiet.push(`${at}.${name}`)
      walk(field, `${at}.${name}`)
    }
    for (const [key, child] of Object.entries(rest)) walk(child, `${at}/${key}`)
  }
  const { properties } = ecosystemSchema(connectors) as { properties: Record<string, unknown> }
  walk(properties['pipelines'], 'pipelines')
  walk(properties['lineage'], 'lineage')
  expect(quiet).toEqual([])
})

test('cron: what every cron takes, and words for what is wrong', () => {
  for (const text of ['* * * * *', '*/5 0-6 1,15 jan-mar mon', '0 0 3 * * *', '@daily', '0 3 * * 7', '5-50/15 * * * *'])
    expect([text, wrongCron(text)]).toEqual([text, undefined])
  expect(wrongCron('60 * * * *')).toBe('`60` is no minute; it goes from 0 to 59')
  expect(wrongCron('5-1 * * * *')).toBe('`5-1` goes backwards in the minute')
  expect(wrongCron('*/0 * * * *')).toBe('`*/0` is no step of the minute; write */5')
  expect(wrongCron('5/15 * * * *')).toBe('`5/15` is no step of the minute; write */15')
  expect(wrongCron('* * * * funday')).toBe('`funday` is no day of the week; it goes from 0 to 7')
})
