import { identifier, literal } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { AnyRecord } from '@ecokit/contracts'
import type { DuckDBConnection } from '@duckdb/node-api'
import { decoder } from './duck-read.ts'
import type { Duck } from './database.ts'

/** Functions that give rows without reading anything. */
const harmless = new Set(['range', 'generate_series', 'unnest'])
/** Functions that change something. */
const changing = new Set(['nextval', 'setval', 'write_log', 'set_config', 'setseed'])

interface About {
  readonly partner: string
  readonly table: string
}

/** Walks DuckDB's own syntax tree: what stands in it against the query, or undefined. Sources of rows are the given tables and the query's own. */
const faultIn = (node: unknown, known: ReadonlySet<string>): string | undefined => {
  if (Array.isArray(node)) {
    for (const item of node) {
      const fault = faultIn(item, known)
      if (fault !== undefined) return fault
    }
    return undefined
  }
  if (typeof node !== 'object' || node === null) return undefined
  const { type, table_name: table, schema_name: schema, function: called, function_name: name } = node as AnyRecord
  if (type === 'BASE_TABLE' && (schema !== '' || !known.has(String(table).toLowerCase())))
    return `it reads ${String(table)}: write {table}, or {table:name} for another one`
  if (type === 'TABLE_FUNCTION') {
    const given = String((called as AnyRecord | undefined)?.['function_name']).toLowerCase()
    if (!harmless.has(given)) return `the function ${given} is not allowed in it`
  }
  if (type === 'SHOW_REF') return 'only SELECT and WITH are allowed in it'
  if (typeof name === 'string' && changing.has(name.toLowerCase())) return `the function ${name} is not allowed in it`
  return faultIn(Object.values(node), known)
}
/**
 * The names that a query gives to its own common table expressions. Only plain ones: outside of its expression, and within it, a name means what DuckDB finds under it, which for a path is the file.
 */
const ownNames = (node: unknown): readonly string[] => {
  if (Array.isArray(node)) return node.flatMap(ownNames)
  if (typeof node !== 'object' || node === null) return []
  const { cte_map: map } = node as { readonly cte_map?: { readonly map?: readonly { readonly key: string }[] } }
  const own = (map?.map ?? []).map(({ key }) => key.toLowerCase()).filter((name) => /^\w+$/.test(name))
  return [...own.filter((name) => !name.startsWith('_ecokit_')), ...Object.values(node).flatMap(ownNames)]
}

/**
 * Asks a database about the table that is being written. `find` gives the name under which a table stands there, for no name the one that is written; undefined where there is none.
 * Only SELECT and WITH over such tables: DuckDB's parser says what stands in the query, so that nothing is written and no file or address is read.
 */
export const ask = async (
  duck: Duck,
  connection: DuckDBConnection,
  sql: string,
  { partner, table }: About,
  find: (name: string | undefined) => Promise<string | undefined>,
): Promise<readonly AnyRecord[]> => {
  const refused = (reason: string) =>
    integrationError('invalid_input', {
      partner,
      what: `table ${table}: the query cannot be asked: ${reason}`,
      next: 'Write one SELECT over {table} and {table:name}',
      details: { field: 'query' },
    })
  const places = new Map<string, string>()
  for (const [place, , name] of sql.matchAll(/\{table(:([^}]*))?\}/g)) {
    const found = places.get(place) ?? (await find(name))
    if (found === undefined) throw refused(`there is no table ${name ?? table}`)
    places.set(place, found)
  }
  const whole = sql.replaceAll(/\{table(?::[^}]*)?\}/g, (place) => identifier(places.get(place) ?? ''))
  const parsed = await connection.runAndReadAll(`SELECT json_serialize_sql(${literal(whole)})`)
  const tree = JSON.parse(String(parsed.getRows()[0]?.[0])) as {
    readonly error: boolean
    readonly error_message?: string
    readonly statements?: readonly unknown[]
  }
  if (tree.error) throw refused(tree.error_message ?? 'it is not SQL')
  if (tree.statements?.length !== 1) throw refused('it must be one statement')
  const known = new Set([...[...places.values()].map((name) => name.toLowerCase()), ...ownNames(tree.statements)])
  const fault = faultIn(tree.statements, known)
  if (fault !== undefined) throw refused(fault)
  const result = await connection.runAndReadAll(whole)
  const names = result.columnNames()
  const decoders = result.columnTypes().map((type) => decoder(duck, type))
  return result
    .getRows()
    .map((row) => Object.fromEntries(names.map((name, index) => [name, decoders[index]?.(row[index] ?? null)])))
}
