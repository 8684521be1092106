import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

/** The official schemas, beside the repository: https://github.com/OpenLineage/OpenLineage/tree/main/spec */
const folder = new URL('../../../../../shared/specs/openlineage/', import.meta.url)

/** Why the events of a run are not checked here; undefined where they are. */
export const missing = existsSync(folder) ? undefined : 'the OpenLineage schemas are not in ../shared/specs'
if (missing !== undefined && process.env['ECOKIT_REQUIRE_PEERS'] === '1') throw new Error(missing)

const read = (name: string): Readonly<Record<string, unknown>> & { $id: string; properties?: object } =>
  JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as never

const load = () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  const event = read('OpenLineage.json')
  ajv.addSchema(event)
  const facets = new Map<string, string>()
  for (const file of readdirSync(new URL('facets/', folder))) {
    const schema = read(`facets/${file}`)
    ajv.addSchema(schema)
    for (const name of Object.keys(schema.properties ?? {})) facets.set(name, schema.$id)
  }
  return { ajv, event: event.$id, facets }
}
const loaded = missing === undefined ? load() : undefined

/** Every `facets`, `inputFacets` and `outputFacets` object anywhere in an event. */
const facetsIn = function* (node: unknown): Generator<Readonly<Record<string, { _schemaURL?: unknown }>>> {
  if (typeof node !== 'object' || node === null) return
  for (const [key, value] of Object.entries(node)) {
    if (['facets', 'inputFacets', 'outputFacets'].includes(key))
      yield value as Readonly<Record<string, { _schemaURL?: unknown }>>
    yield* facetsIn(value)
  }
}

/** What the official schemas say against an event, its facets included; a facet of a name or version that they do not have counts too. */
export const faultsOf = (event: unknown): readonly string[] => {
  if (loaded === undefined) return []
  const { ajv, facets } = loaded
  const faults: string[] = []
  const check = (id: string, value: unknown): void => {
    const validate = ajv.getSchema(id)
    if (validate === undefined) faults.push(`no schema ${id}`)
    else if (validate(value) !== true) faults.push(`${id}: ${ajv.errorsText(validate.errors)}`)
  }
  check(loaded.event, event)
  for (const found of facetsIn(event))
    for (const [name, facet] of Object.entries(found)) {
      const id = facets.get(name)
      if (id === undefined) faults.push(`no facet ${name}`)
      else if (facet._schemaURL !== id) faults.push(`${name} says it is ${String(facet._schemaURL)}, not ${id}`)
      else check(id, { [name]: facet })
    }
  return faults
}
