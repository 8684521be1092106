import { z } from '@hono/zod-openapi'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { integrationError } from '@ecokit/contracts'
import type { EcosystemRuntime } from '../ecosystem.ts'
import { addRoute } from '../route.ts'
import { connector, summary } from '../schemas.ts'
import { connectorView } from '../views.ts'

/** What there is: connectors, and the numbers of the whole. */
export const catalogueRoutes = (app: OpenAPIHono, runtime: EcosystemRuntime, version: string): void => {
  const { connectors, health, store, ecosystem } = runtime
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/connectors',
      tag: 'connectors',
      summary: 'Every connector that this server has',
      reply: z.object({ connectors: z.array(connector).readonly() }),
    },
    () => ({ connectors: connectors.map(connectorView) }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/connectors/{id}',
      tag: 'connectors',
      summary: 'What one connector takes and can do',
      params: z.object({ id: z.string() }),
      reply: connector,
    },
    ({ params: { id } }) => {
      const found = connectors.find(({ manifest }) => manifest.id === id)
      if (found !== undefined) return connectorView(found)
      const ids = connectors.map(({ manifest }) => manifest.id).join(', ')
      throw integrationError('not_found', {
        what: `there is no connector ${id}`,
        next: `There are: ${ids}`,
        details: {},
      })
    },
  )
  addRoute(
    app,
    { method: 'get', path: '/api/summary', tag: 'summary', summary: 'The numbers of the whole', reply: summary },
    async () => {
      const runs = { running: 0, completed: 0, failed: 0, cancelled: 0 }
      const counted = await store.db
        .selectFrom('runs')
        .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
        .groupBy('status')
        .execute()
      for (const { status, count } of counted) runs[status] = count
      return { partners: await health.summary(), pipelines: ecosystem.pipelines.length, runs, version }
    },
  )
}
