import { useEffect, useState } from 'preact/hooks'
import { api, type Dataset, type LineageEdge, type LineageEvent, type LineageNode } from './api.ts'
import { act } from './state.ts'
import { Table } from './table.tsx'

interface Edge {
  readonly job: string
  readonly input: Dataset | undefined
  readonly output: Dataset | undefined
  readonly last: string
}

/** One line for each job that moved data: what it read, what it wrote, how it ended. */
export const edgesOf = (events: readonly LineageEvent[]): readonly Edge[] => {
  const edges = new Map<string, Edge>()
  for (const event of events) {
    const before = edges.get(event.job.name)
    const input = event.inputs?.[0] ?? before?.input
    const output = event.outputs?.[0] ?? before?.output
    edges.set(event.job.name, { job: event.job.name, input, output, last: event.eventType })
  }
  return [...edges.values()].filter((edge) => edge.input !== undefined || edge.output !== undefined)
}

const rowHeight = 58
const Box = ({
  x,
  y,
  title,
  under,
  kind,
  onClick,
}: {
  readonly x: number
  readonly y: number
  readonly title: string
  readonly under: string
  readonly kind: string
  readonly onClick?: () => void
}) => (
  <g
    class={`box ${kind}`}
    transform={`translate(${x} ${y})`}
    {...(onClick === undefined
      ? {}
      : {
          onClick,
          role: 'button',
          tabindex: 0,
          onKeyDown: (event: KeyboardEvent) => event.key === 'Enter' && onClick(),
        })}
  >
    <rect width="240" height="44" rx="8" />
    <text x="12" y="19">
      {title.length > 27 ? `…${title.slice(-26)}` : title}
    </text>
    <text x="12" y="35" class="small">
      {under.length > 38 ? `…${under.slice(-37)}` : under}
    </text>
    <title>{`${title}\n${under}`}</title>
  </g>
)

const short = ({ name, field }: LineageNode): string => (field === undefined ? name : `${name}.${field}`)

/** Where a dataset, or one of its columns, comes from and goes to, over everything that runs have moved. */
const Ways = ({ node }: { readonly node: LineageNode }) => {
  const [edges, setEdges] = useState<readonly LineageEdge[]>()
  const { namespace, name, field } = node
  useEffect(() => {
    setEdges(undefined)
    act(async () => setEdges(await api.lineageOf({ namespace, name, ...(field === undefined ? {} : { field }) })))
  }, [namespace, name, field])
  if (edges === undefined) return <p role="status">Looking up {short(node)} …</p>
  return (
    <Table
      label={`Where ${short(node)} comes from and goes to`}
      rows={edges}
      identity={({ from, to, pipeline, stream }) => JSON.stringify([from, to, pipeline, stream])}
      columns={[
        { name: 'from', value: ({ from }) => short(from) },
        { name: 'to', value: ({ to }) => short(to) },
        { name: 'how', value: ({ transformation }) => transformation.replace('/', ', ').toLowerCase() },
        { name: 'by', value: ({ pipeline, stream }) => `${pipeline}/${stream}` },
      ]}
    />
  )
}

/** The columns of a dataset, each of which can be followed. */
const Chosen = ({ dataset }: { readonly dataset: Dataset }) => {
  const [field, setField] = useState<string>()
  const { namespace, name, facets } = dataset
  return (
    <>
      <p class="columns" role="group" aria-label={`Columns of ${name}`}>
        <b>{name}</b>{' '}
        {facets?.schema?.fields?.map((one) => (
          <button
            key={one.name}
            aria-pressed={field === one.name}
            onClick={() => setField(field === one.name ? undefined : one.name)}
          >
            <code>
              {one.name}
              {one.type !== undefined && <i> {one.type}</i>}
            </code>
          </button>
        ))}
      </p>
      <Ways node={{ namespace, name, ...(field === undefined ? {} : { field }) }} />
    </>
  )
}

/** Where the run's data came from and went, as its OpenLineage events say. */
export const Lineage = ({ events }: { readonly events: readonly LineageEvent[] }) => {
  const [chosen, setChosen] = useState<Dataset>()
  const edges = edgesOf(events)
  if (edges.length === 0) return null
  return (
    <section aria-labelledby="lineage">
      <h2 id="lineage">
        Lineage{' '}
        <span class="faint">{events.length} OpenLineage events · choose a dataset, then a column, to follow it</span>
      </h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Lineage graph">
        <svg class="lineage" viewBox={`0 0 880 ${edges.length * rowHeight}`} style={{ minWidth: '720px' }}>
          {edges.map((edge, index) => {
            const y = index * rowHeight + 6
            return (
              <g key={edge.job}>
                <path class="wire" d={`M240 ${y + 22}H320M560 ${y + 22}H640`} />
                {edge.input !== undefined && (
                  <Box
                    x={0}
                    y={y}
                    title={edge.input.name}
                    under={edge.input.namespace}
                    kind="dataset"
                    onClick={() => setChosen(edge.input)}
                  />
                )}
                <Box x={320} y={y} title={edge.job} under={edge.last} kind={`job ${edge.last}`} />
                {edge.output !== undefined && (
                  <Box
                    x={640}
                    y={y}
                    title={edge.output.name}
                    under={edge.output.namespace}
                    kind="dataset"
                    onClick={() => setChosen(edge.output)}
                  />
                )}
              </g>
            )
          })}
        </svg>
      </div>
      {chosen !== undefined && <Chosen key={`${chosen.namespace} ${chosen.name}`} dataset={chosen} />}
    </section>
  )
}
