import { describe, expect, test } from 'vitest'
import { formatProblem, secretNameFor } from '../src/file.ts'
import { good, marked, parse, sample } from './support.ts'

test('a whole file, with its defaults filled in', () => {
  expect(good(sample)).toEqual({
    version: 1,
    filename: 'ecosystem.yaml',
    credentials: [{ name: 'tracker-token', reference: { scheme: 'token', token: '${env:TRACKER_TOKEN}' } }],
    partners: [
      {
        name: 'tracking',
        connector: 'tracker',
        config: { trackingUri: 'http://127.0.0.1:5001' },
        credentials: 'tracker-token',
        tier: 'enterprise',
        owner: 'ml-platform@example.com',
        tags: ['tracking'],
        contract: { start: '2026-01-01', end: '2027-01-01' },
        check: { everyMs: 30_000, timeoutMs: 5000 },
      },
      {
        name: 'lake',
        connector: 'lake',
        config: { database: 'lake.duckdb' },
        tier: 'community',
        tags: [],
        contract: {},
        check: { everyMs: 60_000, timeoutMs: 10_000 },
      },
    ],
    pipelines: [
      {
        name: 'tracking-to-lake',
        source: 'tracking',
        sink: 'lake',
        sinkName: 'tables',
        streams: [
          { stream: 'runs', mode: 'incremental', disposition: 'merge', lagMs: 600_000, table: 'all_runs' },
          { stream: 'metrics' },
        ],
        everyMs: 300_000,
        reconcileEveryMs: 86_400_000,
      },
      { name: 'to-files', source: 'tracking', sink: 'lake', sinkName: 'parquet', streams: [{ stream: 'runs' }] },
    ],
    server: { host: '127.0.0.1', port: 8001 },
    lineage: { file: '.ecokit/lineage.ndjson', namespace: 'test' },
  })
})

test('the least that a file may hold', () => {
  expect(good('version: 1\npartners:\n')).toMatchObject({ partners: [], pipelines: [], server: { port: 8000 } })
})

const plainSecret =
  'a secret may not stand in the file; keep it in the vault (`ecokit vault set`) and write ${secret:name}, or write ${env:NAME}'
const wholeValue =
  'a reference must be the whole value: ${secret:name} (lower case letters, digits, - and _), ${env:NAME} (letters, digits and _) or ${file:path}'
const onlyInCredentials = '${env:…}, ${secret:…} and ${file:…} may stand only in credentials; write the value itself'

const partner = (lines: string) => `version: 1\npartners:\n  one:\n${lines}`
const tracker = (rest: string) => partner(`    connector: tracker\n${rest}`)
const two = `version: 1
partners:
  tracking: { connector: tracker, config: { trackingUri: http://x } }
  lake: { connector: lake, config: { database: x } }
  points: { connector: monitor, credentials: { scheme: key, token: '\${env:KEY}' } }
pipelines:
`
const uri = 'trackingUri: http://x'

const mistakes: readonly (readonly [text: string, field: string, message: string])[] = [
  // The file itself.
  ['version: «2»', 'version', 'expected 1, the only version there is'],
  ['«p»artners:\n', 'version', 'missing; expected 1'],
  ['version: 1\n«parners»: {}', 'parners', 'unknown field `parners`; did you mean `partners`?'],
  ['version: 1\npartners: «[]»', 'partners', 'expected a map: a name and a colon for each entry'],
  ['«[1]»', '', 'expected a map of fields, found a list'],
  ['version: 1\nserver: { port: «80000» }', 'server.port', 'must be at most 65535'],
  ['version: 1\nserver: { «hots»: x }', 'server.hots', 'unknown field `hots`; did you mean `host`?'],
  // Names.
  [
    'version: 1\npartners:\n  «My Partner»: { connector: lake, config: { database: x } }',
    'partners.My Partner',
    'not a good name; use lower case letters, digits, - and _, up to 64 characters, and begin with a letter or digit (partner name)',
  ],
  // A partner's own fields.
  [
    partner('    «connectr»: lake\n    connector: lake\n    config: { database: x }'),
    'partners.one.connectr',
    'unknown field `connectr`; did you mean `connector`?',
  ],
  [
    'version: 1\npartners:\n  «one»:\n',
    'partners.one.connector',
    'missing; expected a text (The id of an installed connector)',
  ],
  [partner('    connector: «trackr»'), 'partners.one.connector', 'unknown connector `trackr`; did you mean `tracker`?'],
  [
    partner('    connector: «mainframe»'),
    'partners.one.connector',
    'unknown connector `mainframe`; installed connectors: tracker, lake and monitor',
  ],
  [
    tracker(`    config: { ${uri} }\n    tier: «gold»`),
    'partners.one.tier',
    'unknown value `gold`; allowed values: enterprise, professional and community',
  ],
  [tracker(`    config: { ${uri} }\n    tags: «tracking»`), 'partners.one.tags', 'expected a list, found a text'],
  [
    tracker(`    config: { ${uri} }\n    tags: [a, «7»]`),
    'partners.one.tags.1',
    'expected a text, found a number (in quotes it is a text)',
  ],
  [
    tracker(`    config: { ${uri} }\n    contract: { end: «2026-02-30» }`),
    'partners.one.contract.end',
    'not a date; write year, month and day: 2026-01-31',
  ],
  [
    tracker(`    config: { ${uri} }\n    contract: { start: 2026-02-01, end: «2026-01-01» }`),
    'partners.one.contract.end',
    'is before the start; swap the two',
  ],
  [
    tracker(`    config: { ${uri} }\n    check: { every: «30» }`),
    'partners.one.check.every',
    'not a duration; write a whole number and a unit without a space: 500ms, 10s, 5m, 24h or 7d',
  ],
  [
    tracker(`    config: { ${uri} }\n    check: { every: «30 s» }`),
    'partners.one.check.every',
    'not a duration; write a whole number and a unit without a space: 500ms, 10s, 5m, 24h or 7d',
  ],
  [tracker(`    config: { ${uri} }\n    check: { every: «10ms» }`), 'partners.one.check.every', 'must be 1s or longer'],
  [
    tracker(`    config: { ${uri} }\n    check: { every: «30d» }`),
    'partners.one.check.every',
    'must be 24d or shorter',
  ],
  // The connector's config.
  [
    tracker('    config: { trackingUri: http://x, «trackingURI»: http://x }'),
    'partners.one.config.trackingURI',
    'unknown field `trackingURI`; did you mean `trackingUri`?',
  ],
  [
    tracker('    «config»: {}'),
    'partners.one.config.trackingUri',
    'missing; expected a URL (Where the tracking server answers, such as http://127.0.0.1:5000)',
  ],
  [
    'version: 1\npartners:\n  «one»: { connector: tracker }',
    'partners.one.config.trackingUri',
    'missing; expected a URL (Where the tracking server answers, such as http://127.0.0.1:5000)',
  ],
  [
    tracker('    config: { trackingUri: «localhost» }'),
    'partners.one.config.trackingUri',
    '`localhost` is not a URL; write it in full, such as https://host:port',
  ],
  [tracker(`    config: { ${uri}, retries: «11» }`), 'partners.one.config.retries', 'must be at most 10'],
  [tracker(`    config: { ${uri}, retries: «'3'» }`), 'partners.one.config.retries', 'expected a number, found a text'],
  [
    tracker(`    config: { ${uri}, mode: «carefull» }`),
    'partners.one.config.mode',
    'unknown value `carefull`; did you mean `careful`?',
  ],
  [
    tracker(`    config: { ${uri}, proxy: { host: a, port: 1, «prot»: 2 } }`),
    'partners.one.config.proxy.prot',
    'unknown field `prot`; did you mean `port`?',
  ],
  [
    tracker(`    config: { ${uri}, «proxy»: { host: a } }`),
    'partners.one.config.proxy.port',
    'missing; expected a whole number',
  ],
  [tracker('    config: «http://x»'), 'partners.one.config', 'expected a map of fields, found a text'],
  [tracker("    config: { trackingUri: «'${env:URI}'» }"), 'partners.one.config.trackingUri', onlyInCredentials],
  [tracker("    config: { trackingUri: «'${secret:uri}'» }"), 'partners.one.config.trackingUri', onlyInCredentials],
  [
    tracker("    config: { trackingUri: «'http://x/${file:/run/a}'» }"),
    'partners.one.config.trackingUri',
    onlyInCredentials,
  ],
  [
    tracker('    config: { trackingUri: «http://ada:canary@x» }'),
    'partners.one.config.trackingUri',
    'a password may not stand in a URL; remove it and use credentials',
  ],
  // Credentials.
  [
    tracker(`    config: { ${uri} }\n    credentials: «tokens»`),
    'partners.one.credentials',
    'unknown credentials `tokens`; there are no named credentials in the file',
  ],
  [
    tracker(`    config: { ${uri} }\n    «credentials»: { token: x }`),
    'partners.one.credentials.scheme',
    'missing; expected a text (Which of the ways to log in that the connector offers)',
  ],
  [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: «tokn» }`),
    'partners.one.credentials.scheme',
    'unknown scheme `tokn`; did you mean `token`?',
  ],
  [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: token, token: «canary» }`),
    'partners.one.credentials.token',
    plainSecret,
  ],
  [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: token, token: «'Bearer \${env:A}'» }`),
    'partners.one.credentials.token',
    wholeValue,
  ],
  [
    tracker(
      `    config: { ${uri} }\n    credentials: { scheme: basic, username: «'a\${env:A}'», password: '\${env:B}' }`,
    ),
    'partners.one.credentials.username',
    wholeValue,
  ],
  ...[
    '${secret:Big}',
    '${secret:}',
    '${secret:a b}',
    '${env:A-B}',
    '${file:}',
    '${file:a}x',
    '${ENV:A}',
    '${ env:A}',
  ].map((text): [string, string, string] => [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: token, token: «'${text}'» }`),
    'partners.one.credentials.token',
    wholeValue,
  ]),
  [
    `version: 1\ncredentials: { a: { scheme: token, token: '\${env:A}', hosts: [«'https://x/y'»] } }`,
    'credentials.a.hosts.0',
    'not a host; write mlflow.example.com, *.example.com, mlflow.example.com:8443 or http://127.0.0.1:5000 (without http:// it means https)',
  ],
  [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: token, token: '\${env:A}', «hosts»: [x] }`),
    'partners.one.credentials.hosts',
    'unknown field `hosts`; fields here: token',
  ],
  // Policies.
  [
    tracker(`    config: { ${uri} }\n    policy: { «concurency»: 4 }`),
    'partners.one.policy.concurency',
    'unknown field `concurency`; did you mean `concurrency`?',
  ],
  [
    tracker(`    config: { ${uri} }\n    policy: { breakFor: «30» }`),
    'partners.one.policy.breakFor',
    'not a duration; write a whole number and a unit without a space: 500ms, 10s, 5m, 24h or 7d',
  ],
  [
    tracker(`    config: { ${uri} }\n    policy: { rate: { perSecond: «0» } }`),
    'partners.one.policy.rate.perSecond',
    'must be more than 0',
  ],
  [
    tracker(`    config: { ${uri} }\n    policy: { retryBudget: «11» }`),
    'partners.one.policy.retryBudget',
    'must be between 0 and 10',
  ],
  [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: token, «tokn»: x, token: '\${env:A}' }`),
    'partners.one.credentials.tokn',
    'unknown field `tokn`; did you mean `token`?',
  ],
  [
    tracker(`    config: { ${uri} }\n    «credentials»: { scheme: token }`),
    'partners.one.credentials.token',
    'missing; expected a text',
  ],
  [
    'version: 1\npartners:\n  «one»: { connector: monitor }',
    'partners.one.credentials',
    'missing; connector `monitor` needs credentials with a scheme: key',
  ],
  [
    partner(
      "    connector: lake\n    config: { database: x }\n    «credentials»: { scheme: token, token: '${env:A}' }",
    ),
    'partners.one.credentials',
    'connector `lake` takes no credentials; remove this',
  ],
  ['version: 1\ncredentials: { a: { scheme: token, token: «canary» } }', 'credentials.a.token', plainSecret],
  [
    'version: 1\ncredentials: { a: { scheme: «saml» } }',
    'credentials.a.scheme',
    'unknown scheme `saml`; schemes of the installed connectors: none, token, basic and key',
  ],
  [
    "version: 1\ncredentials: { a: { scheme: key, token: '${env:A}' } }\npartners: { one: { connector: tracker, config: { trackingUri: http://x }, credentials: «a» } }",
    'partners.one.credentials',
    '`credentials.a` uses scheme `key`, which connector `tracker` does not have; its schemes: none, token and basic',
  ],
  // Pipelines.
  [
    `${two}  p: { source: «trackin», sink: lake }`,
    'pipelines.p.source',
    'unknown partner `trackin`; did you mean `tracking`?',
  ],
  [
    `${two}  p: { source: tracking, sink: «warehouse» }`,
    'pipelines.p.sink',
    'unknown partner `warehouse`; partners in this file: tracking, lake and points',
  ],
  [
    `${two}  p: { source: tracking, sink: «lake.parket» }`,
    'pipelines.p.sink',
    'unknown sink `parket`; did you mean `parquet`?',
  ],
  [
    `${two}  p: { source: tracking, sink: «tracking» }`,
    'pipelines.p.sink',
    'partner `tracking` (connector `tracker`) has no sinks: nothing can be written to it',
  ],
  [
    `${two}  p: { source: «points», sink: lake }`,
    'pipelines.p.source',
    'partner `points` (connector `monitor`) has no streams to read',
  ],
  [
    `${two}  «p»: { source: tracking }`,
    'pipelines.p.sink',
    'missing; expected a text (The partner that is written to, or `partner.sink` where it has several sinks)',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: [«run»] }`,
    'pipelines.p.streams.0',
    'unknown stream `run`; did you mean `runs`?',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: { «logs»: {} } }`,
    'pipelines.p.streams.logs',
    'unknown stream `logs`; streams of connector `tracker`: runs and metrics',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: «runs» }`,
    'pipelines.p.streams',
    'expected a list of stream names, or a map of names to options; remove it to take all streams',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: [runs, «runs»] }`,
    'pipelines.p.streams.1',
    'stream `runs` stands here twice; remove one',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: { runs: { «lagg»: 5m } } }`,
    'pipelines.p.streams.runs.lagg',
    'unknown field `lagg`; did you mean `lag`?',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: { metrics: { mode: «incremental» } } }`,
    'pipelines.p.streams.metrics.mode',
    'stream `metrics` has no cursor to go on from; write full_refresh',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: { metrics: { disposition: «merge» } } }`,
    'pipelines.p.streams.metrics.disposition',
    'stream `metrics` has no primary key to merge by; write append or overwrite',
  ],
  [
    `${two}  p: { source: tracking, sink: lake.parquet, streams: { runs: { disposition: «merge» } } }`,
    'pipelines.p.streams.runs.disposition',
    'sink `parquet` cannot merge; it can append and overwrite',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: { runs: { table: «'a;b'» } } }`,
    'pipelines.p.streams.runs.table',
    'not a table name; use letters, digits and _, and begin with a letter or _',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: { runs: { table: a }, metrics: { table: «A» } } }`,
    'pipelines.p.streams.metrics.table',
    'table `A` of partner `lake` is written by `p/runs` already; give one of the two another `table`',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, streams: [runs] }\n  q: { source: tracking, sink: lake, streams: [metrics, «runs»] }`,
    'pipelines.q.streams.1',
    'table `runs` of partner `lake` is written by `p/runs` already; give one of the two another `table`',
  ],
  [
    `${two}  p: { source: tracking, sink: lake, reconcile: «nver» }`,
    'pipelines.p.reconcile',
    'not a duration; write a whole number and a unit without a space: 500ms, 10s, 5m, 24h or 7d; or never',
  ],
  // YAML itself.
  ['version: 1\npartners: {}\n«partners»: {}', 'partners', 'stands here twice, first in line 2; remove one'],
  ['version: 1\n«__proto__»: {}', '__proto__', '`__proto__` may not be a name; rename it'],
  [
    'version: 1\npartners: «*nowhere»',
    'partners',
    'no anchor of this name stands before this alias; a text that begins with * needs quotes',
  ],
]
describe('each mistake has one message, at its exact place', () => {
  for (const [text, field, message] of mistakes)
    test(`${field}: ${message}`, () => {
      const { text: clean, range } = marked(text)
      expect(parse(clean).problems.map(({ secret: _, ...problem }) => problem)).toEqual([{ field, message, ...range }])
      expect(parse(clean).ecosystem).toBeUndefined()
    })
})

test('columns count UTF-16 units and lines survive CRLF', () => {
  const { text, range } = marked(
    tracker(`    config: { ${uri} }\n    owner: '🦆'\n    tags: ['🦆', «7»]`).replaceAll('\n', '\r\n'),
  )
  expect(parse(text).problems).toMatchObject([range])
})

test('every problem of a file is told at once, in its order', () => {
  const { problems } = parse(`version: 1
partners:
  a: { connector: trackr }
  b: { connector: tracker, config: { trackingURI: x, retries: 99 }, tier: gold }
pipelines:
  p: { source: c, sink: b, every: soon }
`)
  expect(problems.map((problem) => formatProblem(problem, 'ecosystem.yaml').replace(/[;(].*/, ''))).toEqual([
    'ecosystem.yaml:3:19 partners.a.connector: unknown connector `trackr`',
    'ecosystem.yaml:4:28 partners.b.config.trackingUri: missing',
    'ecosystem.yaml:4:38 partners.b.config.trackingURI: unknown field `trackingURI`',
    'ecosystem.yaml:4:63 partners.b.config.retries: must be at most 10',
    'ecosystem.yaml:4:75 partners.b.tier: unknown value `gold`',
    'ecosystem.yaml:6:16 pipelines.p.source: unknown partner `c`',
    'ecosystem.yaml:6:25 pipelines.p.sink: partner `b` ',
    'ecosystem.yaml:6:35 pipelines.p.every: not a duration',
  ])
})

test('broken YAML is told with its place', () => {
  const { problems } = parse('version: 1\npartners:\n  a: {')
  expect(problems[0]).toMatchObject({
    field: '',
    line: 3,
    message: expect.stringMatching(/^not valid YAML: /) as string,
  })
  expect(parse('version: 1\n---\nversion: 1').problems).toMatchObject([
    { message: 'one file holds one ecosystem; remove what follows `---`' },
  ])
  expect(parse('version: !!binary aGk=').problems[0]?.message).toBe(
    'tags have no meaning here; a text that begins with ! needs quotes',
  )
})

test('of broken YAML only the first mistake is told; a reference without quotes between braces says what it needs', () => {
  const unquoted = 'version: 1\npartners:\n  a: { connector: lake, config: { database: ${env:PLACE} } }\n  b: 5\n'
  expect(parse(unquoted).problems).toMatchObject([
    { line: 3, column: 46, message: "a text with braces needs quotes here: '${secret:name}'" },
  ])
  expect(parse('version: 1\npartners\n  a: 1\npipelines: {}\nserver: {}\n').problems).toHaveLength(1)
})

test('JSON is read by the same rules, tabs and escapes too', () => {
  const text = `{\n\t"version": 1,\n\t"partners": {\n\t\t"one": { "connector": "lake", "config": { "database": "\\u00e9\\/\\ud83e\\udd86" } }\n\t}\n}\n`
  expect(good(text).partners[0]?.config).toEqual({ database: 'é/🦆' })
  const mistake = marked(
    '{\n\t"version": 1,\n\t"partners": { "one": { "connector": "lake", "config": { "database": "a", «"databse"»: 1 } } }\n}',
  )
  expect(parse(mistake.text, 'ecosystem.json').problems).toEqual([
    {
      field: 'partners.one.config.databse',
      message: 'unknown field `databse`; did you mean `database`?',
      ...mistake.range,
    },
  ])
  const twice = marked('{ "version": 1, "partners": {}, «"partners"»: {} }')
  expect(parse(twice.text).problems).toMatchObject([{ field: 'partners', ...twice.range }])
})

test.each(['9007199254740993', '-9007199254740993', '123456789012345678901234567890'])(
  'a whole number that would not keep its digits is refused and not rounded: %s',
  (digits) => {
    const text = `version: 1\npartners: {}\nserver: { port: ${digits} }\n`
    const [problem] = parse(text).problems
    expect(problem).toMatchObject({ field: 'server.port', line: 3 })
    expect(problem?.message).toBe(`a number does not keep these digits; put them in quotes: '${digits}'`)
  },
)
test.each(['9007199254740992', '1e300', '0.1'])(
  'a number that keeps its value is not asked for quotes: %s',
  (digits) => {
    const text = `version: 1\npartners: {}\nserver: { port: ${digits} }\n`
    for (const { message } of parse(text).problems) expect(message).not.toMatch(/keep these digits/)
  },
)

test('anchors and aliases say a thing once', () => {
  const ecosystem = good(`version: 1
partners:
  one: { connector: tracker, config: &shared { trackingUri: http://x } }
  two: { connector: tracker, config: *shared }
`)
  expect(ecosystem.partners.map(({ config }) => config)).toEqual([
    { trackingUri: 'http://x' },
    { trackingUri: 'http://x' },
  ])
})

test('no message repeats a secret that was written in clear', () => {
  const texts = [
    tracker(`    config: { ${uri} }\n    credentials: { scheme: token, token: s3cret-canary }`),
    tracker('    config: { trackingUri: http://ada:s3cret-canary@x }'),
    tracker(`    config: { ${uri} }\n    credentials: { scheme: basic, username: a, password: [s3cret-canary] }`),
    'version: 1\ncredentials: { a: { scheme: basic, username: a, password: s3cret-canary } }',
    ...[
      '!s3cret-canary',
      '*s3cret-canary',
      '|s3cret-canary',
      '"a" "s3cret-canary"',
      '} s3cret-canary',
      '"s3cret-canary',
      '%s3cret-canary',
    ].map((text) => `version: 1\ncredentials:\n  a:\n    scheme: basic\n    username: a\n    password: ${text}\n`),
  ]
  for (const text of texts) {
    const { problems } = parse(text)
    expect(problems.length).toBeGreaterThan(0)
    expect(JSON.stringify(problems)).not.toContain('s3cret-canary')
  }
})

test('all three references are taken, and a policy becomes that of the contract', () => {
  const ecosystem = good(`version: 1
credentials:
  named: { scheme: token, token: '\${secret:tracker-token}', hosts: [x.example.com, '*.example.org', 'http://127.0.0.1:5000'] }
partners:
  a: { connector: tracker, config: { trackingUri: http://x }, credentials: named, policy: { rate: { perSecond: 2.5 }, backoff: 1s, deadline: 5m, breakAt: 2 } }
  b: { connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: basic, username: '\${file:/run/user}', password: '\${file:secrets/pass word}' } }
`)
  expect(ecosystem.credentials).toEqual([
    {
      name: 'named',
      reference: { scheme: 'token', token: '${secret:tracker-token}' },
      hosts: ['x.example.com', '*.example.org', 'http://127.0.0.1:5000'],
    },
  ])
  expect(ecosystem.partners.map(({ policy }) => policy)).toEqual([
    { rate: { perSecond: 2.5, burst: 3 }, backoffMs: 1000, deadlineMs: 300_000, breakAt: 2 },
    undefined,
  ])
})

test('a secret in clear says where it could be kept, and a misspelt reference does not', () => {
  const secrets = (text: string) => parse(text).problems.map(({ secret }) => secret)
  expect(
    secrets(tracker('    config: { trackingUri: http://x }\n    credentials: { scheme: token, token: canary }')),
  ).toEqual([{ name: 'one-token', partner: 'one' }])
  expect(secrets('version: 1\ncredentials: { a: { scheme: token, token: canary } }')).toEqual([{ name: 'a-token' }])
  expect(
    secrets(
      tracker("    config: { trackingUri: http://x }\n    credentials: { scheme: token, token: '${secrets:a}' }"),
    ),
  ).toEqual([undefined])
  expect(
    secrets(tracker("    config: { trackingUri: http://x }\n    credentials: { scheme: token, token: '${secret:A}' }")),
  ).toEqual([undefined])
  expect(secretNameFor('prod', ['oauth', 'clientSecret'])).toBe('prod-oauth-client-secret')
})
