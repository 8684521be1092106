import { useState } from 'preact/hooks'
import type { Dataset, LineageEvent } from './api.ts'

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

/** Where the run's data came from and went, as its OpenLineage events say. */
export const Lineage = ({ events }: { readonly events: readonly LineageEvent[] }) => {
  const [chosen, setChosen] = useState<Dataset>()
  const edges = edgesOf(events)
  if (edges.length === 0) return null
  const fields = chosen?.facets?.schema?.fields ?? []
  return (
    <section aria-labelledby="lineage">
      <h2 id="lineage">
        Lineage <span class="faint">{events.length} OpenLineage events · choose a dataset to see its columns</span>
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
      {chosen !== undefined && (
        <p class="columns" role="status">
          <b>{chosen.name}</b>{' '}
          {fields.map((field) => (
            <code key={field.name}>
              {field.name}
              {field.type !== undefined && <i> {field.type}</i>}
            </code>
          ))}
        </p>
      )}
    </section>
  )
}
