import type { DatasetName } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'

/** A dataset, or one of its columns. */
export interface LineageNode extends DatasetName {
  readonly field?: string
}
/** Data goes from one to the other. */
export interface LineageEdge {
  readonly from: LineageNode
  readonly to: LineageNode
  readonly pipeline: string
  readonly stream: string
  /** OpenLineage's words, as `DIRECT/IDENTITY`. */
  readonly transformation: string
  /** The run that said so last. */
  readonly run: string
  /** ISO 8601. */
  readonly at: string
}
export interface LineageGraph {
  /** Nearest first; the one that was asked for is the first. */
  readonly nodes: readonly LineageNode[]
  readonly edges: readonly LineageEdge[]
}

type Edge = Row<'lineage_edges'>
type Side = 'input' | 'output'
const nodeOf = (edge: Edge, side: Side): LineageNode => {
  const field = edge[`${side}_field`]
  return { namespace: edge[`${side}_namespace`], name: edge[`${side}_name`], ...(field !== '' && { field }) }
}
const keyOf = ({ namespace, name, field = '' }: LineageNode): string => JSON.stringify([namespace, name, field])

/** Every edge that can be reached from a node, from its `here` side on, in one query. */
const reachable = (store: Store, start: LineageNode, here: Side): Promise<readonly Edge[]> => {
  const there = here === 'output' ? 'input' : 'output'
  const ofColumns = start.field !== undefined
  return store.db
    .withRecursive('reached(namespace, name, field)', (db) =>
      db
        .selectFrom('lineage_edges')
        .select([`${here}_namespace as namespace`, `${here}_name as name`, `${here}_field as field`])
        .where(`${here}_namespace`, '=', start.namespace)
        .where(`${here}_name`, '=', start.name)
        .where(`${here}_field`, '=', start.field ?? '')
        .union(
          db
            .selectFrom('lineage_edges as edge')
            .innerJoin('reached', (join) =>
              join
                .onRef(`edge.${here}_namespace`, '=', 'reached.namespace')
                .onRef(`edge.${here}_name`, '=', 'reached.name')
                .onRef(`edge.${here}_field`, '=', 'reached.field'),
            )
            .select([
              `edge.${there}_namespace as namespace`,
              `edge.${there}_name as name`,
              `edge.${there}_field as field`,
            ])
            .where(`edge.${there}_field`, ofColumns ? '!=' : '=', ''),
        ),
    )
    .selectFrom('lineage_edges as edge')
    .innerJoin('reached', (join) =>
      join
        .onRef(`edge.${here}_namespace`, '=', 'reached.namespace')
        .onRef(`edge.${here}_name`, '=', 'reached.name')
        .onRef(`edge.${here}_field`, '=', 'reached.field'),
    )
    .selectAll('edge')
    .where(`edge.${there}_field`, ofColumns ? '!=' : '=', '')
    .execute()
}

/** Walks the edges from a node on, level by level. */
const walk = (edges: readonly Edge[], start: LineageNode, here: Side, depth: number) => {
  const there = here === 'output' ? 'input' : 'output'
  const byNode = new Map<string, Edge[]>()
  for (const edge of edges) {
    const key = keyOf(nodeOf(edge, here))
    const known = byNode.get(key)
    if (known === undefined) byNode.set(key, [edge])
    else known.push(edge)
  }
  const nodes = new Map([[keyOf(start), start]])
  const taken: Edge[] = []
  let level = [start]
  for (let step = 0; step < depth && level.length > 0; step += 1) {
    const next: LineageNode[] = []
    for (const node of level)
      for (const edge of byNode.get(keyOf(node)) ?? []) {
        taken.push(edge)
        const other = nodeOf(edge, there)
        if (nodes.has(keyOf(other))) continue
        nodes.set(keyOf(other), other)
        next.push(other)
      }
    level = next
  }
  return { nodes, taken }
}

/** The datasets of that name: one for each namespace. */
const startsOf = async (store: Store, name: string, field: string, namespace: string | undefined) => {
  const found = new Map<string, LineageNode>()
  for (const side of ['input', 'output'] as const) {
    let query = store.db
      .selectFrom('lineage_edges')
      .select([`${side}_namespace as namespace`])
      .distinct()
      .where(`${side}_name`, '=', name)
      .where(`${side}_field`, '=', field)
    if (namespace !== undefined) query = query.where(`${side}_namespace`, '=', namespace)
    for (const row of await query.execute()) {
      const node = { namespace: row.namespace, name, ...(field !== '' && { field }) }
      found.set(keyOf(node), node)
    }
  }
  return [...found.values()]
}

/**
 * Where the data of a dataset, or of one of its columns, comes from and goes to, over all pipelines; without a namespace all datasets of that name. Empty where nothing is known of it. Column by column only values are followed
 * (`DIRECT`), not what decides which rows there are. `depth` counts steps; default: all.
 */
export const findLineage = async (
  store: Store,
  about: {
    readonly namespace?: string | undefined
    readonly name: string
    readonly field?: string | undefined
    readonly direction?: 'upstream' | 'downstream' | 'both' | undefined
    readonly depth?: number | undefined
  },
): Promise<LineageGraph> => {
  const { namespace, name, field = '', direction = 'both', depth = Infinity } = about
  const nodes = new Map<string, LineageNode>()
  const edges = new Map<string, LineageEdge>()
  for (const start of await startsOf(store, name, field, namespace)) {
    nodes.set(keyOf(start), start)
    for (const here of ['output', 'input'] as const) {
      if (direction === (here === 'output' ? 'downstream' : 'upstream')) continue
      const walked = walk(await reachable(store, start, here), start, here, depth)
      for (const [key, node] of walked.nodes) nodes.set(key, node)
      for (const edge of walked.taken) {
        const [from, to] = [nodeOf(edge, 'input'), nodeOf(edge, 'output')]
        const { pipeline, stream, transformation, run_id: run, at } = edge
        const key = JSON.stringify([keyOf(from), keyOf(to), pipeline, stream])
        edges.set(key, { from, to, pipeline, stream, transformation, run, at: new Date(at).toISOString() })
      }
    }
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] }
}

/** Every dataset that lineage knows, with the columns that were seen, in the order of their names. */
export const listDatasets = async (
  store: Store,
): Promise<readonly (DatasetName & { readonly fields: readonly string[] })[]> => {
  const found = new Map<string, DatasetName & { readonly fields: Set<string> }>()
  for (const side of ['input', 'output'] as const) {
    const rows = await store.db
      .selectFrom('lineage_edges')
      .select([`${side}_namespace as namespace`, `${side}_name as name`, `${side}_field as field`])
      .distinct()
      .execute()
    for (const { namespace, name, field } of rows) {
      const key = JSON.stringify([namespace, name])
      const dataset = found.get(key) ?? { namespace, name, fields: new Set<string>() }
      found.set(key, dataset)
      if (field !== '') dataset.fields.add(field)
    }
  }
  return [...found.entries()]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([, { fields, ...name }]) => ({ ...name, fields: [...fields].toSorted() }))
}
