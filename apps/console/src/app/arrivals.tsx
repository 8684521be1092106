import { useEffect, useState } from 'preact/hooks'
import { api, type Row } from './api.ts'
import { smallestIsBest } from './format.ts'
import { sorted } from './sort.ts'
import { Table, type Column } from './table.tsx'

const metricsOf = (row: Row): Readonly<Record<string, unknown>> =>
  typeof row['metrics'] === 'object' && row['metrics'] !== null ? (row['metrics'] as Record<string, unknown>) : {}

/** The metrics of all runs, the most common first. */
export const metricNames = (rows: readonly Row[]): readonly string[] => {
  const counts = new Map<string, number>()
  for (const row of rows) for (const name of Object.keys(metricsOf(row))) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort(([a, one], [b, other]) => other - one || a.localeCompare(b)).map(([name]) => name)
}

const columnsFor = (metric: string, experiments: ReadonlyMap<unknown, unknown>): readonly Column<Row>[] => [
  { name: metric, number: true, value: (row) => metricsOf(row)[metric] },
  { name: 'run', value: (row) => row['run_name'] ?? row['run_id'] },
  { name: 'experiment', value: (row) => experiments.get(row['experiment_id']) ?? row['experiment_id'] },
  { name: 'status', value: (row) => row['status'] },
  { name: 'started', value: (row) => row['start_time'] },
  {
    name: 'params',
    value: (row) =>
      Object.entries((row['params'] ?? {}) as Record<string, unknown>)
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(' '),
  },
]

/** The training runs that stand in a lake, the best of the chosen metric first. Nothing where there is no such table. */
export const Arrivals = ({ partner, limit }: { readonly partner: string; readonly limit?: number }) => {
  const [rows, setRows] = useState<readonly Row[]>([])
  const [experiments, setExperiments] = useState<ReadonlyMap<unknown, unknown>>(new Map())
  const [chosen, setChosen] = useState<string>()
  useEffect(() => {
    let shown = true
    const read = async (): Promise<void> => {
      const tables = new Set((await api.streams(partner)).map((stream) => stream.name))
      if (!tables.has('runs')) return
      const runs = await api.records(partner, 'runs', 1000)
      const names = tables.has('experiments') ? (await api.records(partner, 'experiments', 1000)).records : []
      if (!shown) return
      setRows(runs.records.filter((row) => row['lifecycle_stage'] !== 'deleted'))
      setExperiments(new Map(names.map((row) => [row['experiment_id'], row['name']])))
    }
    // A lake that is empty or busy is no fault of the page: the section is simply not there yet.
    read().catch(() => {})
    return () => void (shown = false)
  }, [partner])
  const names = metricNames(rows)
  const metric = chosen ?? names[0]
  if (metric === undefined) return null
  const descending = !smallestIsBest(metric)
  const columns = columnsFor(metric, experiments)
  const best = sorted(rows, (row) => metricsOf(row)[metric], descending)
  const shown = limit === undefined ? best : best.slice(0, limit)
  return (
    <section aria-labelledby={`arrivals-${partner}`}>
      <div class="titled">
        <h2 id={`arrivals-${partner}`}>
          Runs that arrived in {partner} <span class="faint">best {metric} first</span>
        </h2>
        <label class="picker">
          metric{' '}
          <select value={metric} onChange={(event) => setChosen(event.currentTarget.value)}>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      </div>
      <Table
        key={metric}
        label={`Runs in ${partner}`}
        rows={shown}
        columns={columns}
        identity={(row) => String(row['run_id'])}
        by={metric}
        descending={descending}
      />
      {limit !== undefined && rows.length > limit && (
        <p>
          <a href={`#/data/${partner}/runs`}>All {rows.length} runs</a>
        </p>
      )}
    </section>
  )
}
