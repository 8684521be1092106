import { useState } from 'preact/hooks'
import { api, type Pipeline, type RunSummary } from './api.ts'
import { ago } from './format.ts'
import { Status } from './parts.tsx'
import { act, reload, useConsole, useNow } from './state.ts'
import { ahead, changeWords, whenOf } from './words.ts'

const Paused = ({ pipeline }: { readonly pipeline: Pipeline }) => (
  <ul class="paused">
    {pipeline.paused.map(({ stream, changes }) => (
      <li key={stream}>
        <div>
          <b>{stream}</b> waits because its schema has changed: {changes.map(changeWords).join('; ')}
        </div>
        <button
          aria-label={`Accept the changes of ${stream}`}
          onClick={() => act(() => api.accept(pipeline.name, stream).then(reload))}
        >
          Accept
        </button>
      </li>
    ))}
  </ul>
)

/** A field as the person left it; empty is nothing. */
const said = (form: FormData, name: string): string | undefined => {
  const value = form.get(name)
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}

const Backfill = ({ pipeline }: { readonly pipeline: Pipeline }) => {
  const [started, setStarted] = useState<string>()
  const begin = (form: FormData): void => {
    const [since, until] = [said(form, 'since'), said(form, 'until')]
    const streams = said(form, 'streams')?.split(/[\s,]+/)
    const backfill = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) }
    act(async () => {
      const { id } = await api.start(pipeline.name, { backfill, ...(streams === undefined ? {} : { streams }) })
      setStarted(id)
    })
  }
  return (
    <details class="backfill">
      <summary>Backfill</summary>
      <form
        aria-label={`Backfill ${pipeline.name}`}
        onSubmit={(event) => {
          event.preventDefault()
          begin(new FormData(event.currentTarget))
        }}
      >
        <p class="faint">
          Reads a window of the cursor again. Where the next sync goes on stays as it is. At least one end is needed, in
          the form that the cursor has.
        </p>
        <label>
          from <input name="since" placeholder="2026-01-01T00:00:00Z" autocomplete="off" />
        </label>
        <label>
          until (exclusive) <input name="until" placeholder="2026-02-01T00:00:00Z" autocomplete="off" />
        </label>
        <label>
          streams <input name="streams" placeholder="all" autocomplete="off" />
        </label>
        <button class="primary" type="submit">
          Start
        </button>
        {started !== undefined && (
          <p role="status">
            <a href={`#/runs/${started}`}>The backfill has begun</a>
          </p>
        )}
      </form>
    </details>
  )
}

const PipelineRow = ({
  pipeline,
  last,
  now,
}: {
  readonly pipeline: Pipeline
  readonly last: RunSummary | undefined
  readonly now: number
}) => (
  <article class="card" aria-label={`Pipeline ${pipeline.name}`}>
    <h2>
      {pipeline.name} {last !== undefined && <Status value={last.status} />}
    </h2>
    <p class="faint">
      {pipeline.source} → {pipeline.sink} ·{' '}
      {pipeline.streams.length === 0 ? 'all streams' : pipeline.streams.slice(0, 12).join(', ')}
      {pipeline.streams.length > 12 && ` and ${pipeline.streams.length - 12} more`}
    </p>
    <dl class="figures">
      <div>
        <dt>runs</dt>
        <dd>{whenOf(pipeline)}</dd>
      </div>
      {pipeline.nextAt !== null && (
        <div>
          <dt>next run</dt>
          <dd title={pipeline.nextAt}>{ahead(pipeline.nextAt, now)}</dd>
        </div>
      )}
      <div>
        <dt>last run</dt>
        <dd>{last === undefined ? 'never' : <a href={`#/runs/${last.id}`}>{ago(last.startedAt, now)}</a>}</dd>
      </div>
      {pipeline.schedule !== null && (
        <div>
          <dt>missed runs</dt>
          <dd>{pipeline.schedule.missed === 'skip' ? 'are left out' : 'are made up for'}</dd>
        </div>
      )}
    </dl>
    {pipeline.problem !== null && <p class="reason">{pipeline.problem.message}</p>}
    {pipeline.paused.length > 0 && <Paused pipeline={pipeline} />}
    <Backfill pipeline={pipeline} />
  </article>
)

/** Every pipeline: when it runs, what waits for somebody, and a way to read a window again. */
export const PipelinesPage = () => {
  const { pipelines, runs } = useConsole()
  const now = useNow(1000)
  if (pipelines === undefined)
    return (
      <p class="empty" role="status">
        Loading …
      </p>
    )
  const waiting = pipelines.reduce((sum, { paused }) => sum + paused.length, 0)
  return (
    <>
      <h1>Pipelines</h1>
      <p class="faint">
        {waiting === 0
          ? 'No stream waits for anybody'
          : `${waiting} ${waiting === 1 ? 'stream waits' : 'streams wait'}`}
      </p>
      <div class="stack">
        {pipelines.map((pipeline) => (
          <PipelineRow
            key={pipeline.name}
            pipeline={pipeline}
            last={runs?.find((run) => run.pipeline === pipeline.name)}
            now={now}
          />
        ))}
        {pipelines.length === 0 && <p class="empty">There are none: add one to ecosystem.yaml</p>}
      </div>
    </>
  )
}
