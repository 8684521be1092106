import { api, type Partner, type Pipeline, type Run, type RunSummary } from './api.ts'
import { ago, count, duration } from './format.ts'
import { Sparkline, Status } from './parts.tsx'
import { whenOf } from './words.ts'
import { act, useConsole, useNow } from './state.ts'
import { Arrivals } from './arrivals.tsx'
import { Progress } from './progress.tsx'

/** What a circuit that is not as it should be means for whoever reads it. */
const circuits: Partial<Readonly<Record<string, string>>> = {
  open: 'too many calls failed, so calls are held back for a while',
  half_open: 'a call is trying whether the partner is back',
}

/** Connector and version; the title alone goes where the version names the product itself (`DuckDB v1.5.6`). */
const productOf = (title: string, version: string | undefined): string => {
  const [name = ''] = (version ?? '').split(' ')
  return version === undefined ? title : title.split(' ').includes(name) ? version : `${title} ${version}`
}

const PartnerCard = ({ partner, now }: { readonly partner: Partner; readonly now: number }) => {
  const { health } = partner
  const status = health?.status ?? 'unknown'
  return (
    <article class={`card partner ${status}`} aria-label={`Partner ${partner.name}: ${status}`}>
      <h3>
        {partner.name} <Status value={status} />
      </h3>
      <p class="faint">
        {productOf(partner.title, health?.version ?? undefined)} · {partner.tier}
        {partner.owner !== null && ` · ${partner.owner}`}
      </p>
      <Sparkline history={partner.history} />
      {health?.message != null && status !== 'healthy' && (
        <p class="reason">
          <code>{health.code}</code> {health.message}
        </p>
      )}
      {circuits[partner.circuit ?? 'closed'] !== undefined && (
        <p class="reason">
          <code>circuit {partner.circuit?.replace('_', ' ')}</code> {circuits[partner.circuit ?? 'closed']}
        </p>
      )}
      <footer>
        <span class="faint">
          {health?.oldTls === true && 'TLS 1.2 · '}
          {health === null ? 'waiting for the first check' : `checked ${ago(health.checkedAt, now)}`}
          {health?.latencyMs != null && ` · ${duration(health.latencyMs)}`}
        </span>
        <button onClick={() => act(() => api.check(partner.name))} aria-label={`Check now: ${partner.name}`}>
          Check now
        </button>
      </footer>
    </article>
  )
}

const RunStrip = ({ runs }: { readonly runs: readonly RunSummary[] }) => (
  <ol class="strip" aria-label="Last runs, newest last">
    {runs
      .slice(0, 20)
      .reverse()
      .map((run) => (
        <li key={run.id}>
          <a
            class={run.status}
            href={`#/runs/${run.id}`}
            aria-label={`Run of ${run.startedAt.slice(0, 19).replace('T', ' ')}: ${run.status}`}
          />
        </li>
      ))}
  </ol>
)

const PipelineCard = ({
  pipeline,
  runs,
  now,
}: {
  readonly pipeline: Pipeline
  readonly runs: readonly (RunSummary | Run)[]
  readonly now: number
}) => {
  const last = runs[0]
  return (
    <article class="card pipeline" aria-label={`Pipeline ${pipeline.name}`}>
      <h3>
        {pipeline.name} {last !== undefined && <Status value={last.status} />}
      </h3>
      <p class="faint">
        {pipeline.source} → {pipeline.sink} · {whenOf(pipeline)}
      </p>
      {pipeline.paused.length > 0 && (
        <p class="reason">
          {pipeline.paused.map(({ stream }) => stream).join(', ')} {pipeline.paused.length === 1 ? 'waits' : 'wait'}:{' '}
          <a href="#/pipelines">its schema has changed</a>
        </p>
      )}
      <RunStrip runs={runs} />
      {last !== undefined && (
        <dl class="figures">
          <div>
            <dt>read</dt>
            <dd>{count(last.totals.read)}</dd>
          </div>
          <div>
            <dt>written</dt>
            <dd>{count(last.totals.written)}</dd>
          </div>
          <div>
            <dt>quarantined</dt>
            <dd>{count(last.totals.quarantined)}</dd>
          </div>
          <div>
            <dt>took</dt>
            <dd>{duration((last.endedAt === null ? now : Date.parse(last.endedAt)) - Date.parse(last.startedAt))}</dd>
          </div>
        </dl>
      )}
      {last?.status === 'running' && 'streams' in last && <Progress run={last} now={now} />}
      {last?.error != null && <p class="reason">{last.error.message}</p>}
      <footer>
        <span class="faint">
          {last === undefined ? (
            'has not run yet'
          ) : (
            <a href={`#/runs/${last.id}`}>last run {ago(last.startedAt, now)}</a>
          )}
        </span>
        {last?.status === 'running' ? (
          <button onClick={() => act(() => api.cancel(last.id))}>Cancel</button>
        ) : (
          <>
            <button
              onClick={() => act(() => api.start(pipeline.name, { full: true }))}
              title="Reads everything again: finds late edits, deletes and restores"
            >
              Full sync
            </button>
            <button class="primary" onClick={() => act(() => api.start(pipeline.name, {}))}>
              Sync now
            </button>
          </>
        )}
      </footer>
    </article>
  )
}

const Headline = ({ partners }: { readonly partners: readonly Partner[] }) => {
  const well = partners.filter((partner) => partner.health?.status === 'healthy').length
  const ill = partners.filter((partner) => partner.health?.status === 'unhealthy')
  if (ill.length > 0)
    return (
      <h1>
        {ill.map((partner) => partner.name).join(', ')} {ill.length === 1 ? 'needs' : 'need'} attention
      </h1>
    )
  return (
    <h1>
      {well === partners.length ? 'All partners are healthy' : `${well} of ${partners.length} partners are healthy`}
    </h1>
  )
}

export const Overview = () => {
  const { partners, pipelines, runs } = useConsole()
  const now = useNow(1000)
  if (partners === undefined || pipelines === undefined)
    return (
      <p class="empty" role="status">
        Loading …
      </p>
    )
  const sinks = new Set(pipelines.map((pipeline) => pipeline.sink.split('.')[0] ?? ''))
  const finished = runs?.find((run) => run.status !== 'running')?.id
  return (
    <>
      <Headline partners={partners} />
      <section aria-labelledby="partners">
        <h2 id="partners">Partners</h2>
        <div class="grid">
          {partners.map((partner) => (
            <PartnerCard key={partner.name} partner={partner} now={now} />
          ))}
        </div>
      </section>
      <section aria-labelledby="pipelines">
        <h2 id="pipelines">Pipelines</h2>
        <div class="grid wide">
          {pipelines.map((pipeline) => (
            <PipelineCard
              key={pipeline.name}
              pipeline={pipeline}
              runs={(runs ?? []).filter((run) => run.pipeline === pipeline.name)}
              now={now}
            />
          ))}
        </div>
      </section>
      {[...sinks].map((partner) => (
        <Arrivals key={`${partner} ${finished ?? ''}`} partner={partner} limit={10} />
      ))}
    </>
  )
}
