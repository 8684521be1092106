import { useEffect, useState } from 'preact/hooks'
import { api, type Quality, type Quarantined, type Run } from './api.ts'
import { useFindings } from './findings.ts'
import { ago, bytes, cell, count, duration } from './format.ts'
import { Lineage } from './lineage.tsx'
import { Status } from './parts.tsx'
import { Progress } from './progress.tsx'
import { RatePlots } from './rate-plots.tsx'
import { act, useConsole, useNow } from './state.ts'
import { Table } from './table.tsx'
import { changeWords } from './words.ts'

const Streams = ({ run }: { readonly run: Run }) => (
  <section aria-labelledby="streams">
    <h2 id="streams">Streams</h2>
    <Table
      label="Streams of the run"
      rows={run.streams}
      identity={(stream) => stream.stream}
      columns={[
        { name: 'stream', value: (stream) => stream.stream },
        { name: 'status', value: (stream) => stream.status },
        { name: 'pass', value: (stream) => stream.mode },
        { name: 'into', value: (stream) => `${stream.table} (${stream.disposition})` },
        { name: 'read', number: true, value: (stream) => stream.read },
        { name: 'written', number: true, value: (stream) => stream.written },
        { name: 'quarantined', number: true, value: (stream) => stream.quarantined },
        { name: 'deleted', number: true, value: (stream) => stream.deleted },
        { name: 'requests', number: true, value: (stream) => stream.requests },
        { name: 'size', number: true, value: (stream) => stream.bytes, show: (stream) => bytes(stream.bytes) },
        {
          name: 'rows/s',
          number: true,
          value: (stream) => (stream.durationMs === 0 ? 0 : Math.round((stream.read * 1000) / stream.durationMs)),
        },
      ]}
    />
    {run.streams.map(
      (stream) =>
        stream.error != null && <p class="reason" key={stream.stream}>{`${stream.stream}: ${stream.error.message}`}</p>,
    )}
  </section>
)

const Drift = ({ run }: { readonly run: Run }) => {
  const drifted = run.streams.filter(({ drift }) => drift.length > 0)
  if (drifted.length === 0) return null
  return (
    <section aria-labelledby="drift">
      <h2 id="drift">Drift</h2>
      <ul class="list card">
        {drifted.flatMap(({ stream, drift }) =>
          drift.map((change) => (
            <li key={`${stream} ${change.kind} ${change.field}`}>
              <b>{stream}</b> {changeWords(change)}
            </li>
          )),
        )}
      </ul>
    </section>
  )
}

const verdicts = ({ passed, severity }: Quality): 'passed' | 'warning' | 'failed' =>
  passed ? 'passed' : severity === 'warn' ? 'warning' : 'failed'

const QualityResults = ({ results }: { readonly results: readonly Quality[] }) => (
  <section aria-labelledby="quality">
    <h2 id="quality">
      Quality{' '}
      <span class="faint">
        {results.filter(({ passed }) => passed).length} of {results.length} rules kept
      </span>
    </h2>
    <Table
      label="Quality results"
      rows={results}
      identity={(result) => `${result.stream} ${result.name}`}
      columns={[
        { name: 'stream', value: (result) => result.stream },
        { name: 'rule', value: (result) => result.name },
        { name: 'result', value: verdicts, show: (result) => <Status value={verdicts(result)} /> },
        { name: 'if broken', value: (result) => result.severity },
        { name: 'checked', number: true, value: (result) => result.checked },
        { name: 'failed', number: true, value: (result) => result.failed },
        { name: 'message', value: (result) => result.message },
      ]}
    />
  </section>
)

const Quarantine = ({ records }: { readonly records: readonly Quarantined[] }) => (
  <section aria-labelledby="quarantine">
    <h2 id="quarantine">Quarantine</h2>
    <Table
      label="Quarantined records"
      rows={records}
      identity={(record) => `${record.at} ${record.stream} ${record.field} ${JSON.stringify(record.record)}`}
      columns={[
        { name: 'stream', value: (record) => record.stream },
        { name: 'field', value: (record) => record.field },
        { name: 'reason', value: (record) => record.reason },
        {
          name: 'record',
          value: (record) => record.record,
          show: (record) => (
            <details>
              <summary>{cell(record.record).slice(0, 60)}</summary>
              <pre>
                {typeof record.record === 'string' ? record.record : JSON.stringify(record.record, undefined, 2)}
              </pre>
            </details>
          ),
        },
      ]}
    />
  </section>
)

/** One run: what it read and wrote, what it refused, and where the data came from and went. */
export const RunPage = ({ id }: { readonly id: string }) => {
  const { runs } = useConsole()
  const now = useNow(1000)
  const [fetched, setFetched] = useState<Run>()
  const followed = runs?.find((item) => item.id === id)
  const asked = fetched?.id === id ? fetched : undefined
  const run = followed !== undefined && 'streams' in followed ? followed : asked
  const { events, quality, quarantined } = useFindings(id, run)
  useEffect(() => {
    act(async () => setFetched(await api.run(id)))
    // A list that is loaded again tells that a run has ended, but not what became of its streams.
  }, [id, followed?.status])
  if (run === undefined)
    return (
      <p class="empty" role="status">
        Loading the run …
      </p>
    )
  const took = (run.endedAt === null ? now : Date.parse(run.endedAt)) - Date.parse(run.startedAt)
  return (
    <>
      <p>
        <a href="#/">← Overview</a>
      </p>
      <h1>
        {run.pipeline} <Status value={run.status} />
      </h1>
      <p class="faint">
        {run.source} → {run.sink} · {run.trigger}
        {run.full && ', full'}
        {run.backfill !== undefined && `, backfill ${run.backfill.since ?? '…'} to ${run.backfill.until ?? '…'}`} ·
        started {ago(run.startedAt, now)} · took {duration(took)} · <code>{run.id}</code>
      </p>
      <dl class="figures large">
        {(['read', 'written', 'quarantined', 'deleted'] as const).map((name) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{count(run.totals[name])}</dd>
          </div>
        ))}
      </dl>
      {run.error != null && <p class="reason">{run.error.message}</p>}
      {run.warnings.map((warning) => (
        <p class="warning" key={warning}>
          {warning}
        </p>
      ))}
      {run.status === 'running' && <Progress run={run} now={now} />}
      <Streams run={run} />
      <RatePlots run={run} events={events} now={now} />
      <Drift run={run} />
      {quality.length > 0 && <QualityResults results={quality} />}
      <Lineage events={events} />
      {quarantined.length > 0 && <Quarantine records={quarantined} />}
    </>
  )
}
