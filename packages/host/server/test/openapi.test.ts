import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from './ask.ts'
import { openSetting } from './setting.ts'
import type { Setting } from './setting.ts'

interface Operation {
  readonly responses: Readonly<Record<string, { content: { 'application/json': { schema: object } } }>>
}
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

let setting: Setting
let document: Document
let ajv: Ajv2020
beforeAll(async () => {
  setting = await openSetting()
  document = (await setting.get('/openapi.json')).body as Document
  ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'api')
})
afterAll(() => setting.close())

/** What the document says about one answer; the problem where it was refused. */
const faults = (method: string, path: string, status: number, body: unknown): readonly string[] => {
  const operation = document.paths[path]?.[method.toLowerCase()]
  const key = operation?.responses[status] === undefined ? 'default' : String(status)
  if (operation?.responses[key] === undefined) return [`${method} ${path} is not described`]
  const pointer = ['paths', path, method.toLowerCase(), 'responses', key, 'content', 'application/json', 'schema']
    .map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')))
    .join('/')
  const validate = ajv.compile({ $ref: `api#/${pointer}` })
  return validate(body) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`)
}

test('the document is valid OpenAPI 3.1', async () => {
  expect(document.openapi).toBe('3.1.0')
  const { valid, errors } = await new Validator().validate({ ...structuredClone(document) })
  expect(errors ?? []).toEqual([])
  expect(valid).toBe(true)
})

test('every reply is as the document says', async () => {
  await until(async () => ((await setting.runtime.health.states()).length === 2 ? true : undefined))
  expect(faults('GET', '/api/pipelines', 200, (await setting.get('/api/pipelines')).body)).toEqual([])
  const { id } = (await setting.send('POST', '/api/pipelines/lab-to-lake/runs', {})).body as { id: string }
  await until(async () =>
    ((await setting.get(`/api/runs/${id}`)).body as { status: string }).status === 'running' ? undefined : true,
  )
  const config = { url: setting.partner.url }
  const asked: [string, string, Record<string, string>?, unknown?, string?][] = [
    ['GET', '/api/summary'],
    ['GET', '/api/connectors'],
    ['GET', '/api/connectors/{id}', { id: 'lab' }],
    ['GET', '/api/connectors/{id}', { id: 'nothing' }],
    ['GET', '/api/partners'],
    ['POST', '/api/partners', {}, { name: 'second', connector: 'lab', config }],
    ['POST', '/api/partners', {}, { name: 'second', connector: 'lab', config: {} }],
    ['GET', '/api/partners/{name}', { name: 'second' }],
    ['PATCH', '/api/partners/{name}', { name: 'second' }, { owner: 'me', contract: { end: '2027-01-01' } }],
    ['POST', '/api/partners/{name}/check', { name: 'second' }],
    ['GET', '/api/partners/{name}/health', { name: 'second' }],
    ['DELETE', '/api/partners/{name}', { name: 'second' }],
    ['GET', '/api/partners/{name}/streams', { name: 'lab' }],
    ['GET', '/api/partners/{name}/streams', { name: 'lake' }],
    ['GET', '/api/partners/{name}/streams/{stream}/records', { name: 'lake', stream: 'samples' }],
    ['GET', '/api/partners/{name}/streams/{stream}/records', { name: 'lake', stream: 'nothing' }],
    [
      'POST',
      '/api/partners/{name}/call/{capability}/{operation}',
      { name: 'lab', capability: 'samples', operation: 'list' },
      {},
    ],
    [
      'POST',
      '/api/partners/{name}/call/{capability}/{operation}',
      { name: 'lab', capability: 'samples', operation: 'get' },
      { id: 'a' },
    ],
    ['GET', '/api/pipelines'],
    ['POST', '/api/pipelines/{name}/runs', { name: 'lab-to-lake' }, {}],
    ['POST', '/api/pipelines/{name}/runs', { name: 'lab-to-lake' }, { full: true, backfill: { since: 'a' } }],
    ['POST', '/api/pipelines/{name}/accept', { name: 'lab-to-lake' }, {}],
    ['GET', '/api/schedules'],
    ['GET', '/api/quarantine'],
    ['GET', '/api/quality'],
    ['GET', '/api/contracts'],
    ['GET', '/api/lineage/datasets'],
    ['GET', '/api/lineage', {}, undefined, '?name=samples'],
    ['GET', '/api/runs'],
    ['GET', '/api/runs/{id}', { id }],
    ['POST', '/api/runs/{id}/cancel', { id }],
    ['GET', '/api/runs/{id}/lineage', { id }],
    ['GET', '/api/runs/{id}/quarantine', { id }],
  ]
  const found: string[] = []
  for (const [method, path, parameters = {}, body, query = ''] of asked) {
    const filled = path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => parameters[name] ?? '')
    const answer = await setting.send(method, filled + query, body)
    for (const fault of faults(method, path, answer.status, answer.body)) found.push(`${method} ${filled}: ${fault}`)
  }
  expect(found).toEqual([])
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(described.filter((one) => !asked.some(([method, path]) => `${method} ${path}` === one))).toEqual([])
})

test('a reply that is not as the document says would be found', () => {
  expect(faults('GET', '/api/summary', 200, { version: 1 })).not.toEqual([])
  expect(faults('GET', '/api/summary', 404, { error: 'text' })).not.toEqual([])
  expect(faults('GET', '/api/nothing', 200, {})).not.toEqual([])
})
