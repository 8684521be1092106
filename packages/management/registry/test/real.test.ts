import { readFile } from 'node:fs/promises'
import { local } from '@ecokit/connector-local'
import { mlflow } from '@ecokit/connector-mlflow'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { ecosystemSchema, parseEcosystem } from '../src/file.ts'

const connectors = [mlflow, local]
const sample = await readFile(new URL('../../../../examples/mlflow-to-lake/ecosystem.yaml', import.meta.url), 'utf8')

test('the sample of the main job is good, for the parser and for editors', () => {
  const { ecosystem, problems } = parseEcosystem(sample, { connectors })
  expect(problems).toEqual([])
  expect(ecosystem?.pipelines).toMatchObject([{ source: 'mlflow', sink: 'lake', sinkName: 'tables' }])
  const ajv = new Ajv({ strict: false })
  formats.default(ajv)
  const accepts = ajv.compile(ecosystemSchema(connectors))
  expect([accepts(parseYaml(sample)), accepts.errors]).toEqual([true, null])
})

test('its mistakes are told with the words of the real connectors', () => {
  const mistaken = sample.replace('trackingUri', 'trackingURI').replace('database: lake.duckdb', '')
  expect(parseEcosystem(mistaken, { connectors }).problems.map(({ field, message }) => `${field}: ${message}`)).toEqual(
    [
      expect.stringMatching(/^partners\.mlflow\.config\.trackingUri: missing; expected .*URL/),
      'partners.mlflow.config.trackingURI: unknown field `trackingURI`; did you mean `trackingUri`?',
      'partners.lake.config.database: name a database file, a folder, or both',
    ],
  )
})
