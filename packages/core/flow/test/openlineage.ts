import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Store } from '@ecokit/store'
import { expect } from 'vitest'
import { lineageEvent } from '../src/index.ts'

/** The official schemas, beside the repository: https://github.com/OpenLineage/OpenLineage/tree/main/spec */
const folder = new URL('../../../../../shared/specs/openlineage/', import.meta.url)

/** Why the events of a run are not checked here; undefined where they are. */
export const missing = existsSync(folder) ? undefined : 'the OpenLineage schemas are not in ../shared/specs'
if (missing !== undefined && process.env['ECOKIT_REQUIRE_PEERS'] === '1') throw new Error(missing)

const read = (name: string): Readonly<Record<string, unknown>> & { $id: string; properties?: object } =>
  JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as never

/** The kind of facet that a schema describes: `DatasetFacet`, `InputDatasetFacet`, … */
const kindOf = (schema: object): string | undefined =>
  /"\$ref":"[^"]*OpenLineage\.json#\/\$defs\/(\w+Facet)"/.exec(JSON.stringify(schema))?.[1]

const load = () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  const event = read('OpenLineage.json')
  ajv.addSchema(event)
  /** Schemas by kind and name: two kinds share the name `dataQualityMetrics`. */
  const facets = new Map<string, string>()
  for (const file of readdirSync(new URL('facets/', folder))) {
    const schema = read(`facets/${file}`)
    ajv.addSchema(schema)
    for (const name of Object.keys(schema.properties ?? {})) facets.set(`${String(kindOf(schema))} ${name}`, schema.$id)
  }
  return { ajv, event: event.$id, facets }
}
const loaded = missing === undefined ? load() : undefined

type Facets = Readonly<Record<string, { _schemaURL?: unknown }>>
/** Every object of facets anywhere in an event, with the kind that its place asks for. */
const facetsIn = function* (node: unknown, place = ''): Generator<readonly [string, Facets]> {
  if (typeof node !== 'object' || node === null) return
  for (const [key, value] of Object.entries(node)) {
    if (key === 'facets')
      yield [place === 'run' ? 'RunFacet' : place === 'job' ? 'JobFacet' : 'DatasetFacet', value as Facets]
    else if (key === 'inputFacets') yield ['InputDatasetFacet', value as Facets]
    else if (key === 'outputFacets') yield ['OutputDatasetFacet', value as Facets]
    yield* facetsIn(value, key)
  }
}

/** What the official schemas say against an event, its facets included; a facet of a name, place or version that they do not have counts too. */
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
  for (const [kind, found] of facetsIn(event))
    for (const [name, facet] of Object.entries(found)) {
      const id = facets.get(`${kind} ${name}`)
      if (id === undefined) faults.push(`no ${kind} ${name}`)
      else if (facet._schemaURL !== id) faults.push(`${name} says it is ${String(facet._schemaURL)}, not ${id}`)
      else check(id, { [name]: facet })
    }
  return faults
}

/** What the official schemas say against the events in a state database that nobody writes any more, and the number of events that were looked at. */
export const faultsInFile = (file: string): { readonly events: number; readonly faults: readonly string[] } => {
  if (!existsSync(file)) return { events: 0, faults: [] }
  const database = new DatabaseSync(file)
  try {
    const there = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'lineage_events'").get()
    const rows = there === undefined ? [] : database.prepare('SELECT body FROM lineage_events').all()
    return { events: rows.length, faults: rows.flatMap(({ body }) => faultsOf(JSON.parse(String(body)))) }
  } finally {
    database.close()
  }
}

/** Throws for what the official schemas say against the events of the runs of an ecosystem, whose state stands in this folder. */
export const checkState = (folder: string): void => {
  const [fault] = faultsInFile(path.join(folder, '.ecokit', 'state.db')).faults
  if (fault !== undefined) throw new Error(fault)
}

/** Holds every event that a store has seen against the official schemas, and against our own, which must not know less. */
export const checkEvents = async (store: Store): Promise<void> => {
  const rows = await store.db
    .selectFrom('lineage_events')
    .select('body')
    .execute()
    .catch((error: unknown) => {
      // A test may have taken the table away.
      expect(String(error)).toMatch(/no such table/)
      return []
    })
  for (const { body } of rows) {
    const event = JSON.parse(body) as unknown
    expect(faultsOf(event)).toEqual([])
    expect(lineageEvent.parse(event)).toEqual(event)
  }
}
