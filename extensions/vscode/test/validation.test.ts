import { ecosystemSchema } from '@ecokit/registry/file'
import { expect, test } from 'vitest'
import { connectors, isEcosystemFile, referenceText, secretIn, validate, variableFor } from '../src/validation.ts'
import { sampleEcosystem } from './host/workspace.ts'

test('the sample is right', () => {
  expect(validate(sampleEcosystem, 'ecosystem.yaml')).toEqual([])
})

test('a mistake is found at its line and column, counted from 0, in the words of the command line', () => {
  const found = validate(sampleEcosystem.replace('tier: enterprise', 'tier: enterprize'), '/home/me/ecosystem.yaml')
  expect(found).toEqual([
    {
      message: expect.stringMatching(/^partners\.mlflow-prod\.tier: .*enterprise/) as string,
      startLine: 12,
      startColumn: 10,
      endLine: 12,
      endColumn: 20,
    },
  ])
})

const withRules = (rule: string): string => `version: 1
partners:
  mlflow: { connector: mlflow, config: { trackingUri: 'http://127.0.0.1:5001' } }
  lake: { connector: local, config: { database: lake.duckdb } }
pipelines:
  p:
    source: mlflow
    sink: lake
    schedule: { cron: '0 3 * * *', timezone: Europe/Berlin }
    streams:
      runs: { contract: freeze, quality: [{ rule: ${rule}, field: run_id }] }
`

test('schedules, contracts and quality rules are judged, completed and explained', () => {
  expect(validate(withRules('not_null'), 'ecosystem.yaml')).toEqual([])
  expect(validate(withRules('notnull'), 'ecosystem.yaml')).toMatchObject([
    { message: 'pipelines.p.streams.runs.quality.0.rule: unknown value `notnull`; did you mean `not_null`?' },
  ])
  const { properties } = ecosystemSchema(connectors) as {
    properties: { pipelines: { additionalProperties: { properties: Record<string, { description: string }> } } }
  }
  const fields = properties.pipelines.additionalProperties.properties
  for (const name of ['schedule', 'contract', 'parallel']) expect(fields[name]?.description).toMatch(/\.$/)
})

test('a text that is no YAML is one finding, with no field before its message', () => {
  expect(validate('partners: [', 'ecosystem.yml')[0]?.message).toMatch(/^not valid YAML: /)
})

test('JSON is judged by the same rules', () => {
  const text = '{ "version": 1,\n  "partners": { "lake": { "connector": "local", "config": { "database": 5 } } } }'
  expect(validate(text, 'ecosystem.json')).toMatchObject([
    { message: expect.stringMatching(/^partners\.lake\.config\.database: /) as string, startLine: 1 },
  ])
})

test('only files of these names are looked at', () => {
  for (const file of ['ecosystem.yaml', '/a/ecosystem.yml', '/a/b/ecosystem.json'])
    expect(isEcosystemFile(file)).toBe(true)
  for (const file of ['my-ecosystem.yaml', 'ecosystem.yaml.bak', '/ecosystem.yaml/x', 'ecosystem.jsonc'])
    expect(isEcosystemFile(file)).toBe(false)
})

const withToken = sampleEcosystem.replace(
  "config: { trackingUri: 'http://127.0.0.1:5001' }",
  "config: { trackingUri: 'http://127.0.0.1:5001' }\n    credentials: { scheme: token, token: 'canary #1' }",
)

test('a secret in clear says where it should be kept, and is read out of the text only when it is moved', () => {
  const [found] = validate(withToken, 'ecosystem.yaml')
  expect(found).toMatchObject({
    message: expect.stringContaining('ecokit vault set') as string,
    secret: { field: 'partners.mlflow.credentials.token', name: 'mlflow-token', partner: 'mlflow' },
  })
  expect(JSON.stringify(found)).not.toContain('canary')
  expect(secretIn(withToken, 'partners.mlflow.credentials.token')).toBe('canary #1')
  expect(secretIn(withToken, 'partners.mlflow.credentials.other')).toBeUndefined()
  const { startLine, startColumn, endColumn } = found!
  const lines = withToken.split('\n')
  lines[startLine] =
    lines[startLine]!.slice(0, startColumn) +
    referenceText('ecosystem.yaml', 'secret', 'mlflow-token') +
    lines[startLine]!.slice(endColumn)
  expect(lines[startLine]).toContain("token: '${secret:mlflow-token}' }")
  expect(validate(lines.join('\n'), 'ecosystem.yaml')).toEqual([])
})

test('references are written as their file wants them', () => {
  expect(referenceText('/a/ecosystem.json', 'env', variableFor('mlflow-token'))).toBe('"${env:MLFLOW_TOKEN}"')
  expect(variableFor('3rd-party_key')).toBe('_3RD_PARTY_KEY')
})
