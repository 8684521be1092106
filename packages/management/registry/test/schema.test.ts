import { defineConnector } from '@ecokit/contracts'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { ecosystemSchema } from '../src/file.ts'
import { connectors } from './connectors.ts'
import { parse, sample } from './support.ts'

const compile = (list: Parameters<typeof ecosystemSchema>[0]) => {
  const ajv = new Ajv({ allErrors: true, strict: false })
  formats.default(ajv)
  return ajv.compile(ecosystemSchema(list))
}
const accepts = compile(connectors)
const one = (text: string): string => `version: 1\npartners:\n  one: ${text}\n`

test('what the parser takes, the schema takes', () => {
  const texts = [
    sample,
    'version: 1\npartners:\n',
    one('{ connector: lake, config: { database: x } }'),
    one(
      "{ connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: basic, username: '${env:A}', password: '${env:B}' } }",
    ),
    one("{ connector: monitor, credentials: { scheme: key, token: '${env:A}' } }"),
    one("{ connector: monitor, credentials: { scheme: key, token: '${secret:a-b}' } }"),
    one("{ connector: monitor, credentials: { scheme: key, token: '${file:/run/secrets/a b}' } }"),
    one(
      '{ connector: lake, config: { database: x }, policy: { rate: { perSecond: 0.5, burst: 2 }, backoff: 1s, breakAt: 2 } }',
    ),
    "version: 1\ncredentials: { a: { scheme: key, token: '${env:A}', hosts: [x.example.com, 'http://127.0.0.1:1'] } }",
  ]
  for (const text of texts) {
    expect(parse(text).problems).toEqual([])
    expect([text, accepts(parseYaml(text)), accepts.errors]).toEqual([text, true, null])
  }
})

test('an editor refuses the common mistakes by the schema alone', () => {
  const texts = [
    'version: 2',
    'version: 1\nparners: {}',
    one('{ connector: mainframe }'),
    one('{ connector: tracker }'),
    one('{ connector: tracker, config: { trackingURI: http://x } }'),
    one('{ connector: tracker, config: { trackingUri: http://x, retries: 99 } }'),
    one('{ connector: lake, config: { database: x }, tier: gold }'),
    one('{ connector: lake, config: { database: x }, check: { every: 30 } }'),
    one("{ connector: lake, config: { database: x }, credentials: { scheme: token, token: '${env:A}' } }"),
    one('{ connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: token, token: abc } }'),
    one('{ connector: tracker, config: { trackingUri: http://x }, credentials: { scheme: tokn } }'),
    'version: 1\npartners: { My Partner: { connector: lake, config: { database: x } } }',
    'version: 1\npipelines: { p: { source: a } }',
    'version: 1\npipelines: { p: { source: a, sink: b, streams: { runs: { lagg: 5m } } } }',
    'version: 1\npipelines: { p: { source: a, sink: b, reconcile: nver } }',
    'version: 1\nserver: { port: 80000 }',
    one('{ connector: lake, config: { database: x }, policy: { backoff: 1 } }'),
    one('{ connector: lake, config: { database: x }, policy: { burst: 1 } }'),
    one('{ connector: lake, config: { database: x }, policy: { attempts: 0 } }'),
    "version: 1\ncredentials: { a: { scheme: key, token: '${env:A}', hosts: x } }",
    one("{ connector: monitor, credentials: { scheme: key, token: '${secret:A}' } }"),
  ]
  for (const text of texts) {
    expect(parse(text).problems).not.toEqual([])
    expect([text, accepts(parseYaml(text))]).toEqual([text, false])
  }
})

test('every field says what it is for, the fields of a connector among them', () => {
  const text = JSON.stringify(ecosystemSchema(connectors))
  for (const words of [
    'Where the tracking server answers',
    'The commercial tier',
    'How often everything is read and compared',
  ])
    expect(text).toContain(words)
  const { definitions, properties } = ecosystemSchema(connectors) as {
    definitions: { partner: { properties: Record<string, { description?: string }> } }
    properties: Record<string, { description?: string }>
  }
  for (const field of [...Object.values(definitions.partner.properties), ...Object.values(properties)])
    expect(field.description).toMatch(/\.$/)
})

test('a config that refers to itself keeps its references', () => {
  const Node = z.strictObject({
    name: z.string(),
    get children() {
      return z.array(Node).optional()
    },
  })
  const tree = defineConnector(
    { id: 'tree', title: 'Tree', config: z.strictObject({ root: Node }), hosts: [] },
    () => ({
      check: () => Promise.resolve({}),
    }),
  )
  const validate = compile([...connectors, tree])
  const text = (leaf: string) =>
    parseYaml(one(`{ connector: tree, config: { root: { name: a, children: [{ ${leaf} }] } } }`)) as unknown
  expect(validate(text('name: b'))).toBe(true)
  expect(validate(text('nme: b'))).toBe(false)
})

test('without connectors it is still a schema', () => {
  expect(compile([])({ version: 1, partners: {} })).toBe(true)
})
