import { local } from '@ecokit/connector-local'
import { mlflow } from '@ecokit/connector-mlflow'
import { expect, test } from 'vitest'
import { parseEcosystem } from '../src/file.ts'

const problems = (partitionBy: string, pipelines: string) =>
  parseEcosystem(
    `version: 1
partners:
  mlflow: { connector: mlflow, config: { trackingUri: 'http://x' } }
  files: { connector: local, config: { folder: files } }
  lake: { connector: local, config: { folder: out, database: lake.duckdb, partitionBy: ${partitionBy} } }
pipelines:
${pipelines}`,
    { connectors: [mlflow, local] },
  ).problems.map(({ line, field, message }) => `${line} ${field}: ${message}`)
const at = '5 partners.lake.config.partitionBy'

test('what a config says for a table that is written under a name near by is told at its place', () => {
  const named = '  p: { source: mlflow, sink: lake.csv, streams: { runs: { table: all_of_them }, metrics: {} } }'
  expect(problems('{ metrics: [key], all_of_them: [status] }', named)).toEqual([])
  expect(problems('{ metric: [key] }', named)).toEqual([
    `${at}.metric: unknown table \`metric\`; did you mean \`metrics\`?`,
  ])
  expect(problems('{ Metrics: [key] }', named)).toEqual([
    `${at}.Metrics: unknown table \`Metrics\`; did you mean \`metrics\`?`,
  ])
  expect(problems('{ runs: [status] }', named)).toEqual([
    `${at}.runs: unknown table \`runs\`: stream \`runs\` is written into the table \`all_of_them\``,
  ])
  // All streams of a connector that declares them are known too.
  expect(problems('{ metric: [key] }', '  p: { source: mlflow, sink: lake.parquet }')).toEqual([
    expect.stringContaining('did you mean `metrics`?') as string,
  ])
})

test('nothing is said of tables that somebody else may write', () => {
  const named = '  p: { source: mlflow, sink: lake.csv, streams: [runs] }\n'
  // Near nothing: written by code, or by a pipeline that is yet to come.
  expect(problems('{ experiments: [name] }', named)).toEqual([])
  // Each of the two is there.
  expect(problems('{ run: [a], runs: [status] }', named)).toEqual([])
  // A source whose tables are found when it runs.
  expect(problems('{ rums: [a] }', `${named}  q: { source: files, sink: lake.ndjson }`)).toEqual([])
  // Not the folder's tables.
  expect(problems('{ rums: [a] }', '  p: { source: mlflow, sink: lake.tables, streams: [runs] }')).toEqual([])
})
