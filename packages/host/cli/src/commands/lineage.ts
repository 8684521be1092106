import { toJson } from '@ecokit/contracts'
import { findLineage, listDatasets } from '@ecokit/flow'
import { withRuntime } from '../open.ts'
import { table, whole } from '../output/table.ts'
import { count, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

type Dataset = Awaited<ReturnType<typeof listDatasets>>[number]
type Graph = Awaited<ReturnType<typeof findLineage>>
type Node = Graph['nodes'][number]

export interface LineageOptions {
  readonly upstream: boolean
  readonly downstream: boolean
  readonly depth: number
}

const full = ({ namespace, name }: Dataset): string => `${namespace}/${name}`
/** A dataset is meant by its whole name with or without its namespace, or by the last part of it. */
const isMeant = (dataset: Dataset, text: string): boolean =>
  text !== '' &&
  (text === full(dataset) ||
    text === dataset.name ||
    dataset.name.endsWith(`.${text}`) ||
    dataset.name.endsWith(`/${text}`))

/** The dataset, and the column where one is named, that a command line means. */
export const findDataset = (
  datasets: readonly Dataset[],
  text: string,
): { readonly dataset: Dataset; readonly field: string | undefined } => {
  const whole = datasets.filter((one) => isMeant(one, text)).map((dataset) => ({ dataset, field: undefined }))
  const columns = datasets.flatMap((dataset) =>
    dataset.fields
      .filter((field) => text.endsWith(`.${field}`) && isMeant(dataset, text.slice(0, -field.length - 1)))
      .map((field) => ({ dataset, field })),
  )
  const found = whole.length > 0 ? whole : columns
  const [first, second] = found
  if (first === undefined)
    throw new UsageError(
      `there is no dataset ${text}. ${datasets.length === 0 ? 'No run has moved data yet' : 'List them with `ecokit lineage`'}`,
    )
  if (second !== undefined)
    throw new UsageError(
      `${text} may be ${found.map(({ dataset, field }) => full(dataset) + (field === undefined ? '' : `.${field}`)).join(' or ')}. Write more of it`,
    )
  return first
}

const nodeName = ({ namespace, name, field }: Node): string =>
  `${namespace}/${name}${field === undefined ? '' : `.${field}`}`

/** Lists the datasets, or shows where one of them, or one of its columns, comes from and goes to. */
export const lineage = (
  invocation: Invocation,
  text: string | undefined,
  { upstream, downstream, depth }: LineageOptions,
): Promise<number> =>
  withRuntime(invocation, async ({ store }) => {
    const { terminal, json } = invocation
    const datasets = await listDatasets(store)
    if (text === undefined) {
      const listing = () =>
        table(
          [
            { title: 'NAMESPACE', cell: ({ namespace }: Dataset) => namespace },
            { title: 'DATASET', cell: ({ name }) => name, end: true },
            { title: 'COLUMNS', cell: ({ fields }) => count(fields.length), right: true },
          ],
          datasets,
          terminal,
        )
      await terminal.out(json ? `${toJson(datasets, 2)}\n` : listing())
      return exits.done
    }
    const { dataset, field } = findDataset(datasets, text)
    const { namespace, name } = dataset
    const direction = upstream === downstream ? 'both' : upstream ? 'upstream' : 'downstream'
    const graph = await findLineage(store, { namespace, name, field, direction, depth })
    if (json) {
      await terminal.out(`${toJson(graph, 2)}\n`)
      return exits.done
    }
    if (graph.edges.length === 0) {
      terminal.note(`nothing is known ${direction === 'both' ? 'about' : `${direction} of`} ${visible(text)}\n`)
      return exits.done
    }
    await terminal.out(
      table(
        [
          { title: 'FROM', cell: ({ from }) => nodeName(from), least: 24, end: true },
          { title: 'TO', cell: ({ to }) => nodeName(to), least: 24, end: true },
          { title: 'HOW', cell: ({ transformation }) => transformation, least: whole, spare: true },
          { title: 'PIPELINE', cell: (edge) => `${edge.pipeline}/${edge.stream}` },
          { title: 'LAST RUN', cell: ({ run }) => run, least: whole, spare: true },
        ],
        graph.edges,
        terminal,
      ),
    )
    return exits.done
  })
