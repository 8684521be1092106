import { z } from '@hono/zod-openapi'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { integrationError } from '@ecokit/contracts'
import { cancelRun, getRun, listContracts, listQuarantine, listRuns, runLineage } from '@ecokit/flow'
import type { EcosystemRuntime } from '../ecosystem.ts'
import { addRoute } from '../route.ts'
import type { Runner } from '../runner.ts'
import { pipeline, quarantined, run, runSummary, scheduled, wanted } from '../run-schemas.ts'
import { schedulesOf } from '../schedules.ts'
import { quarantineView } from './findings.ts'

const tag = 'pipelines'
const identified = z.object({ id: z.string() })
const limit = (most: number, usual: number) => z.coerce.number().int().min(1).max(most).default(usual)

const unknownRun = (id: string) =>
  integrationError('not_found', { what: `there is no run ${id}`, next: 'List them with GET /api/runs', details: {} })

const by = (request: string) => ({ actor: 'api', reason: request })

/** Pipelines and their runs. */
export const pipelineRoutes = (app: OpenAPIHono, runtime: EcosystemRuntime, runner: Runner): void => {
  const { store, ecosystem } = runtime
  const known = async (id: string) => {
    const found = await getRun(store, id)
    if (found === undefined) throw unknownRun(id)
    return found
  }
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/pipelines',
      tag,
      summary: 'Every pipeline with its last run',
      reply: z.object({ pipelines: z.array(pipeline).readonly() }),
    },
    async () => {
      const schedules = await schedulesOf(store, ecosystem.pipelines)
      const contracts = await listContracts(store)
      const pipelines = ecosystem.pipelines.map(async (entry) => {
        const { name, source, sink, sinkName, streams = [], everyMs } = entry
        const planned = schedules.find(({ pipeline: one }) => one === name)
        const [lastRun] = await listRuns(store, { pipeline: name, limit: 1 })
        const paused = contracts.flatMap((one) =>
          one.pipeline === name && one.paused !== undefined ? [{ stream: one.stream, changes: one.paused }] : [],
        )
        return {
          name,
          source,
          sink: `${sink}.${sinkName}`,
          streams: streams.map(({ stream }) => stream),
          everyMs: everyMs ?? null,
          schedule: planned?.schedule ?? null,
          nextAt: planned?.nextAt ?? null,
          paused,
          lastRun: lastRun ?? null,
          problem: runner.problem(name) ?? null,
          running: lastRun?.status === 'running',
        }
      })
      return { pipelines: await Promise.all(pipelines) }
    },
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/pipelines/{name}/runs',
      tag,
      summary: 'Start a run; it goes on behind the reply',
      params: z.object({ name: z.string() }),
      body: wanted.optional(),
      reply: z.object({ id: z.string() }),
      status: 202,
    },
    ({ params, body }) =>
      runner.start(params.name, { ...body, trigger: 'manual', by: by('POST /api/pipelines/{name}/runs') }),
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/pipelines/{name}/accept',
      tag,
      summary: 'Let streams go on that wait because their schema has changed: one, or all of the pipeline',
      params: z.object({ name: z.string() }),
      body: z.strictObject({ stream: z.string().optional() }).optional(),
      reply: z.object({ accepted: z.int().describe('How many streams waited') }),
    },
    async ({ params, body }) => ({
      accepted: await runtime.accept(params.name, body?.stream, by('POST /api/pipelines/{name}/accept')),
    }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/schedules',
      tag,
      summary: 'The pipelines that run by themselves: when next, when last, and what was missed',
      reply: z.object({ schedules: z.array(scheduled).readonly() }),
    },
    async () => ({ schedules: await schedulesOf(store, ecosystem.pipelines) }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/runs',
      tag,
      summary: 'The last runs, newest first; one by its id has its streams too',
      query: z.object({ pipeline: z.string().optional(), limit: limit(500, 50) }),
      reply: z.object({ runs: z.array(runSummary).readonly() }),
    },
    async ({ query }) => ({ runs: await listRuns(store, query) }),
  )
  addRoute(
    app,
    { method: 'get', path: '/api/runs/{id}', tag, summary: 'One run with its streams', params: identified, reply: run },
    ({ params }) => known(params.id),
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/runs/{id}/cancel',
      tag,
      summary: 'Ask a run to stop, whichever process runs it',
      params: identified,
      reply: run,
    },
    async ({ params }) => {
      await known(params.id)
      const asked = await cancelRun(store, params.id)
      const found = await known(params.id)
      if (asked) return found
      throw integrationError('conflict', {
        what: `the run ${params.id} has ended already (${found.status})`,
        details: {},
      })
    },
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/runs/{id}/lineage',
      tag,
      summary: 'The OpenLineage events of a run, oldest first',
      params: identified,
      reply: z.object({ events: z.array(z.record(z.string(), z.unknown())).readonly() }),
    },
    async ({ params }) => {
      await known(params.id)
      return { events: (await runLineage(store, params.id)).map((event) => ({ ...event })) }
    },
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/runs/{id}/quarantine',
      tag,
      summary: 'Records that a run left out, with the reason, newest first',
      params: identified,
      query: z.object({ stream: z.string().optional(), limit: limit(1000, 100) }),
      reply: z.object({ records: z.array(quarantined).readonly() }),
    },
    async ({ params, query }) => {
      await known(params.id)
      return { records: (await listQuarantine(store, { run: params.id, ...query })).map(quarantineView) }
    },
  )
}
