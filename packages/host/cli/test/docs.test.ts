import { readFile } from 'node:fs/promises'
import { formatProblem, parseEcosystem } from '@ecokit/registry/file'
import { expect, test } from 'vitest'
import { loadConnectors } from '../src/connectors.ts'

/** The YAML of a page, block by block. */
const blocks = async (page: string): Promise<readonly string[]> => {
  const text = await readFile(new URL(`../../../../${page}`, import.meta.url), 'utf8')
  return [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = '']) => yaml)
}
const partners = `version: 1
partners:
  mlflow: { connector: mlflow, config: { trackingUri: 'http://127.0.0.1:5000' } }
  lake: { connector: local, config: { database: lake.duckdb } }
`
const pipeline = `${partners}pipelines:
  p:
    source: mlflow
    sink: lake
`
const indented = (yaml: string): string => yaml.replaceAll(/^(?=.)/gm, '    ')

const problemsOf = async (text: string): Promise<readonly string[]> =>
  parseEcosystem(text, { connectors: await loadConnectors() }).problems.map((one) => formatProblem(one, 'page'))

test.each(['docs/ecosystem-yaml.md', 'packages/management/registry/README.md'])(
  'what %s shows is a file without a mistake',
  async (page) => {
    const [file = ''] = await blocks(page)
    expect(file).toContain('version: 1')
    expect(await problemsOf(file)).toEqual([])
  },
)

test('the parts of a file that other pages show are right where they belong', async () => {
  const [schedule = ''] = await blocks('docs/run-a-pipeline.md')
  const [rules = '', contract = ''] = await blocks('docs/trust-the-data.md')
  const [lineage = ''] = await blocks('docs/follow-lineage.md')
  for (const text of [partners + schedule, pipeline + indented(contract), `version: 1\n${lineage}`])
    expect([text, await problemsOf(text)]).toEqual([text, []])
  // Its fields are of no real stream, so that all rules fit one page.
  const text = pipeline + indented(rules)
  const known = /unknown (column|field) `/
  expect((await problemsOf(text)).filter((problem) => !known.test(problem))).toEqual([])
})
