import { z } from '@hono/zod-openapi'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { integrationError } from '@ecokit/contracts'
import { cancelRun, getRun, listQuarantine, listRuns, runLineage } from '@ecokit/flow'
import type { EcosystemRuntime } from '../ecosystem.ts'
import { addRoute } from '../route.ts'
import type { Runner } from '../runner.ts'
import { pipeline, quarantined, run } from '../schemas.ts'

const tag = 'pipelines'
const identified = z.object({ id: z.string() })
const limit = (most: number, usual: number) => z.coerce.number().int().min(1).max(most).default(usual)

const unknownRun = (id: string) =>
  integrationError('not_found', { what: `there is no run ${id}`, next: 'List them with GET /api/runs', details: {} })

/** A record as it was; its text where it was cut off. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

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
    async () => ({
      pipelines: await Promise.all(
        ecosystem.pipelines.map(async ({ name, source, sink, sinkName, streams = [], everyMs }) => {
          const [lastRun] = await listRuns(store, { pipeline: name, limit: 1 })
          return {
            name,
            source,
            sink: `${sink}.${sinkName}`,
            streams: streams.map(({ stream }) => stream),
            everyMs: everyMs ?? null,
            lastRun: lastRun ?? null,
            problem: runner.problem(name) ?? null,
            running: lastRun?.status === 'running',
          }
        }),
      ),
    }),
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/pipelines/{name}/runs',
      tag,
      summary: 'Start a run; it goes on behind the reply',
      params: z.object({ name: z.string() }),
      body: z.strictObject({ full: z.boolean().default(false) }).optional(),
      reply: z.object({ id: z.string() }),
      status: 202,
    },
    ({ params, body }) =>
      runner.start(params.name, {
        full: body?.full ?? false,
        trigger: 'manual',
        by: { actor: 'api', reason: 'POST /api/pipelines/{name}/runs' },
      }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/runs',
      tag,
      summary: 'The last runs with their streams, newest first',
      query: z.object({ pipeline: z.string().optional(), limit: limit(500, 50) }),
      reply: z.object({ runs: z.array(run).readonly() }),
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
      const found = await listQuarantine(store, { run: params.id, ...query })
      return {
        records: found.map(({ stream, field, reason, record, at }) => ({
          stream,
          field,
          reason,
          record: parsed(record),
          at,
        })),
      }
    },
  )
}
